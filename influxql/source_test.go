package influxql

import (
	"errors"
	"testing"
)

// Who may not read a database is not told either whether it exists.
func TestWhatMayNotBeReadIsForbiddenWhetherItExistsOrNot(t *testing.T) {
	env := fuzzEnvironment()
	env.MayRead = func(database string) bool { return database == "mine" }
	for _, from := range []string{"t..m", "nowhere..m", "t.week.m", "nowhere.week.m", "mine.week.m", "t../.*/", "(SELECT * FROM t..m)"} {
		statements, err := Parse("SELECT * FROM "+from, nil)
		if err != nil {
			t.Fatal(err)
		}
		var forbidden *ForbiddenError
		if _, err := statements[0].Plan(env); !errors.As(err, &forbidden) {
			t.Errorf("FROM %s: %v", from, err)
		}
	}
}
