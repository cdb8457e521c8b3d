package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// writeOverlaps writes rows of a few series and minutes, so that many points are written several times, in one
// buffer and in several. Tags and fields come and go.
func writeOverlaps(t testing.TB, e *engine.Engine, rng *rand.Rand, rows int) {
	var b strings.Builder
	first, zones := rng.Int64N(200), rng.IntN(3)
	fieldsOf := func() (fields []string) {
		for i, field := range []string{"f=%v", "always=%di", "n=%di", "huge=%di"} {
			switch {
			case rng.IntN(3) == 0:
			case i == 0:
				fields = append(fields, fmt.Sprintf(field, float64(rng.Int64N(2000)-1000)/8))
			default:
				fields = append(fields, fmt.Sprintf(field, rng.Int64N(1<<(10*i))-500))
			}
		}
		if len(fields) == 0 || rng.IntN(4) == 0 {
			fields = append(fields, fmt.Sprintf("u=%du", rng.Uint64()))
		}
		return fields
	}
	for range rows {
		b.WriteString("cpu")
		fmt.Fprintf(&b, ",host=host%d", rng.IntN(4))
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, ",rack=rack%d", rng.IntN(2))
		}
		if zones > 0 && rng.IntN(2) > 0 {
			fmt.Fprintf(&b, ",zone=%d", rng.IntN(zones))
		}
		fmt.Fprintf(&b, " %s %d\n", strings.Join(fieldsOf(), ","), epoch+(first+rng.Int64N(120))*int64(60e9))
	}
	req := engine.WriteRequest{Database: "db", Body: []byte(b.String()), Precision: engine.Nanosecond}
	if _, err := e.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// deleteSome deletes rows of a table of two tags at random, a few of them most often: of a range of time, of series, or both.
func deleteSome(t testing.TB, e *engine.Engine, rng *rand.Rand, tags ...string) {
	spec := engine.DeleteSpec{Database: "db", Time: schema.MaxTimeRange}
	if rng.IntN(3) > 0 {
		spec.Time.Min = epoch + (rng.Int64N(260)-20)*int64(60e9)
		spec.Time.Max = spec.Time.Min + rng.Int64N(60)*int64(60e9)
	}
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	if rng.IntN(3) > 0 || spec.Time == schema.MaxTimeRange {
		text := pick(tags...) + pick(" = ", " != ") + pick("'host1'", "'host3'", "'rack0'", "''", "'a'", "'r1'")
		if rng.IntN(3) == 0 {
			text += pick(" AND ", " OR ") + pick(tags...) + " =~ " + pick("/0/", "/^h.*2$/", "/^$/", "/b/")
		}
		var err error
		if _, spec.Where, err = influxql.ParsePredicate(strings.ReplaceAll(text, "!=", pick("!=", "="))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.DeleteRows(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// TestOverlapsAreFoldedAsDuckDBMergesThem: of a point that several files and buffers have, each field is the
// last value, wherever a unit of work ends.
func TestOverlapsAreFoldedAsDuckDBMergesThem(t *testing.T) {
	merged, units, screened := 0, 0, 0
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		e, folding, plain := foldStores(t, func(o *Options) {
			o.unitRows = []int{1, 7, 50, 0}[seed%4]
			o.onFold = func(work *folding) {
				if work.merging != nil && len(work.merging.sources) > 1 {
					merged++
					units += len(work.merging.units)
					if slices.ContainsFunc(work.merging.sources, isSeenSource) {
						screened++
					}
				}
			}
		})
		for range 4 {
			writeOverlaps(t, e, rng, 1+rng.IntN(300))
			if rng.IntN(3) > 0 {
				if err := e.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if seed > 1 {
				deleteSome(t, e, rng, "host", "rack", "zone")
			}
			for range 12 {
				sql := foldQuery(rng)
				got, want := namedAnswer(t, folding, sql), namedAnswer(t, plain, sql)
				if got != want {
					t.Fatalf("seed %d: %s\n%s\nwant\n%s", seed, sql, got, want)
				}
			}
		}
	}
	if merged == 0 || units < 2*merged || screened == 0 {
		t.Errorf("merged %d times in %d units, %d of them of files with deleted rows", merged, units, screened)
	}
}

func isSeenSource(s mergeSource) bool {
	_, ok := s.(*seenSource)
	return ok
}

// TestOverlappingRowsAreThoseThatDuckDBMerges: whatever a query makes of them, and how often it reads them.
func TestOverlappingRowsAreThoseThatDuckDBMerges(t *testing.T) {
	merged := 0
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		e, merging, plain := foldStores(t, func(o *Options) {
			o.unitRows = []int{1, 7, 50, 0}[seed%4]
			o.noFold = true
			o.onMerge = func(*mergedRows) { merged++ }
		})
		for range 4 {
			writeOverlaps(t, e, rng, 1+rng.IntN(300))
			if rng.IntN(3) > 0 {
				if err := e.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if seed > 1 {
				deleteSome(t, e, rng, "host", "rack", "zone")
			}
			for range 8 {
				sql := rowQuery(rng)
				got, want := namedAnswer(t, merging, sql), namedAnswer(t, plain, sql)
				if got != want {
					t.Fatalf("seed %d: %s\n%s\nwant\n%s", seed, sql, got, want)
				}
			}
		}
	}
	if merged == 0 {
		t.Error("nothing was merged")
	}
}

// rowQuery draws a SELECT of rows, in an order that says all.
func rowQuery(rng *rand.Rand) string {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	at := func() string { return fmt.Sprintf("make_timestamp_ns(%d)", epoch+rng.Int64N(300)*int64(60e9)) }
	where := pick("", " WHERE host = 'host1'", " WHERE rack IS NULL", " WHERE n > 100", " WHERE f IS NULL", " WHERE time >= "+at(), " WHERE time < "+at(),
		" WHERE host IN ('host0', 'host3') AND time > "+at(), " WHERE rack = 'rack0' AND always < 0", " WHERE host LIKE '%2'")
	return pick("SELECT * FROM cpu"+where+" ORDER BY ALL",
		"SELECT time, f FROM cpu"+where+" ORDER BY ALL",
		"SELECT u, huge FROM cpu"+where+" ORDER BY ALL LIMIT 7",
		"SELECT count(*), count(f), median(n), sum(always) FROM cpu"+where,
		"SELECT rack, count(DISTINCT host), max(time) FROM cpu"+where+" GROUP BY rack ORDER BY ALL",
		"SELECT count(*), sum(a.n) FROM cpu a JOIN cpu b ON a.time = b.time AND a.host = b.host")
}

// TestGallopFindsTheFirstTimeNotBefore: as a plain search does.
func TestGallopFindsTheFirstTimeNotBefore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		times := make([]int64, rng.IntN(20))
		for i := range times {
			times[i] = rng.Int64N(12)
		}
		slices.Sort(times)
		at := rng.Int64N(14) - 1
		want, _ := slices.BinarySearch(times, at)
		if got := gallop(times, at); got != want {
			t.Fatalf("%d in %v: %d, want %d", at, times, got, want)
		}
	}
}
