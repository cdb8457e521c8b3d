package persist

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/parquet-go/parquet-go/encoding/bytestreamsplit"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// drawWords draws numbers that take up to a drawn number of bits, some of them repeated.
func drawWords(t *rapid.T, most int) []uint64 {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	width := rapid.IntRange(0, most).Draw(t, "width")
	repeat := rapid.SampledFrom([]int{1, 2, 60, 1000}).Draw(t, "repeat")
	words := make([]uint64, rapid.IntRange(0, 2000).Draw(t, "count"))
	for i := range words {
		if i > 0 && rng.IntN(repeat) > 0 {
			words[i] = words[i-1]
			continue
		}
		words[i] = rng.Uint64() & (1<<width - 1)
	}
	return words
}

func TestDeltasAreReadByOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := drawWords(t, 64)
		got, err := new(delta.BinaryPackedEncoding).DecodeInt64(nil, appendDelta(nil, words))
		if err != nil {
			t.Fatal(err)
		}
		if want := castNumbers[int64](words); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestHybridsAreReadByOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := drawWords(t, 20)
		width := bitWidth(int(slices.Max(append(words, 0))))
		h := new(hybridEncoder)
		h.reset(nil, width)
		for i := 0; i < len(words); {
			n := 1
			for i+n < len(words) && words[i+n] == words[i] {
				n++
			}
			h.run(words[i], n)
			i += n
		}
		h.flush()
		got, err := (&rle.Encoding{BitWidth: int(width)}).DecodeInt32(nil, h.dst)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range words {
			if i >= len(got) || got[i] != int32(w) {
				t.Fatalf("value %d of %d is wrong among %d", i, len(words), len(got))
			}
		}
	})
}

func TestSplitFloatsAreReadByOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := drawWords(t, 64)
		got, err := new(bytestreamsplit.Encoding).DecodeDouble(nil, appendSplit(nil, words))
		if err != nil || len(got) != len(words) {
			t.Fatalf("%d of %d values: %v", len(got), len(words), err)
		}
		for i, w := range words {
			if math.Float64bits(got[i]) != w {
				t.Fatalf("value %d is %x, want %x", i, math.Float64bits(got[i]), w)
			}
		}
	})
}

func TestDictionaryHasEachValueOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := drawWords(t, 64)
		var d numberDictionary
		for range 2 { // the second time in used memory
			if !d.build(words) {
				t.Fatal("too large")
			}
			for i, w := range words {
				if d.values[d.indices[i]] != w {
					t.Fatalf("value %d is %x, want %x", i, d.values[d.indices[i]], w)
				}
			}
			if distinct := slices.Compact(slices.Sorted(slices.Values(words))); len(distinct) != len(d.values) {
				t.Fatalf("%d values for %d", len(d.values), len(distinct))
			}
		}
	})
	var d numberDictionary
	many := make([]uint64, maxDictionary+1)
	for i := range many {
		many[i] = uint64(i)
	}
	if !d.build(many[1:]) || d.build(many) {
		t.Fatalf("a dictionary does not end at %d values", maxDictionary)
	}
}

// TestColumnsOfManyPages writes columns of several pages, with and without nulls, whose
// best encoding changes from one row group to the next.
func TestColumnsOfManyPages(t *testing.T) {
	const rows, groupRows = 80_000, 50_000
	rng := rand.New(rand.NewPCG(7, 7))
	tb := table{columns: []schema.Column{hostColumn}}
	kinds := []string{"integer walk", "random integer", "counter", "status code", "unsigned walk", "two decimals walk", "all digits walk"}
	var next []func() any
	for i, kind := range slices.Concat(kinds, kinds) {
		tb.columns = append(tb.columns, schema.Column{ID: schema.ColumnID(i + 2), Name: fmt.Sprint("f", i), Type: series[kind].typ})
		next = append(next, series[kind].make(rng))
	}
	for i := range rows {
		r := row{int64(i), []any{"a"}}
		for f := range next {
			if i == groupRows {
				// The same type, values of another kind.
				next[f] = series[map[schema.ColumnType]string{
					schema.Int64: "uniform integer", schema.Uint64: "unsigned walk", schema.Float64: "uniform two decimal",
				}[tb.columns[f+1].Type]].make(rng)
			}
			if v := next[f](); f < len(kinds) || rng.IntN(5) > 0 && i/20_000 != 1 {
				r.values = append(r.values, v)
			} else {
				r.values = append(r.values, nil)
			}
		}
		tb.rows = append(tb.rows, r)
	}
	fs := vfs.NewMem()
	file, err := tb.write(fs, "d", "f", groupRows, 30_001)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(fs, "d/f", &file); err != nil {
		t.Fatal(err)
	}
	if err := VerifyRows(fs, "d/f", &file, tb.columns); err != nil {
		t.Fatal(err)
	}
	own, err := readArrow(fs, "d/f")
	if err != nil {
		t.Fatal(err)
	}
	other, err := readParquetGo(fs, "d/f", tb.columns)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]table{"arrow-go": own, "parquet-go": other} {
		if len(got.rows) != rows {
			t.Fatalf("%s reads %d rows", name, len(got.rows))
		}
		for i := range tb.rows {
			if g, w := got.rows[i].String(), tb.rows[i].String(); g != w {
				t.Fatalf("%s reads row %d as %s, want %s", name, i, g, w)
			}
		}
	}
}
