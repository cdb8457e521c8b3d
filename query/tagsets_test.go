package query

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tagSetQuestions ask which values tags have, with bounds on time that cut files and row groups, and that do not.
func tagSetQuestions(rng *rand.Rand, now int64) (sql, ql []string) {
	at := func() string {
		return time.Unix(0, now-rng.Int64N(40)*30e9+rng.Int64N(3)-1).UTC().Format(time.RFC3339Nano)
	}
	sql = []string{
		"SELECT DISTINCT host FROM cpu ORDER BY ALL",
		"SELECT DISTINCT region, host FROM cpu ORDER BY ALL",
		"SELECT DISTINCT upper(region) AS r FROM cpu WHERE host <> 'h1' ORDER BY ALL",
		"SELECT DISTINCT rare FROM cpu ORDER BY ALL",
		fmt.Sprintf("SELECT DISTINCT host, region FROM cpu WHERE time >= '%s' ORDER BY ALL", at()),
		fmt.Sprintf("SELECT DISTINCT host FROM cpu WHERE time < '%s' AND region = 'r1' ORDER BY ALL", at()),
		fmt.Sprintf("SELECT DISTINCT host FROM cpu WHERE time BETWEEN '%s' AND '%s' ORDER BY ALL", at(), at()),
		fmt.Sprintf("SELECT DISTINCT host FROM cpu WHERE time > '%s'::TIMESTAMP_S AND time <= '%s' AND region IS NULL ORDER BY ALL", at(), at()),
		"SELECT * FROM distinct_cache('cpu') ORDER BY ALL",
	}
	ql = []string{
		`SHOW TAG VALUES WITH KEY = "host"`,
		`SHOW TAG VALUES FROM cpu WITH KEY IN ("host", "region") LIMIT 4 OFFSET 1`,
		fmt.Sprintf(`SHOW TAG VALUES FROM cpu WITH KEY =~ /./ WHERE time >= '%s'`, at()),
		fmt.Sprintf(`SHOW TAG VALUES FROM cpu WITH KEY = "host" WHERE region = 'r1' AND time >= '%s' AND time <= '%s'`, at(), at()),
		fmt.Sprintf(`SHOW TAG VALUES FROM cpu WITH KEY = "region" WHERE host =~ /h[12]/ AND time < '%s'`, at()),
	}
	return sql, ql
}

// onlyTagSets is a Querier that uses the sets of tags and no newest rows.
func (s *lastStore) onlyTagSets() *Querier {
	s.t.Helper()
	q, err := Open(Options{View: s.engine.View, Schema: s.engine.Schema, DataDir: s.dir, Threads: 2, noNewest: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return q
}

// TestTagSetsAreThoseOfTheRows: whatever is written, overwritten, late, flushed, merged, deleted and started anew.
func TestTagSetsAreThoseOfTheRows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newLastStore(t, 0)
	now := int64(epoch)
	s.write(fmt.Sprintf(`cpu,host=h0,region=r0,rare=x a=1i %d`, now-86_400e9*3))
	for range 14 {
		now = s.randomStep(rng, now)
		s.compareTagSets(tagSetQuestions(rng, now))
	}
}

// compareTagSets compares answers from sets of tags with those from the rows.
func (s *lastStore) compareTagSets(sql, ql []string) {
	s.t.Helper()
	q := s.onlyTagSets()
	defer func() { _ = q.Close() }()
	for _, text := range sql {
		if diff := cmp.Diff(answer(s.t, s.slow, "db", text), answer(s.t, q, "db", text)); diff != "" {
			s.t.Fatalf("%s\n(-rows +sets)\n%s", text, diff)
		}
	}
	for _, text := range ql {
		want, err := askInfluxQLOf(s.t, s.slow, "db", text)
		if err != nil {
			s.t.Fatal(err)
		}
		if got, err := askInfluxQLOf(s.t, q, "db", text); err != nil || !cmp.Equal(want, got) {
			s.t.Fatalf("%s: %v\n(-rows +sets)\n%s", text, err, cmp.Diff(want, got))
		}
	}
}

// TestTagSetsNeedNoRows: which questions are answered without them, also by bounds within a file, and which are not.
func TestTagSetsNeedNoRows(t *testing.T) {
	s := newLastStore(t, 0)
	var lines []string
	for i := range 4000 {
		lines = append(lines, fmt.Sprintf("cpu,host=h%d,region=r%d a=%di %d", i%40, i%40%3, i, epoch+int64(i)*1e9))
	}
	s.write(lines[:3000]...)
	s.flush()
	s.write(lines[3000:]...)
	q := s.onlyTagSets()
	defer func() { _ = q.Close() }()
	uses := func(sql string) bool {
		return strings.Contains(strings.Join(answer(t, q, "db", "EXPLAIN "+sql), "\n"), "the sets of tag values")
	}
	const middle = "'2023-11-14T22:30:00Z'"
	for _, sql := range []string{
		"SELECT DISTINCT host FROM cpu", "SELECT DISTINCT host, region FROM cpu WHERE time >= " + middle,
		"SELECT DISTINCT host FROM cpu WHERE region = 'r1' AND time < " + middle, "SELECT * FROM distinct_cache('cpu')",
	} {
		if !uses(sql) {
			t.Errorf("reads rows: %s", sql)
		}
		s.compareTagSets([]string{sql + " ORDER BY ALL"}, nil)
	}
	for _, sql := range []string{
		"SELECT DISTINCT host, a FROM cpu", "SELECT DISTINCT host FROM cpu WHERE a > 3", "SELECT DISTINCT host, time FROM cpu",
		"SELECT host, count(*) FROM cpu GROUP BY host", "SELECT DISTINCT host FROM cpu WHERE time <> " + middle,
	} {
		if uses(sql) {
			t.Errorf("reads no rows: %s", sql)
		}
	}
	if err := s.engine.SetTableRetention("db", "cpu", time.Since(time.Unix(0, epoch+2000e9+5e8))); err != nil {
		t.Fatal(err)
	}
	s.compareTagSets([]string{"SELECT DISTINCT host FROM cpu ORDER BY ALL"}, []string{`SHOW TAG VALUES WITH KEY = "host"`})
}
