package datasets

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestSetsHoldWhatTheyDeclare counts lines, points and tables of each set (D1) and
// reads its time stamps in the declared precision: all must fall between 2015 and 2026.
func TestSetsHoldWhatTheyDeclare(t *testing.T) {
	for _, set := range All() {
		t.Run(set.Name, func(t *testing.T) {
			body, err := set.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			points, tables, keys := 0, map[string]bool{}, map[string]bool{}
			for line := range bytes.Lines(body) {
				line = bytes.TrimSpace(line)
				if len(line) == 0 {
					continue
				}
				points++
				tables[string(line[:bytes.IndexByte(line, ',')])] = true
				keys[key(line)] = true
				if at := stamp(t, set, line); at.Year() < 2015 || at.Year() > 2026 {
					t.Fatalf("%s has the time %s", line, at)
				}
			}
			if lines := bytes.Count(body, []byte("\n")); points != set.Points || lines != set.Lines || len(keys) != set.Points {
				t.Errorf("%d points with %d keys on %d lines; declared %d on %d",
					points, len(keys), lines, set.Points, set.Lines)
			}
			got := slices.Sorted(maps.Keys(tables))
			if !slices.Equal(got, set.Tables) {
				t.Errorf("tables %v, declared %v", got, set.Tables)
			}
		})
	}
}

// key is a point's identity, table, tags and time: all but the fields, which begin
// behind the first space that is not escaped.
func key(line []byte) string {
	fields := 1
	for line[fields] != ' ' || line[fields-1] == '\\' {
		fields++
	}
	return string(line[:fields]) + string(line[bytes.LastIndexByte(line, ' '):])
}

func stamp(t *testing.T, set Set, line []byte) time.Time {
	t.Helper()
	n, err := strconv.ParseInt(string(line[bytes.LastIndexByte(line, ' ')+1:]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	switch set.Precision {
	case "second":
		return time.Unix(n, 0)
	case "nanosecond":
		return time.Unix(0, n)
	}
	t.Fatalf("unknown precision %q", set.Precision)
	return time.Time{}
}
