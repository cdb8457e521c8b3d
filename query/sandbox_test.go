package query

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// What no answer and no error may hold.
const (
	canary = "canary-3f1c"       // in a text file of the data directory
	prey   = "prey-9b77"         // in another database, and in an environment variable
	env    = "SILTSTONE_PREY"    // its name
	passwd = "root:"             // in /etc/passwd
	catalg = "siltstone_buffer(" // in a text that DuckDB runs
)

// readAttacks returns the attempts that must be refused and those that may be answered.
func readAttacks(t testing.TB) (refused, harmless []string) {
	to := &refused
	for line := range strings.Lines(mustRead(t, filepath.Join("testdata", "attacks.txt"))) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "# harmless":
			to = &harmless
		case line != "" && !strings.HasPrefix(line, "# "):
			*to = append(*to, line)
		}
	}
	return refused, harmless
}

// fingerprint is what no query may change: settings, what is defined, and the files.
func fingerprint(t *testing.T, q *Querier, dir string) string {
	t.Helper()
	var all []string
	for _, sql := range []string{
		"SELECT concat($1, string_agg(name || '=' || value, chr(10) ORDER BY name)) FROM duckdb_settings()",
		"SELECT concat($1, string_agg(table_name, ',' ORDER BY table_name)) FROM duckdb_tables()",
		"SELECT concat($1, string_agg(view_name, ',' ORDER BY view_name)) FROM duckdb_views()",
		"SELECT concat($1, string_agg(function_name, ',' ORDER BY function_name)) FROM duckdb_functions() WHERE NOT internal",
		"SELECT concat($1, string_agg(database_name, ',' ORDER BY database_name)) FROM duckdb_databases()",
	} {
		f, err := prepareTextFunction(q.root, sql)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.call("")
		f.close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, "\n")
}

// sandbox is a database mine beside another one with prey, and a canary among the files.
func sandbox(t *testing.T) (*store, *Querier, *strings.Replacer) {
	t.Setenv(env, prey)
	s := newStore(t)
	mine := s.table("mine", "cpu", "host:tag usage:float")
	s.addBuffer(mine, []row{{at: 1, tags: map[string]string{"host": "a"}, fields: map[string]any{"usage": 1.0}}}, 1)
	other := s.table("other", "secret", "host:tag "+prey+":float")
	s.addFile(other, []row{{at: 1, tags: map[string]string{"host": prey}, fields: map[string]any{prey: 1.0}}})
	file := filepath.Join(s.dir, "canary.txt")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := s.querier(func(o *Options) { o.MemoryBytes, o.SpillBytes, o.Timeout = 64<<20, 16<<20, time.Minute })
	if _, err := tryAnswer(t, q, Request{Database: "other", SQL: "SELECT '" + prey + "' AS x FROM secret"}); err != nil {
		t.Fatal(err)
	}
	return s, q, strings.NewReplacer("FILE", other.Files[0].Path, "DIR", s.dir, "CANARY", file)
}

// Whatever is tried, the other database, the environment, the settings and the files stay out of
// reach, and nothing is changed.
func TestAttacksReachNothing(t *testing.T) {
	s, q, fill := sandbox(t)
	refused, harmless := readAttacks(t)
	if len(refused) < 150 {
		t.Fatalf("only %d attempts are to be refused", len(refused))
	}
	before := fingerprint(t, q, s.dir)
	// What is refused is refused without running, however long that takes; some of the harmless
	// would run for ever.
	impatient := s.querier(func(o *Options) { o.MemoryBytes, o.SpillBytes, o.Timeout = 64<<20, 16<<20, 500*time.Millisecond })
	for i, attempt := range slices.Concat(refused, harmless) {
		sql := fill.Replace(attempt)
		asks := q
		if i >= len(refused) {
			asks = impatient
		}
		begin := time.Now()
		rows, err := tryAnswer(t, asks, Request{Database: "mine", SQL: sql})
		if took := time.Since(begin); took > 5*time.Second {
			t.Logf("%s takes %v", attempt, took)
		}
		checkNothingLeaks(t, attempt, sql, rows, err)
		var user *UserError
		var needs *ResourceError
		var slow *TimeoutError
		if isUsers := errors.As(err, &user); slices.Contains(refused, attempt) && !isUsers {
			t.Errorf("%s: error %v and rows %q, want a UserError", attempt, err, rows)
		} else if err != nil && !isUsers && !errors.As(err, &needs) && !errors.As(err, &slow) {
			t.Errorf("%s: error %v is nobody's", attempt, err)
		}
	}
	if diff := cmp.Diff(before, fingerprint(t, q, s.dir)); diff != "" {
		t.Errorf("something has changed (-before +after)\n%s", diff)
	}
	if got := answer(t, q, "mine", "SELECT host, usage FROM cpu"); !slices.Equal(got, []string{"a|1"}) {
		t.Errorf("afterwards the table holds %q", got)
	}
}

// checkNothingLeaks looks for what must not be told in an answer and an error. What the attempt
// says itself may be repeated.
func checkNothingLeaks(t *testing.T, attempt, sql string, rows []string, err error) {
	t.Helper()
	told := strings.Join(rows, "\n") + "\n" + fmt.Sprint(err)
	for _, secret := range []string{canary, prey, passwd, catalg} {
		if strings.Contains(told, secret) && !strings.Contains(sql, secret) {
			t.Errorf("%s tells %q: %.300s", attempt, secret, told)
		}
	}
}

// The same attempts as parameters and as names are data.
func TestAttacksAsDataAreHarmless(t *testing.T) {
	s, q, fill := sandbox(t)
	refused, _ := readAttacks(t)
	before := fingerprint(t, q, s.dir)
	for _, attempt := range refused {
		sql := fill.Replace(attempt)
		got, err := tryAnswer(t, q, Request{Database: "mine", SQL: "SELECT $a AS x", Params: map[string]any{"a": sql}})
		if err != nil || strings.Join(got, "\n") != sql {
			t.Errorf("as a parameter %s: %q, %v", attempt, got, err)
		}
		rows, err := tryAnswer(t, q, Request{Database: "mine", SQL: "SELECT 1 AS " + sqltext.Name(sql) + " FROM " + sqltext.Name(sql)})
		checkNothingLeaks(t, attempt, sql, rows, err)
		var user *UserError
		if !errors.As(err, &user) {
			t.Errorf("as a table's name %s: %q, %v", attempt, rows, err)
		}
	}
	if diff := cmp.Diff(before, fingerprint(t, q, s.dir)); diff != "" {
		t.Errorf("something has changed (-before +after)\n%s", diff)
	}
}
