package main

import (
	"strings"
	"testing"
)

// TestRowsAreDeletedFromTheCommandLine of a real server: counted first, then deleted, then compacted away.
func TestRowsAreDeletedFromTheCommandLine(t *testing.T) {
	p := serve(t, "--data-dir", t.TempDir())
	as := func(stdin string, args ...string) result {
		t.Helper()
		return finish(t, siltstone(t, append(args, "--host", p.host)...), stdin)
	}
	if r := as("cpu,host=a v=1 1\ncpu,host=a v=2 2\ncpu,host=b v=3 1\n", "write", "-d", "db", "--precision", "s"); r.code != 0 {
		t.Fatal(r.errors)
	}
	if r := as("", "flush"); r.code != 0 {
		t.Fatal(r.errors)
	}
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{`--predicate host="a" --dry-run`, 0, []string{`Of table "cpu" of database "db" 2 rows would be deleted, which may be in 1 files (`}},
		{`--predicate host="a"`, 1, []string{"rows of table", "nobody is here to confirm it: add --yes"}},
		{"", 1, []string{`delete all rows of table "cpu" of database "db"`, "add --yes"}},
		{"--start 2026-01-02 --stop 2026-01-01 --yes", 2, []string{"--stop lies before --start"}},
		{"--start yesterday --yes", 2, []string{`"yesterday" is not a time such as`}},
		{`--predicate hots="a" --yes`, 1, []string{`has no tag "hots"; it has: host`}},
		{`--predicate v="1" --yes`, 1, []string{`"v" is a field of "cpu"`}},
		{`--predicate host=="a" --yes`, 1, []string{"the predicate cannot be used"}},
		{`--start 2026-01-01 --yes`, 0, []string{"There is nothing to delete"}},
		{`--predicate host="a" --start 1970-01-01T00:00:02Z --yes`, 0, []string{"1 rows are deleted (", "siltstone compact --db db --table cpu --wait"}},
	} {
		r := as("", append([]string{"delete", "rows", "-d", "db", "-t", "cpu"}, strings.Fields(c.args)...)...)
		if r.code != c.code {
			t.Errorf("%s: %+v", c.args, r)
		}
		for _, part := range c.says {
			if !strings.Contains(r.errors, part) {
				t.Errorf("%s: %q is not in %q", c.args, part, r.errors)
			}
		}
	}
	if got := p.query("SELECT host, v FROM cpu ORDER BY host"); got != "host,v\na,1.0\nb,3.0\n" {
		t.Errorf("left is\n%s", got)
	}
	if r := as("", "compact", "--db", "db", "--table", "cpu", "--wait"); r.code != 0 || !strings.Contains(r.errors, "1 files (") {
		t.Errorf("compact: %+v", r)
	}
	if r := as("", "delete", "rows", "-d", "db", "-t", "cpu", "--yes"); r.code != 0 || !strings.Contains(r.errors, "2 rows are deleted") {
		t.Errorf("%+v", r)
	}
	if r := as("", "delete", "rows", "-d", "db", "-t", "nothing", "--yes"); r.code != 1 || !strings.Contains(r.errors, "not found: db.nothing") {
		t.Errorf("%+v", r)
	}
	if got := p.query("SELECT count(*) AS n FROM cpu"); got != "n\n0\n" {
		t.Errorf("left is %s", got)
	}
}

// TestDeletionOfRowsIsConfirmedWithItsSize by typing the name of the table.
func TestDeletionOfRowsIsConfirmedWithItsSize(t *testing.T) {
	const found = `{"rows":1234,"files":2,"file_bytes":2048,"whole_files":1,"buffers":1}`
	for typed, sent := range map[string]int{"room\n": 2, "yes\n": 1, "": 1} {
		env := environment{stdin: strings.NewReader(typed), stdinTTY: true}
		r, seen := runAgainst(t, answer{200, found}, env, "delete", "rows", "-d", "home", "-t", "room", "--stop", "2020-01-01")
		if len(seen) != sent || r.code != 2-sent || !strings.Contains(r.errors, `delete rows of table "room" of database "home": 1,234 rows. Type room to go on: `) {
			t.Errorf("%q: %+v, sent %q", typed, r, seen)
		}
		if want := "DELETE /api/v3/rows?db=home&dry_run=true&stop=2020-01-01T00%3A00%3A00Z&table=room"; seen[0] != want {
			t.Errorf("sent %q, want %q", seen[0], want)
		}
	}
}
