//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// key names a point within its table: equal tags and time give equal keys.
func (p point) key() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.tags)) {
		fmt.Fprintf(&b, "%q=%q,", name, p.tags[name])
	}
	return b.String() + strconv.FormatInt(p.time, 10)
}

// merge applies the points in their order: of two writes of a point the later wins,
// field by field. It returns table → key → point.
func merge(points []point) map[string]map[string]point {
	tables := make(map[string]map[string]point)
	for _, p := range points {
		rows := tables[p.table]
		if rows == nil {
			rows = make(map[string]point)
			tables[p.table] = rows
		}
		if before, ok := rows[p.key()]; ok {
			fields := maps.Clone(before.fields)
			maps.Copy(fields, p.fields)
			p.fields = fields
		}
		rows[p.key()] = p
	}
	return tables
}

// figures describe the contents of a table. Numbers are decimal text, since a sum of
// integers may exceed every machine type.
type figures struct {
	Rows       int
	Start, End string // of the time column, nanoseconds
	Tags       map[string][]string
	Fields     map[string]fieldFigures
}

// fieldFigures describe a field's values that are not null. Booleans count as 0 and 1;
// strings have no sum.
type fieldFigures struct {
	Type          string // as information_schema names it
	Count         int
	Sum, Min, Max string
}

// figuresOf computes the figures of a table from its merged points.
func figuresOf(points map[string]point) figures {
	f := figures{Rows: len(points), Tags: map[string][]string{}, Fields: map[string]fieldFigures{}}
	var times []int64
	tags := make(map[string]map[string]bool)
	values := make(map[string][]any)
	for _, p := range points {
		times = append(times, p.time)
		for name, v := range p.tags {
			if tags[name] == nil {
				tags[name] = make(map[string]bool)
			}
			tags[name][v] = true
		}
		for name, v := range p.fields {
			values[name] = append(values[name], v)
		}
	}
	f.Start, f.End = fmt.Sprint(slices.Min(times)), fmt.Sprint(slices.Max(times))
	for name, set := range tags {
		f.Tags[name] = slices.Sorted(maps.Keys(set))
	}
	for name, vs := range values {
		f.Fields[name] = figuresOfField(vs)
	}
	return f
}

// figuresOfField expects values of one type.
func figuresOfField(values []any) fieldFigures {
	switch values[0].(type) {
	case string:
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.(string)
		}
		return fieldFigures{"Utf8", len(values), "", slices.Min(texts), slices.Max(texts)}
	case float64:
		return numericFigures("Float64", values)
	case int64:
		return numericFigures("Int64", values)
	case uint64:
		return numericFigures("UInt64", values)
	}
	return numericFigures("Boolean", values)
}

// numericFigures adds up exactly, as fractions.
func numericFigures(typ string, values []any) fieldFigures {
	sum, low, high := new(big.Rat), exact(values[0]), exact(values[0])
	for _, v := range values {
		x := exact(v)
		sum.Add(sum, x)
		if x.Cmp(low) < 0 {
			low = x
		}
		if x.Cmp(high) > 0 {
			high = x
		}
	}
	return fieldFigures{typ, len(values), decimal(sum), decimal(low), decimal(high)}
}

func exact(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case uint64:
		return new(big.Rat).SetUint64(v)
	case float64:
		return new(big.Rat).SetFloat64(v)
	case bool:
		if v {
			return big.NewRat(1, 1)
		}
		return new(big.Rat)
	}
	panic(fmt.Sprintf("e2e: %T is not a number", v))
}

// decimal writes an integer exactly and a fraction as its nearest float64.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// diffFigures describes how got differs from want: sums of floats by more than one part
// in a billion, anything else at all. It is empty when they agree.
func diffFigures(want, got figures) string {
	got.Fields = maps.Clone(got.Fields)
	for name, w := range want.Fields {
		g, ok := got.Fields[name]
		if !ok || w.Type != "Float64" {
			continue
		}
		if near(w.Sum, g.Sum, 1e-9) {
			g.Sum = w.Sum
		}
		if near(w.Min, g.Min, 0) {
			g.Min = w.Min
		}
		if near(w.Max, g.Max, 0) {
			g.Max = w.Max
		}
		got.Fields[name] = g
	}
	return cmp.Diff(want, got)
}

// near reports whether two decimals differ by no more than a fraction of the first.
func near(a, b string, tolerance float64) bool {
	x, err := strconv.ParseFloat(a, 64)
	if err != nil {
		return false
	}
	y, err := strconv.ParseFloat(b, 64)
	return err == nil && max(x-y, y-x) <= tolerance*max(x, -x)
}
