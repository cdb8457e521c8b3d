package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

// fewStore is a real engine, asked in two ways: as it is, and with all files left to DuckDB.
type fewStore struct {
	dir        string
	engine     *engine.Engine
	fast, slow *Querier
}

func newFewStore(t *testing.T) *fewStore {
	s := &fewStore{dir: t.TempDir()}
	var err error
	if s.engine, err = engine.Open(engine.Options{DataDir: s.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	s.fast = s.open(t, s.engine.View)
	s.slow = s.open(t, func(ctx context.Context, database string, tables []string) (*engine.View, error) {
		v, err := s.engine.View(ctx, database, tables)
		if err != nil {
			return nil, err
		}
		for i, tv := range v.Tables {
			v.Tables[i] = &engine.TableView{Table: tv.Table, Files: tv.Files, Buffers: tv.Buffers}
		}
		return v, nil
	})
	return s
}

func (s *fewStore) open(t *testing.T, view func(context.Context, string, []string) (*engine.View, error)) *Querier {
	q, err := Open(Options{View: view, DataDir: s.dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func (s *fewStore) write(t *testing.T, lines []string) {
	t.Helper()
	req := engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond}
	if _, err := s.engine.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

func (s *fewStore) flush(t *testing.T) {
	t.Helper()
	if err := s.engine.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fewLines are points of a few series whose times may repeat others, each with some of the fields.
func fewLines(rng *rand.Rand, n int) []string {
	begin, lines := rng.IntN(1000), make([]string, n)
	for i := range lines {
		fields := []string{
			fmt.Sprintf("f=%d.5", rng.IntN(100)), fmt.Sprintf("n=%di", rng.IntN(100)),
			fmt.Sprintf("u=%du", rng.Uint64()), fmt.Sprintf("ok=%t", rng.IntN(2) == 0), fmt.Sprintf(`s="a text of some length, %d"`, rng.IntN(9)),
		}
		rng.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
		series := fmt.Sprintf("m,host=h%d", rng.IntN(6))
		if r := rng.IntN(3); r > 0 {
			series += fmt.Sprintf(",region=r%d", r)
		}
		if rng.IntN(40) == 0 {
			series = "m" // no tags
		}
		lines[i] = fmt.Sprintf("%s %s %d", series, strings.Join(fields[:1+rng.IntN(len(fields))], ","), epoch+int64(begin+rng.IntN(300)))
	}
	return lines
}

func fewQuery(rng *rand.Rand) string {
	conditions := []string{[]string{
		"host = 'h1'", "host IN ('h0', 'h3', 'h9')", "host = 'nobody'", "region = 'r2'", "host = 'h2' AND region = 'r1'", "region IN ('r1') AND host IN ('h4', 'h5')",
	}[rng.IntN(6)]}
	if rng.IntN(3) > 0 {
		from := rng.IntN(1200)
		conditions = append(conditions, fmt.Sprintf("time >= make_timestamp_ns(%d) AND time < make_timestamp_ns(%d)", epoch+int64(from), epoch+int64(from+rng.IntN(400))))
	}
	if rng.IntN(3) == 0 {
		conditions = append(conditions, []string{"n > 50", "f IS NULL", "ok", "s LIKE '%3'"}[rng.IntN(4)])
	}
	what := []string{"*", "time, host, n", "count(*), count(f), sum(n), max(s), min(u)", "region, n, f, ok, u, s", "count(*)"}[rng.IntN(5)]
	return "SELECT " + what + " FROM m WHERE " + strings.Join(conditions, " AND ")
}

// Rows that are read here must be those that DuckDB reads, whatever overlaps with whatever.
func TestFewRowsAreThoseThatDuckDBReads(t *testing.T) {
	s := newFewStore(t)
	rng := rand.New(rand.NewPCG(11, 0))
	read := 0
	for round := range 6 {
		s.write(t, fewLines(rng, 20+rng.IntN(600)))
		if round != 3 {
			s.flush(t)
		}
		for range 25 {
			sql := fewQuery(rng)
			want, got := sorted(answer(t, s.slow, "db", sql)), sorted(answer(t, s.fast, "db", sql))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("round %d: %s (-want +got)\n%s\n%s", round, sql, diff, strings.Join(answer(t, s.fast, "db", "EXPLAIN "+sql), "\n"))
			}
			if strings.Contains(strings.Join(answer(t, s.fast, "db", "EXPLAIN "+sql), "\n"), "found  ") {
				read++
			}
		}
	}
	if read < 50 {
		t.Errorf("%d of the queries read their rows here", read)
	}
}

func TestManyRowsAreLeftToDuckDB(t *testing.T) {
	s := newFewStore(t)
	lines := make([]string, 0, 2*maxFewBytes/24)
	for i := range cap(lines) {
		lines = append(lines, fmt.Sprintf("m,host=a n=%di %d", i, epoch+int64(i)))
	}
	s.write(t, lines)
	s.flush(t)
	for sql, few := range map[string]bool{
		"SELECT sum(n) FROM m WHERE host = 'a'":                                                         false,
		fmt.Sprintf("SELECT sum(n) FROM m WHERE host = 'a' AND time < make_timestamp_ns(%d)", epoch+10): false, // its times are too many
		"SELECT sum(n) FROM m": false,
	} {
		plan := strings.Join(answer(t, s.fast, "db", "EXPLAIN "+sql), "\n")
		if strings.Contains(plan, "found  ") != few {
			t.Errorf("%s:\n%s", sql, plan)
		}
	}
}

// A file that is not what was written is an error on this way too, also once it was read.
func TestFewRowsAreNotReadFromDamagedFiles(t *testing.T) {
	s := newFewStore(t)
	s.write(t, fewLines(rand.New(rand.NewPCG(5, 0)), 500))
	s.flush(t)
	const sql = "SELECT count(f) FROM m WHERE host = 'h1'"
	answer(t, s.fast, "db", sql)
	paths, err := filepath.Glob(filepath.Join(s.dir, "files", "*", "*", "*.parquet"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 4; i < len(raw)/2; i++ {
		raw[i] ^= 0x55
	}
	if err := os.WriteFile(paths[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = tryAnswer(t, s.fast, Request{Database: "db", SQL: sql})
	if !errors.Is(err, engine.ErrDamaged) {
		t.Errorf("the error is %v", err)
	}
}
