package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// lastStore is an engine with two queriers, of which one ignores what the engine keeps of newest rows.
type lastStore struct {
	t          *testing.T
	dir        string
	pool       int64
	engine     *engine.Engine
	fast, slow *Querier
}

func newLastStore(t *testing.T, pool int64) *lastStore {
	s := &lastStore{t: t, dir: t.TempDir(), pool: pool}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *lastStore) open() {
	s.t.Helper()
	var err error
	if s.engine, err = engine.Open(engine.Options{DataDir: s.dir, PoolBytes: s.pool}); err != nil {
		s.t.Fatal(err)
	}
	if s.fast, err = Open(Options{View: s.engine.View, Schema: s.engine.Schema, DataDir: s.dir, Threads: 2}); err != nil {
		s.t.Fatal(err)
	}
	if s.slow, err = Open(Options{View: s.engine.View, Schema: s.engine.Schema, DataDir: s.dir, Threads: 2, ignoreNewest: true}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *lastStore) close() {
	for _, q := range []*Querier{s.fast, s.slow} {
		_ = q.Close()
	}
	if err := s.engine.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *lastStore) write(lines ...string) {
	s.t.Helper()
	req := engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond}
	if _, err := s.engine.Write(s.t.Context(), req); err != nil {
		s.t.Fatal(err)
	}
}

