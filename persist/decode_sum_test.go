package persist

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// stride returns values whose differences have some bits, around the sign too.
func stride(rng *rand.Rand, n int, width uint) []uint64 {
	values := make([]uint64, n)
	v, least := rng.Uint64N(200)-100, rng.Uint64N(9)-5
	if rng.IntN(3) == 0 {
		v = rng.Uint64()
	}
	for i := range values {
		values[i] = v
		v += least
		if width > 0 {
			v += rng.Uint64() >> (64 - width)
		}
		if width > 8 && rng.IntN(2) == 0 { // back
			v -= rng.Uint64() >> (64 - width)
		}
	}
	return values
}

// TestSumsAreThoseOfTheValues: of any part of a page, for differences of each width, also of those that
// wrap around; and what was passed over or added up leaves the reader where reading does.
func TestSumsAreThoseOfTheValues(t *testing.T) {
	sums := 0
	for width := range uint(65) {
		for seed := range uint64(12) {
			rng := rand.New(rand.NewPCG(seed, uint64(width)))
			values := stride(rng, 1+rng.IntN(900), width)
			w, err := newDeltaWords(appendDelta(nil, values), len(values))
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(values); {
				n := min(1+rng.IntN(1<<rng.IntN(9)), len(values)-at)
				part := values[at : at+n]
				place := fmt.Sprintf("width %d, seed %d: values %d to %d of %d", width, seed, at, at+n, len(values))
				switch rng.IntN(3) {
				case 0:
					if err := w.skip(n); err != nil {
						t.Fatal(err)
					}
				case 1:
					got := make([]uint64, n)
					if err := w.read(got); err != nil || fmt.Sprint(got) != fmt.Sprint(part) {
						t.Fatalf("%s: %v (%v), want %v", place, got, err, part)
					}
				default:
					got, ok, err := w.sum(n)
					if err != nil {
						t.Fatal(err)
					}
					if ok {
						sums++
						checkSum(t, place, got, part)
					}
				}
				at += n
			}
		}
	}
	if sums < 2000 {
		t.Errorf("only %d sums were known", sums)
	}
}

func checkSum(t *testing.T, place string, got int64, values []uint64) {
	t.Helper()
	want := new(big.Int)
	for _, v := range values {
		want.Add(want, big.NewInt(int64(v)))
	}
	if want.Cmp(big.NewInt(got)) != 0 {
		t.Fatalf("%s: %d, want %d", place, got, want)
	}
}

// TestSumsOfSmallNumbersAreKnown: those that need no second look, as the values of most fields.
func TestSumsOfSmallNumbersAreKnown(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for width := range uint(40) {
		values := make([]uint64, 5000)
		for i := range values {
			values[i] = rng.Uint64() & (1<<width - 1) >> 1
		}
		w, err := newDeltaWords(appendDelta(nil, values), len(values))
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := w.sum(len(values))
		if !ok || err != nil {
			t.Fatalf("values of %d bits: ok %v, error %v", width, ok, err)
		}
		checkSum(t, fmt.Sprintf("values of %d bits", width), got, values)
	}
}

func BenchmarkSums(b *testing.B) {
	const n = 16384
	for _, width := range []uint{0, 2, 3, 4, 5, 8, 12} {
		values := stride(rand.New(rand.NewPCG(1, 1)), n, width)
		data := appendDelta(nil, values)
		out := make([]uint64, n)
		run := func(name string, do func(w *deltaWords) error) {
			b.Run(fmt.Sprintf("%02d/%s", width, name), func(b *testing.B) {
				for b.Loop() {
					w, err := newDeltaWords(data, n)
					if err == nil {
						err = do(w)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
			})
		}
		run("read", func(w *deltaWords) error { return w.read(out) })
		run("skip", func(w *deltaWords) error { return w.skip(n) })
		run("sum", func(w *deltaWords) error {
			for at := 0; at < n; at += 360 {
				if _, _, err := w.sum(min(360, n-at)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
