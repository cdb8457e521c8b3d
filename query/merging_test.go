package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

// writeOverlaps writes rows of a few series and minutes, so that many points are written several times, in one
// buffer and in several. Tags and fields come and go.
func writeOverlaps(t testing.TB, e *engine.Engine, rng *rand.Rand, rows int) {
	var b strings.Builder
	first, zones := rng.Int64N(200), rng.IntN(3)
	for range rows {
		b.WriteString("cpu")
		fmt.Fprintf(&b, ",host=host%d", rng.IntN(4))
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, ",rack=rack%d", rng.IntN(2))
		}
		if zones > 0 && rng.IntN(2) > 0 {
			fmt.Fprintf(&b, ",zone=%d", rng.IntN(zones))
		}
		var fields []string
		for i, field := range []string{"f=%v", "always=%di", "n=%di", "huge=%di"} {
			switch {
			case rng.IntN(3) == 0:
			case i == 0:
				fields = append(fields, fmt.Sprintf(field, float64(rng.Int64N(2000)-1000)/8))
			default:
				fields = append(fields, fmt.Sprintf(field, rng.Int64N(1<<(10*i))-500))
			}
		}
		if len(fields) == 0 {
			fields = []string{"u=1u"}
		}
		fmt.Fprintf(&b, " %s %d\n", strings.Join(fields, ","), epoch+(first+rng.Int64N(120))*int64(60e9))
	}
	req := engine.WriteRequest{Database: "db", Body: []byte(b.String()), Precision: engine.Nanosecond}
	if _, err := e.Write(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

// TestOverlapsAreFoldedAsDuckDBMergesThem: of a point that several files and buffers have, each field is the
// last value, wherever a unit of work ends.
func TestOverlapsAreFoldedAsDuckDBMergesThem(t *testing.T) {
	merged, units := 0, 0
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		e, folding, plain := foldStores(t, func(o *Options) {
			o.unitRows = []int{1, 7, 50, 0}[seed%4]
			o.onFold = func(work *folding) {
				if work.merging != nil && len(work.merging.sources) > 1 {
					merged++
					units += len(work.merging.units)
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
			for range 12 {
				sql := foldQuery(rng)
				got, want := namedAnswer(t, folding, sql), namedAnswer(t, plain, sql)
				if got != want {
					t.Fatalf("seed %d: %s\n%s\nwant\n%s", seed, sql, got, want)
				}
			}
		}
	}
	if merged == 0 || units < 2*merged {
		t.Errorf("merged %d times in %d units", merged, units)
	}
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
