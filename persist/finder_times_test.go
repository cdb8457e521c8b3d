package persist

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// TestTimesInARangeAreThoseOfTheModel: of some series of a row group or parts of them, over pages that they share, regular or not.
func TestTimesInARangeAreThoseOfTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		model, _, f, src := drawFinder(rt, rng)
		var numbers Numbers
		first := 0 // row of the model at which the row group begins
		for g := range f.groups {
			all := model.rows[first : first+f.groups[g].rows]
			first += len(all)
			for range 4 {
				rows := drawSeries(rng, f, g)
				within := drawWanted(rng, &model).Time
				wantRows, wantTimes := timesOf(all, rows, within)
				if err := f.ReadTimes(src, g, rows, within, &numbers); err != nil {
					rt.Fatal(err)
				}
				for i := range rows {
					if rows[i].Count() == 0 {
						rows[i] = Rows{}
					}
				}
				if !slices.Equal(rows, wantRows) || !slices.Equal(numbers.Ints, wantTimes) {
					rt.Fatalf("%v: rows %v with times %v, want %v with %v", within, rows, numbers.Ints, wantRows, wantTimes)
				}
			}
		}
	})
}

// drawSeries draws some of the series of a row group, or parts of them.
func drawSeries(rng *rand.Rand, f *Finder, g int) (rows []Rows) {
	for _, r := range f.Series(g) {
		if rng.IntN(3) == 0 {
			r.From += rng.IntN(r.Count())
			r.To -= rng.IntN(r.Count() + 1)
		}
		if rng.IntN(4) > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}

// timesOf returns the rows of each series that lie in a range, the zero Rows for none, and their times.
func timesOf(all []row, series []Rows, within schema.TimeRange) (rows []Rows, times []int64) {
	for _, r := range series {
		kept := Rows{}
		for i := r.From; i < r.To; i++ {
			if !within.Contains(all[i].time) {
				continue
			}
			if kept.Count() == 0 {
				kept.From = i
			}
			kept.To = i + 1
			times = append(times, all[i].time)
		}
		rows = append(rows, kept)
	}
	return rows, times
}
