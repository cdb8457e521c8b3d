package query

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// retentionStore is two engines: one got all rows and keeps those of a period, the other got only
// these. Nothing may tell their answers apart.
type retentionStore struct {
	t          *testing.T
	all, kept  *engine.Engine
	limited    *Querier
	plain      *Querier
	now, floor int64
}

func newRetentionStore(t *testing.T, now int64, period time.Duration) *retentionStore {
	s := &retentionStore{t: t, now: now, floor: now - int64(period)}
	s.all, s.limited = s.open()
	s.kept, s.plain = s.open()
	return s
}

// open opens an engine whose clock stands still.
func (s *retentionStore) open() (*engine.Engine, *Querier) {
	dir := s.t.TempDir()
	e, err := engine.Open(engine.Options{
		DataDir: dir, Now: func() time.Time { return time.Unix(0, s.now) }, Elapsed: func() time.Duration { return 0 },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = e.Close() })
	q, err := Open(Options{View: e.View, Schema: e.Schema, DataDir: dir, Threads: 2, Now: func() time.Time { return time.Unix(0, s.now) }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = q.Close() })
	return e, q
}

// timedLine is a line without its time.
type timedLine struct {
	text string
	at   int64
}

func (s *retentionStore) write(lines []timedLine) {
	s.t.Helper()
	for _, to := range []struct {
		engine *engine.Engine
		from   int64
	}{{s.all, schema.MaxTimeRange.Min}, {s.kept, s.floor}} {
		var b strings.Builder
		for _, l := range lines {
			if l.at >= to.from {
				fmt.Fprintf(&b, "%s %d\n", l.text, l.at)
			}
		}
		result, err := to.engine.Write(s.t.Context(), engine.WriteRequest{Database: "t", Body: []byte(b.String()), Precision: engine.Nanosecond})
		if err != nil || result.Rejected > 0 {
			s.t.Fatal(err, result)
		}
	}
}

func (s *retentionStore) flush() {
	s.t.Helper()
	for _, e := range []*engine.Engine{s.all, s.kept} {
		if err := e.Flush(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// lines draws rows around the end of the period. The first has all columns, now.
func (s *retentionStore) lines(rng *rand.Rand, n int) []timedLine {
	lines := []timedLine{{`cpu,host=h0,region=r0,rack=k0 a=1i,f=1,u=1u,b=true,s="x",n=1i,always=1i,huge=1i`, s.now}}
	for range n {
		at := s.floor + rng.Int64N(int64(6*time.Hour)) - int64(3*time.Hour)
		switch rng.IntN(8) {
		case 0:
			at = s.floor + rng.Int64N(5) - 2
		case 1:
			at = min(at, s.floor-1) / int64(time.Hour) * int64(time.Hour) // a point again and again
		}
		host := rng.IntN(4)
		if at < s.floor && rng.IntN(3) == 0 {
			host = 4 + rng.IntN(2) // of which nothing is kept
		}
		text := fmt.Sprintf("cpu,host=h%d", host)
		if rng.IntN(3) > 0 {
			text += fmt.Sprintf(",region=r%d", rng.IntN(2))
		}
		text += fmt.Sprintf(" always=%di,a=%di", rng.Int64N(100), rng.Int64N(10))
		if rng.IntN(2) > 0 {
			text += fmt.Sprintf(",f=%v,n=%di,s=\"t%d\"", float64(rng.Int64N(100))/8, rng.Int64N(1000), rng.IntN(5))
		}
		if rng.IntN(3) == 0 {
			text += fmt.Sprintf(",u=%du,b=%t", rng.Int64N(10), rng.IntN(2) == 0)
		}
		lines = append(lines, timedLine{text, at})
	}
	return lines
}

// compare asks both for the same.
func (s *retentionStore) compare(queries ...string) {
	s.t.Helper()
	for _, sql := range queries {
		limited, err := tryAnswer(s.t, s.limited, Request{Database: "t", SQL: sql})
		plain, plainErr := tryAnswer(s.t, s.plain, Request{Database: "t", SQL: sql})
		if (err == nil) != (plainErr == nil) {
			s.t.Fatalf("%s: %v, and without retention %v", sql, err, plainErr)
		}
		if diff := cmp.Diff(plain, limited); diff != "" {
			s.t.Fatalf("%s\n(-only kept rows +kept of all)\n%s", sql, diff)
		}
	}
}

// retainedQueries read a table in other forms than those of the other lists.
var retainedQueries = []string{
	"SELECT count(*), count(f), min(time), max(time) FROM cpu",
	"SELECT * FROM cpu ORDER BY ALL",
	"SELECT * FROM cpu WHERE host = 'h1' ORDER BY ALL",
	"SELECT * FROM cpu WHERE host IN ('h2', 'h5') AND region = 'r1' ORDER BY ALL",
	"SELECT a, count(*) FROM cpu WHERE host = 'h5' GROUP BY a ORDER BY ALL",
	"SELECT time, a FROM cpu WHERE time < '1980-01-01' ORDER BY ALL",
	"SELECT count(*) FROM cpu x JOIN cpu y ON x.host = y.host AND x.time = y.time",
	"SELECT host, sum(always), avg(f) FROM cpu WHERE time > '2020-01-01' GROUP BY host ORDER BY ALL",
	"WITH c AS (SELECT host, time FROM cpu) SELECT host, min(time) FROM c GROUP BY host ORDER BY ALL",
}

var retainedInfluxQL = []string{
	"SELECT * FROM cpu", "SELECT count(*) FROM cpu", "SELECT first(a), last(a) FROM cpu GROUP BY *", "SELECT last(a) FROM cpu GROUP BY *",
	"SELECT mean(f) FROM cpu GROUP BY time(1h), host", "SELECT * FROM cpu GROUP BY * ORDER BY time DESC LIMIT 1", "SELECT distinct(a) FROM cpu",
	"SELECT count(a) FROM cpu WHERE time < '2200-01-01T00:00:00Z'", "SHOW SERIES", "SHOW SERIES FROM cpu WHERE host =~ /h[45]/",
	"SHOW TAG VALUES FROM cpu WITH KEY = host", "SHOW TAG VALUES WITH KEY IN (host, region)", "SHOW SERIES EXACT CARDINALITY",
	"SHOW TAG VALUES EXACT CARDINALITY WITH KEY = host", "SHOW TAG KEYS", "SHOW FIELD KEYS", "SHOW MEASUREMENTS",
	"SELECT * FROM (SELECT max(always) FROM cpu GROUP BY host)", "SELECT top(a, host, 2) FROM cpu",
}

func (s *retentionStore) compareInfluxQL() {
	s.t.Helper()
	for _, text := range retainedInfluxQL {
		if _, err := influxql.Parse(text, nil); err != nil {
			s.t.Fatal(err)
		}
		limited, err := askInfluxQL(s.t, s.limited, text)
		plain, plainErr := askInfluxQL(s.t, s.plain, text)
		if err != nil || plainErr != nil {
			s.t.Fatalf("%s: %v, %v", text, err, plainErr)
		}
		if diff := cmp.Diff(plain, limited); diff != "" {
			s.t.Fatalf("%s\n(-only kept rows +kept of all)\n%s", text, diff)
		}
	}
}

// TestNoQuerySeesExpiredRows: not from files, buffers or what is kept of either, in any form.
func TestNoQuerySeesExpiredRows(t *testing.T) {
	const period = 48 * time.Hour
	for name, limit := range map[string]func(e *engine.Engine) error{
		"of the database": func(e *engine.Engine) error { return e.SetRetention("t", period) },
		"of the table, longer than the database's": func(e *engine.Engine) error {
			return errors.Join(e.SetTableRetention("t", "cpu", period), e.SetRetention("t", time.Minute))
		},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(len(name)), 7))
			s := newRetentionStore(t, epoch+int64(72*time.Hour), period)
			for range 1 + rng.IntN(3) {
				s.write(s.lines(rng, rng.IntN(300)))
				s.flush()
			}
			s.write(s.lines(rng, rng.IntN(100)))
			if err := limit(s.all); err != nil {
				t.Fatal(err)
			}
			s.compareAll(rng)
			s.flush()
			s.compare(retainedQueries...)
		})
	}
}