func (s *lastStore) flush() {
	s.t.Helper()
	if err := s.engine.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// usesNewest reports whether a query is answered from newest rows.
func (s *lastStore) usesNewest(sql string) bool {
	s.t.Helper()
	plan := strings.Join(answer(s.t, s.fast, "db", "EXPLAIN "+sql), "\n")
	return strings.Contains(plan, "the newest row of each series") && !strings.Contains(plan, " pruned (")
}

// newestQueries depend on newest rows only, as long as no field is null in one. The order decides between
// rows of one time.
var newestQueries = []string{
	"SELECT DISTINCT ON (host, region) * FROM cpu ORDER BY host, region, time DESC",
	"SELECT DISTINCT ON (host) * FROM cpu ORDER BY host, time DESC, region",
	"SELECT DISTINCT ON (c.host) c.time, c.host, a + 1 AS more FROM cpu c WHERE region IN ('r0', 'r1') ORDER BY c.host, c.time DESC, a, f",
	"SELECT DISTINCT ON (host) host, region, time FROM cpu WHERE host LIKE 'h%' AND NOT (host = 'h3') ORDER BY host, region DESC, time DESC LIMIT 3",
	"SELECT DISTINCT ON (host, region) host, region, s FROM cpu WHERE time >= '2023-11-14T22:15:00Z' ORDER BY host, region, time DESC",
	"SELECT DISTINCT ON (host, region) host, region, time FROM cpu WHERE time > '2023-11-14T22:15:00Z' AND time < '2033-01-01' ORDER BY host, region, time DESC",
	"SELECT * FROM cpu WHERE host = 'h1' ORDER BY time DESC, region LIMIT 1",
	"SELECT f, time FROM cpu WHERE host = 'h1' AND region IS NULL ORDER BY time DESC LIMIT 1",
	"SELECT time, host, region FROM cpu ORDER BY time DESC, host, region LIMIT 1",
	"SELECT DISTINCT ON (region) s AS text, cpu.host, u, b, f, time, region AS r FROM cpu WHERE host = 'h2' AND region = 'r1' ORDER BY region, time DESC",
	"SELECT DISTINCT ON (region, host) * FROM cpu WHERE host = 'h4' ORDER BY host DESC, region DESC, time DESC",
	"SELECT DISTINCT ON (host, region) * FROM cpu WHERE host = 'nobody' ORDER BY host, region, time DESC",
	"SELECT host, max(time) AS newest FROM cpu GROUP BY host ORDER BY host",
	"SELECT host AS h, region, max(time) FROM cpu GROUP BY 1, region HAVING max(time) > '2023-11-14' ORDER BY 1, 2",
	"SELECT max(time), count(DISTINCT host) FROM cpu",
	"SELECT DISTINCT host FROM cpu ORDER BY host",
	"SELECT host, region FROM cpu WHERE region <> 'r0' GROUP BY host, region ORDER BY ALL",
	"SELECT c.* FROM cpu c JOIN (SELECT host, region, max(time) AS time FROM cpu GROUP BY host, region) l ON c.host = l.host AND c.region = l.region AND c.time = l.time ORDER BY c.host, c.region",
	"SELECT c.host, c.time, c.a FROM cpu c JOIN (SELECT host, max(time) AS m FROM cpu WHERE host <> 'h2' GROUP BY host) l ON l.host = c.host AND c.time = l.m WHERE a IS NOT NULL ORDER BY ALL",
	"SELECT host, time, u FROM cpu JOIN (SELECT host, max(time) AS time FROM cpu GROUP BY host) l USING (host, time) ORDER BY ALL",
	"SELECT * FROM (SELECT DISTINCT ON (host, region) host, region, b FROM cpu ORDER BY host, region, time DESC) WHERE b ORDER BY ALL",
}

// maybeNewest do so if the fields have values in the newest rows.
var maybeNewest = []string{
	"SELECT host, region, selector_last(a, time)['value'] AS v, selector_last(a, time)['time'] AS t FROM cpu GROUP BY host, region ORDER BY ALL",
	"SELECT host, region, arg_max(s, time) AS s, arg_max(f, time), max(time) FROM cpu GROUP BY host, region ORDER BY host, region",
	"SELECT DISTINCT ON (host, region) host, region, time FROM cpu WHERE time < '2023-11-14T22:15:00Z' ORDER BY host, region, time DESC",
}

// otherQueries look like them and do not.
var otherQueries = []string{
	"SELECT DISTINCT ON (host, region) * FROM cpu ORDER BY host, region, time",
	"SELECT DISTINCT ON (host, region) * FROM cpu WHERE a > 3 ORDER BY host, region, time DESC",
	"SELECT DISTINCT ON (host, region) host, a FROM cpu ORDER BY host, region, a DESC, time DESC",
	"SELECT DISTINCT ON (host, region) host, region, a AS time FROM cpu ORDER BY host, region, time DESC",
	"SELECT DISTINCT ON (a) a FROM cpu ORDER BY a, time DESC, host, region",
	"SELECT * FROM cpu WHERE host = 'h1' ORDER BY time DESC, region LIMIT 2",
	"SELECT * FROM cpu WHERE host = 'h1' ORDER BY time DESC, region LIMIT 1 OFFSET 1",
	"SELECT time, count(*) OVER () FROM cpu ORDER BY time DESC, host, region LIMIT 1",
	"SELECT host, max(time), count(*) FROM cpu GROUP BY host ORDER BY host",
	"SELECT a AS host, max(time) FROM cpu GROUP BY a ORDER BY ALL",
	"SELECT host AS a, max(time) FROM cpu GROUP BY a, host ORDER BY ALL",
	"SELECT max(time) FILTER (WHERE a > 5) FROM cpu",
	"SELECT host, max(time) FROM cpu WHERE time <> '2023-11-14T22:15:00Z' GROUP BY host ORDER BY host",
	"SELECT DISTINCT host, a FROM cpu ORDER BY ALL",
	"SELECT c.host, c.time FROM cpu c JOIN (SELECT host, max(time) AS m FROM cpu WHERE region = 'r0' GROUP BY host) l ON c.host = l.host AND c.time = l.m ORDER BY ALL",
	"SELECT c.host, c.time FROM cpu c JOIN (SELECT host, region, max(time) AS m FROM cpu GROUP BY host, region) l ON c.host = l.host AND c.time = l.m ORDER BY ALL",
	"SELECT c.host, c.time FROM cpu c LEFT JOIN (SELECT host, max(time) AS m FROM cpu GROUP BY host) l ON c.host = l.host AND c.time = l.m ORDER BY ALL",
	"SELECT (SELECT max(time) FROM cpu), count(*) FROM cpu",
}

// check compares the answers of both queriers.
func (s *lastStore) check(queries ...string) {
	s.t.Helper()
	for _, sql := range queries {
		if diff := cmp.Diff(answer(s.t, s.slow, "db", sql), answer(s.t, s.fast, "db", sql)); diff != "" {
			s.t.Fatalf("%s\n(-whole table +newest rows)\n%s", sql, diff)
		}
	}
}

// checkInfluxQL is check for InfluxQL.
func (s *lastStore) checkInfluxQL(queries ...string) {
	s.t.Helper()
	for _, text := range queries {
		want, err := askInfluxQLOf(s.t, s.slow, "db", text)
		if err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
		if got, err := askInfluxQLOf(s.t, s.fast, "db", text); err != nil || !cmp.Equal(want, got) {
			s.t.Fatalf("%s: %v\n(-whole table +newest rows)\n%s", text, err, cmp.Diff(want, got))
		}
	}
}

// deleteSome deletes rows of one host, which may be its newest.
func (s *lastStore) deleteSome(rng *rand.Rand, now int64) {
	s.t.Helper()
	from := now - rng.Int64N(20)*60e9
	err := s.engine.DeleteRows(s.t.Context(), engine.DeleteSpec{
		Database: "db", Time: schema.TimeRange{Min: from, Max: from + 300e9},
		Where: &schema.Predicate{Op: schema.Equal, Tag: "host", Text: fmt.Sprintf("h%d", rng.IntN(5))},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// randomLine is a point of one of some series, near a time that moves on, or late, or at a time that
// repeats, with some of the fields.
func randomLine(rng *rand.Rand, now int64) string {
	at := now
	switch rng.IntN(6) {
	case 0:
		at -= rng.Int64N(1e9)
	case 1:
		at -= rng.Int64N(20) * 60e9
	case 2:
		at -= rng.Int64N(3) * 86_400e9
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cpu,host=h%d", rng.IntN(5))
	if r := rng.IntN(4); r > 0 {
		fmt.Fprintf(&b, ",region=r%d", r-1)
	}
	fields := []string{
		fmt.Sprintf("a=%di", rng.IntN(10)), fmt.Sprintf("f=%d.5", rng.IntN(10)), fmt.Sprintf("u=%du", rng.IntN(10)),
		fmt.Sprintf("b=%v", rng.IntN(2) == 0), fmt.Sprintf("s=%q", strings.Repeat("x", rng.IntN(20))),
	}
	if rng.IntN(3) == 0 {
		rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		fields = fields[:1+rng.IntN(4)]
	}
	fmt.Fprintf(&b, " %s %d", strings.Join(fields, ","), at)
	return b.String()
}

// randomStep mostly writes rows, at the time now or a little later; the others are flushes, compactions, restarts and deletions.
func (s *lastStore) randomStep(rng *rand.Rand, now int64) int64 {
	s.t.Helper()
	switch rng.IntN(9) {
	case 0, 1:
		s.flush()
	case 2:
		s.flush()
		if _, err := s.engine.Compact(s.t.Context(), engine.CompactOptions{}); err != nil {
			s.t.Fatal(err)
		}
	case 3:
		s.close()
		s.open()
	case 4:
		s.deleteSome(rng, now)
	default:
		now += rng.Int64N(3) * 60e9
		var lines []string
		for range 1 + rng.IntN(30) {
			lines = append(lines, randomLine(rng, now))
		}
		s.write(lines...)
	}
	return now
}

// Whatever is written, overwritten, late, flushed and started anew: newest rows are answered as the
// table is.
func TestNewestRowsAreThoseOfTheTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newLastStore(t, 0)
	now := int64(epoch)
	s.write(fmt.Sprintf(`cpu,host=h0,region=r0 a=1i,f=1.5,u=1u,b=true,s="x" %d`, now)) // all columns exist
	for range 25 {
		now = s.randomStep(rng, now)
		s.checkInfluxQL("SELECT last(a) FROM cpu GROUP BY *", "SELECT * FROM cpu GROUP BY * ORDER BY time DESC LIMIT 1")
		for range 6 { // not all each time, so that what is kept is behind by more than a step
			all := [][]string{newestQueries, maybeNewest, otherQueries}[rng.IntN(3)]
			s.check(all[rng.IntN(len(all))])
		}
	}
	s.write("cpu,host=h1 a=1i,f=1,u=1u,b=true,s=\"x\" 1")
	s.check(newestQueries...)
	s.check(maybeNewest...)
	s.check(otherQueries...)
}

func TestNewestRowsAreUsedWhereTheySuffice(t *testing.T) {
	s := newLastStore(t, 0)
	var complete []string
	for host := range 5 {
		for region := range 3 {
			complete = append(complete, fmt.Sprintf(`cpu,host=h%d,region=r%d a=1i,f=2.5,u=3u,b=true,s="x" %d`, host, region, epoch+int64(host)*60e9))
		}
	}
	s.write(complete...)
	s.flush()
	s.write(complete...)
	for _, sql := range append(newestQueries, maybeNewest[:2]...) {
		if !s.usesNewest(sql) {
			t.Errorf("reads the table: %s", sql)
		}
		if diff := cmp.Diff(layoutOf(t, s.slow, sql), layoutOf(t, s.fast, sql)); diff != "" {
			t.Errorf("%s: columns (-whole table +newest rows)\n%s", sql, diff)
		}
	}
	for _, sql := range append(otherQueries, maybeNewest[2]) {
		if s.usesNewest(sql) {
			t.Errorf("reads newest rows only: %s", sql)
		}
	}
	s.write(fmt.Sprintf("cpu,host=h0,region=r0 a=2i %d", epoch+int64(3600e9)))
	for i, sql := range maybeNewest[:2] {
		if s.usesNewest(sql) != (i == 0) {
			t.Errorf("a newest row without f: %s", sql)
		}
	}
	s.check(maybeNewest...)
	var many []string
	for i := range 2*directRecordRows + 1 {
		many = append(many, fmt.Sprintf("many,host=%d n=%di %d", i, i, epoch))
	}
	s.write(many...)
	s.check("SELECT DISTINCT ON (host) * FROM many ORDER BY host, time DESC", "SELECT n FROM many WHERE host = '17' ORDER BY time DESC LIMIT 1")
}

// layoutOf is the schema of an answer, as text.
func layoutOf(t *testing.T, q *Querier, sql string) string {
	t.Helper()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.Schema().String()
}

// What a reader has seen by any query the next one sees by the newest rows, and the other way around.
func TestNewestRowsAreNeitherBehindNorAhead(t *testing.T) {
	s := newLastStore(t, 0)
	s.write(fmt.Sprintf("cpu,host=a n=0i %d", epoch))
	ctx, cancel := context.WithCancel(t.Context())
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			s.write(fmt.Sprintf("cpu,host=a n=%di %d", i, epoch+int64(i)), fmt.Sprintf("cpu,host=b n=%di %d", i, epoch))
			if i%50 == 0 {
				s.flush()
			}
		}
	})
	const (
		newest = "SELECT max(n) FROM (SELECT DISTINCT ON (host) n FROM cpu ORDER BY host, time DESC)"
		counts = "SELECT count(*) - 1 FROM cpu WHERE host = 'a'"
		both   = "SELECT (SELECT count(*) FROM cpu WHERE host = 'a') - 1 - (SELECT n FROM cpu WHERE host = 'a' ORDER BY time DESC LIMIT 1)"
	)
	for range 3 {
		readers.Go(func() {
			seen := 0
			for range 25 {
				for _, sql := range []string{newest, counts} {
					rows, err := tryAnswer(t, s.fast, Request{Database: "db", SQL: sql})
					var n int
					if err != nil || len(rows) != 1 {
						t.Errorf("%s: %v %v", sql, rows, err)
						return
					}
					if _, err := fmt.Sscan(rows[0], &n); err != nil || n < seen {
						t.Errorf("%s: %d after %d (%v)", sql, n, seen, err)
						return
					}
					seen = n
				}
				if rows, err := tryAnswer(t, s.fast, Request{Database: "db", SQL: both}); err != nil || rows[0] != "0" {
					t.Errorf("newest row and count differ by %v %v", rows, err)
				}
			}
		})
	}
	readers.Wait()
	cancel()
	writer.Wait()
	s.check(newest, counts)
}

// With a pool that has no room for the newest rows a query reads the table.
func TestNewestRowsStayWithinThePool(t *testing.T) {
	s := newLastStore(t, 32<<20)
	var lines []string
	for i := range 12_000 {
		lines = append(lines, fmt.Sprintf("cpu,host=%0100d,region=r n=%di %d", i, i, epoch))
	}
	s.write(lines...)
	s.write(fmt.Sprintf("few,host=a n=1i %d", epoch))
	s.flush()
	used := func() int64 { return s.engine.Stats().BufferBytes }
	const large, small = "SELECT count(*) FROM (SELECT DISTINCT ON (host) * FROM cpu ORDER BY host, time DESC)", "SELECT DISTINCT ON (host) * FROM few ORDER BY host, time DESC"
	if s.check(small); !s.usesNewest(small) || used() == 0 {
		t.Errorf("newest rows of a small table are not kept, or not accounted for: %d bytes", used())
	}
	if s.check(large); s.usesNewest(large) {
		t.Error("newest rows of a large table are kept")
	}
	if s.check(small); !s.usesNewest(small) {
		t.Error("newest rows of a small table are not kept beside a large one")
	}
}
