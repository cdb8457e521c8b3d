package influxql

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// A text that would exhaust the stack, or be written down in minutes, is refused.
func TestParseRefusesWhatIsTooDeep(t *testing.T) {
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	long := map[string]any{"p": strings.Repeat("x", 64<<10)}
	for name, c := range map[string]struct {
		text   string
		params map[string]any
		fails  bool
	}{
		"parentheses":                  {"SELECT " + nested(maxNesting, "(", "a", ")") + " FROM m", nil, false},
		"more parentheses":             {"SELECT " + nested(maxNesting+1, "(", "a", ")") + " FROM m", nil, true},
		"parentheses of a bomb":        {"SELECT " + nested(1_000_000, "(", "a", ")") + " FROM m", nil, true},
		"parentheses within the size":  {"SELECT " + nested(100_000, "(", "a", ")") + " FROM m", nil, true},
		"calls":                        {"SELECT " + nested(maxNesting+1, "abs(", "a", ")") + " FROM m", nil, true},
		"subqueries":                   {nested(maxNesting+1, "SELECT a FROM (", "SELECT a FROM m", ")"), nil, true},
		"operators":                    {"SELECT a FROM m WHERE " + strings.Repeat("a = 1 OR ", 1000) + "a = 1", nil, false},
		"more operators":               {"SELECT a" + strings.Repeat(" + a", maxOperators+1) + " FROM m", nil, true},
		"operators to the right":       {"SELECT " + nested(maxNesting+1, "(a + ", "a", ")") + " FROM m", nil, true},
		"a condition of SHOW":          {"SHOW MEASUREMENTS WHERE " + nested(maxNesting+1, "(", "a = 'b'", ")"), nil, true},
		"another":                      {"SHOW TAG VALUES WITH KEY = k WHERE " + nested(maxNesting+1, "(", "a = 'b'", ")"), nil, true},
		"many calls":                   {"SELECT " + strings.Repeat("mean(a), ", 5000) + "mean(a) FROM m", nil, false},
		"a long value":                 {"SELECT a FROM m WHERE h = $p", long, false},
		"a long value again and again": {"SELECT a FROM m WHERE " + strings.Repeat("h = $p OR ", 1000) + "h = $p", long, true},
		"a long text":                  {"SELECT a FROM m WHERE h = '" + strings.Repeat("x", maxTextBytes) + "'", nil, true},
	} {
		statements, err := Parse(c.text, c.params)
		var refused *StatementError
		if c.fails != errors.As(err, &refused) || !c.fails && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range statements {
			_ = s.Text()
		}
	}
}

// Compiling must not take longer than a moment, as nothing interrupts it but Stop.
func TestWideTablesAreCompiledInAMoment(t *testing.T) {
	wide := func(n int) *Environment {
		columns := []schema.Column{{ID: 1, Name: "host", Type: schema.Tag}}
		for i := range n {
			columns = append(columns, schema.Column{ID: schema.ColumnID(i + 2), Name: "f" + strconv.Itoa(i), Type: schema.Float64})
		}
		db := &schema.Database{ID: 1, Name: "t"}
		snapshot := (&schema.Snapshot{}).With([]*schema.Database{db}, []*schema.Table{schema.NewTable(1, 1, "m", columns)})
		return &Environment{Database: "t", Schema: snapshot, Now: time.Unix(1e9, 0)}
	}
	for _, c := range []struct {
		columns int
		text    string
		fails   bool
	}{
		{maxCalls, "SELECT mean(*) FROM m", false},
		{maxCalls, "SELECT mean(*) FROM m GROUP BY time(1m)", false},
		{maxCalls + 1, "SELECT mean(*) FROM m", true},
		{9000, "SELECT * FROM m", false},
		{9000, "SELECT *, * FROM m", true},
	} {
		statements, err := Parse(c.text, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = statements[0].Plan(wide(c.columns))
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.text, err)
		}
		if took := time.Since(begin); took > 20*time.Second { // as many milliseconds, on a machine with nothing else to do
			t.Errorf("%s took %v", c.text, took)
		}
	}
}

func TestCompilingStops(t *testing.T) {
	statements, err := Parse("SELECT x FROM m", nil)
	if err != nil {
		t.Fatal(err)
	}
	env := fuzzEnvironment()
	stopped := errors.New("stopped")
	env.Stop = func() error { return stopped }
	if _, err := statements[0].Plan(env); !errors.Is(err, stopped) {
		t.Error(err)
	}
}