func (s *retentionStore) compareAll(rng *rand.Rand) {
	s.t.Helper()
	s.compare(slices.Concat(retainedQueries, newestQueries, maybeNewest, otherQueries)...)
	for range 6 {
		s.compare(strings.ReplaceAll(foldQuery(rng), "LIMIT 3", ""))
	}
	s.compareInfluxQL()
}

// TestExpiredVersionsAreNoRecords: a record whose newest version has expired is gone.
func TestExpiredVersionsAreNoRecords(t *testing.T) {
	const period = 48 * time.Hour
	rng := rand.New(rand.NewPCG(1, 2))
	s := newRetentionStore(t, epoch, period)
	for _, e := range []*engine.Engine{s.all, s.kept} {
		if err := e.CreateTable("t", engine.TableSpec{
			Name: "people", Key: schema.TableKey{Rule: schema.LatestByTag, Tag: "id"},
			Columns: []engine.ColumnSpec{{Name: "id", Type: schema.Tag}, {Name: "v", Type: schema.Int64}, {Name: schema.DeletedColumn, Type: schema.Bool}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		var lines []timedLine
		for range 60 {
			text := fmt.Sprintf("people,id=p%d v=%di,%s=%t", rng.IntN(30), rng.IntN(9), schema.DeletedColumn, rng.IntN(6) == 0)
			lines = append(lines, timedLine{text, s.floor + rng.Int64N(1000) - 700})
		}
		s.write(lines)
		if rng.IntN(3) > 0 {
			s.flush()
		}
	}
	if err := s.all.SetRetention("t", period); err != nil {
		t.Fatal(err)
	}
	s.compare("SELECT * FROM people ORDER BY ALL", "SELECT count(*) FROM people", "SELECT * FROM people WHERE id IN ('p1', 'p2', 'p3', 'p4') ORDER BY ALL",
		"SELECT DISTINCT ON (id) * FROM people ORDER BY id, time DESC", "SELECT v, count(*) FROM people GROUP BY v ORDER BY ALL")
}
