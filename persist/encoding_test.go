package persist

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cockroachdb/pebble/v2/vfs"
	parquetgo "github.com/parquet-go/parquet-go"

	"github.com/siltstone-db/siltstone/schema"
)

// series are kinds of values as a series has them over time; each call of next is one
// more value.
var series = map[string]struct {
	typ  schema.ColumnType
	want string // the encoding to be chosen
	make func(rng *rand.Rand) (next func() any)
}{
	"integer walk":        {schema.Int64, "delta", walk(func(v float64) any { return int64(v) })},
	"unsigned walk":       {schema.Uint64, "delta", walk(func(v float64) any { return uint64(v) })},
	"whole number walk":   {schema.Float64, "split", walk(func(v float64) any { return math.Floor(v) })},
	"two decimals walk":   {schema.Float64, "dictionary", walk(func(v float64) any { return math.Round(v*100) / 100 })},
	"all digits walk":     {schema.Float64, "split", walk(func(v float64) any { return v })},
	"uniform two decimal": {schema.Float64, "dictionary", random(func(r *rand.Rand) any { return float64(r.IntN(10_001)) / 100 })},
	"uniform float":       {schema.Float64, "split", random(func(r *rand.Rand) any { return r.Float64() })},
	"uniform integer":     {schema.Int64, "dictionary", random(func(r *rand.Rand) any { return int64(r.IntN(101)) })},
	"status code":         {schema.Int64, "dictionary", random(func(r *rand.Rand) any { return []int64{200, 404, 500}[r.IntN(3)] })},
	"random integer":      {schema.Int64, "delta", random(func(r *rand.Rand) any { return int64(r.Uint64()) })},
	"constant":            {schema.Int64, "delta", random(func(*rand.Rand) any { return int64(7) })},
	"counter":             {schema.Int64, "delta", counter},
	"level":               {schema.String, "dictionary", random(func(r *rand.Rand) any { return []string{"info", "error"}[r.IntN(2)] })},
	"message":             {schema.String, "plain", random(func(r *rand.Rand) any { return fmt.Sprintf("request %d took %d", r.Uint64(), r.IntN(100)) })},
	"flag":                {schema.Bool, "plain", random(func(r *rand.Rand) any { return r.IntN(2) == 0 })},
}

// walk is a random walk within 0 and 100, as the usage of a processor.
func walk(value func(float64) any) func(*rand.Rand) func() any {
	return func(rng *rand.Rand) func() any {
		v := 100 * rng.Float64()
		return func() any {
			v = max(0, min(100, v+rng.NormFloat64()))
			return value(v)
		}
	}
}

func random(value func(*rand.Rand) any) func(*rand.Rand) func() any {
	return func(rng *rand.Rand) func() any { return func() any { return value(rng) } }
}

func counter(rng *rand.Rand) func() any {
	c := int64(rng.IntN(1 << 30))
	return func() any {
		c += int64(rng.IntN(2000))
		return c
	}
}

// seriesColumn returns the values of so many series, one after the other.
func seriesColumn(name string, count, length int) arrow.Array {
	rng := rand.New(rand.NewPCG(1, 2))
	var column []any
	for range count {
		next := series[name].make(rng)
		for range length {
			column = append(column, next())
		}
	}
	return fieldArray(series[name].typ, column)
}

func nameOf(e encoding) string {
	switch {
	case e.dictionary:
		return "dictionary"
	case e.otherwise.String() == "DELTA_BINARY_PACKED":
		return "delta"
	case e.otherwise.String() == "BYTE_STREAM_SPLIT":
		return "split"
	}
	return "plain"
}

func TestEncodingFollowsTheValues(t *testing.T) {
	for name, s := range series {
		column := seriesColumn(name, 12, 5000)
		cut := []arrow.Array{column}
		if got := nameOf(chooseEncoding(cut, column.Len())); got != s.want {
			t.Errorf("%s: got %s, want %s", name, got, s.want)
		}
	}
}

// TestFewRowsHaveNoDictionaryOfDistinctValues guards the many small files that a
// short flush interval makes.
func TestFewRowsHaveNoDictionaryOfDistinctValues(t *testing.T) {
	for _, name := range []string{"two decimals walk", "random integer", "counter", "uniform float", "message"} {
		column := seriesColumn(name, 10, 1)
		if got := nameOf(chooseEncoding([]arrow.Array{column}, column.Len())); got == "dictionary" {
			t.Errorf("%s: got a dictionary of %d values", name, column.Len())
		}
	}
}

func TestColumnOfNullsHasAnEncoding(t *testing.T) {
	for _, typ := range allTypes[1:] {
		column := fieldArray(typ, []any{nil, nil, nil})
		e := chooseEncoding([]arrow.Array{column}, 3)
		if e.dictionary {
			t.Errorf("%v: got a dictionary of nothing", typ)
		}
	}
}

// TestLayoutIsAsDocumented holds what a file consists of against a golden text.
func TestLayoutIsAsDocumented(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 12, 5); err != nil {
		t.Fatal(err)
	}
	golden(t, "layout.txt", layoutOf(openParquetGo(t, fs, "d/f")))
}

func layoutOf(f *parquetgo.File) string {
	var b strings.Builder
	meta := f.Metadata()
	fmt.Fprintf(&b, "created by %q\n", meta.CreatedBy)
	for _, kv := range meta.KeyValueMetadata {
		fmt.Fprintf(&b, "%s = %s\n", kv.Key, kv.Value)
	}
	fmt.Fprintf(&b, "%v\n", f.Schema())
	for i, g := range meta.RowGroups {
		fmt.Fprintf(&b, "row group %d: %d rows, sorted by", i, g.NumRows)
		for _, s := range g.SortingColumns {
			fmt.Fprintf(&b, " %d (descending %t, nulls first %t)", s.ColumnIdx, s.Descending, s.NullsFirst)
		}
		for j, c := range g.Columns {
			m := c.MetaData
			index := f.ColumnIndexes()[i*len(g.Columns)+j]
			fmt.Fprintf(&b, "\n  field %d %v: %v %v, nulls %d, min %q, max %q, %d pages in index", meta.Schema[j+1].FieldID,
				m.PathInSchema, m.Codec, m.Encoding, m.Statistics.NullCount, m.Statistics.MinValue, m.Statistics.MaxValue, len(index.NullPages))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}
