package persist

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// TestSumsOfRowsAreThoseOfTheModel: any ranges of rows, over pages that they share, with nulls, in each encoding.
func TestSumsOfRowsAreThoseOfTheModel(t *testing.T) {
	checked := 0
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		model, _, f, src := drawFinder(rt, rng)
		var sums Sums
		for column, c := range model.columns {
			first := 0 // row of the model at which the row group begins
			for g := range f.groups {
				rows := drawRows(rng, f.groups[g].rows)
				err := f.SumIntegers(src, g, c.ID, rows, &sums)
				if c.Type != schema.Int64 {
					if !errors.Is(err, ErrNotSupported) {
						rt.Fatalf("column of %v: %v", c.Type, err)
					}
					continue
				}
				if err != nil {
					rt.Fatal(err)
				}
				for k, r := range rows {
					checked++
					checkSumOf(rt, &sums.All[k], model.rows[first+r.From:first+r.To], column)
				}
				first += f.groups[g].rows
			}
		}
	})
	if checked == 0 {
		t.Error("there were no sums")
	}
}

// drawRows draws ranges of some rows.
func drawRows(rng *rand.Rand, rows int) (all []Rows) {
	longest := 1 + rng.IntN(rows)
	for at := 0; at < rows; {
		r := Rows{From: min(rows, at+rng.IntN(longest))}
		r.To = min(rows, r.From+rng.IntN(longest))
		all, at = append(all, r), r.To+rng.IntN(2)
	}
	return all
}

func checkSumOf(t *rapid.T, got *Sum, rows []row, column int) {
	count, want := int64(0), new(big.Int)
	for _, r := range rows {
		if v, ok := r.values[column].(int64); ok {
			count++
			want.Add(want, big.NewInt(v))
		}
	}
	sum, ok := got.Int64()
	if got.Count != count || ok != want.IsInt64() || ok && sum != want.Int64() {
		t.Fatalf("%d values have the sum %d (%v), want %d and %d", got.Count, sum, ok, count, want)
	}
}
