package query

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// mergeAll adds the cells of other workers, which have the same bins. The error is errNoFold where
// a sum exceeds 64 bits.
func (c *foldCells) mergeAll(others []*foldCells) error {
	c.maxCells *= len(others) + 1
	for _, other := range others {
		for set, tags := range other.values {
			into, err := c.setOf(tags)
			if err != nil {
				return err
			}
			if err := c.mergeSet(int(into)*c.bins, other, set*c.bins); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergeSet adds the cells of a set.
func (c *foldCells) mergeSet(into int, other *foldCells, from int) error {
	for i := range c.bins {
		c.rows[into+i] += other.rows[from+i]
	}
	for k := range c.fields {
		a, b := &c.fields[k], &other.fields[k]
		for i := range c.bins {
			if b.count[from+i] == 0 {
				continue
			}
			if err := a.merge(into+i, b, from+i); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge adds a cell that has values.
func (f *cellField) merge(into int, other *cellField, from int) error {
	f.count[into] += other.count[from]
	if f.isFloat {
		if f.wantsSum {
			f.fsum[into] += other.fsum[from]
		}
		if f.wantsLo {
			f.flowest[into] = lowestOf(f.flowest[into], other.flowest[from])
		}
		if f.wantsHi {
			f.fhighest[into] = highestOf(f.fhighest[into], other.fhighest[from])
		}
		return nil
	}
	if f.wantsSum && !addTo(&f.sum[into], other.sum[from]) {
		return errNoFold
	}
	if f.wantsLo {
		f.lowest[into] = min(f.lowest[into], other.lowest[from])
	}
	if f.wantsHi {
		f.highest[into] = max(f.highest[into], other.highest[from])
	}
	return nil
}

// rows returns the cells of the answer, in its order.
func (end *foldEnd) rows(c *foldCells) []int32 {
	var cells []int32
	if len(c.fold.tags) == 0 && c.fold.bin == nil { // one row, also of nothing
		if len(c.values) == 0 {
			c.values = append(c.values, nil)
			c.grow()
		}
		cells = []int32{0}
	} else {
		for cell, n := range c.rows {
			if n > 0 {
				cells = append(cells, int32(cell))
			}
		}
	}
	compare := end.compare(c)
	slices.SortFunc(cells, func(a, b int32) int {
		for _, by := range compare {
			if order := by(int(a), int(b)); order != 0 {
				return order
			}
		}
		return int(a - b)
	})
	cells = cells[min(end.offset, len(cells)):]
	if end.limit >= 0 {
		cells = cells[:min(end.limit, len(cells))]
	}
	return cells
}

// compare returns functions that compare two cells by each key of ORDER BY.
func (end *foldEnd) compare(c *foldCells) []func(a, b int) int {
	var all []func(a, b int) int
	for _, o := range end.orders {
		isNull, by := c.comparer(o.foldColumn)
		all = append(all, func(a, b int) int {
			if isNull != nil {
				nullA, nullB := isNull(a), isNull(b)
				switch {
				case nullA && nullB:
					return 0
				case nullA != nullB:
					return map[bool]int{true: -1, false: 1}[nullA == o.nullsFirst]
				}
			}
			if o.descending {
				return by(b, a)
			}
			return by(a, b)
		})
	}
	return all
}

// comparer returns whether a column is null in a cell, nil where it never is, and the order of two
// cells in which it is not.
func (c *foldCells) comparer(by foldColumn) (isNull func(int) bool, compare func(a, b int) int) {
	if by.call == nil && by.tag < 0 {
		return nil, func(a, b int) int { return a%c.bins - b%c.bins }
	}
	if by.call == nil {
		ranks := c.tagRanks(by.tag)
		return func(cell int) bool { return ranks[cell/c.bins] < 0 },
			func(a, b int) int { return ranks[a/c.bins] - ranks[b/c.bins] }
	}
	v := c.valuesOf(by.call)
	if v.count != nil {
		isNull = func(cell int) bool { return v.count[cell] == 0 }
	}
	if v.float != nil {
		return isNull, func(a, b int) int { return compareFloats(v.float(a), v.float(b)) }
	}
	return isNull, func(a, b int) int { return cmp.Compare(v.ints[a], v.ints[b]) }
}

// cellValues are the values of an aggregate, by cell.
type cellValues struct {
	count []int64 // where it is 0 there is no value; nil: there always is
	ints  []int64
	float func(cell int) float64 // instead, if not nil
}

func (c *foldCells) valuesOf(call *foldCall) cellValues {
	if call.field < 0 {
		return cellValues{ints: c.rows}
	}
	f := &c.fields[call.field]
	ints, floats := f.sum, f.fsum
	switch call.function {
	case "count":
		return cellValues{ints: f.count}
	case "min":
		ints, floats = f.lowest, f.flowest
	case "max":
		ints, floats = f.highest, f.fhighest
	case "avg", "mean":
		if f.isFloat {
			return cellValues{count: f.count, float: func(i int) float64 { return floats[i] / float64(f.count[i]) }}
		}
		return cellValues{count: f.count, float: func(i int) float64 { return float64(ints[i]) / float64(f.count[i]) }}
	}
	if f.isFloat {
		return cellValues{count: f.count, float: func(i int) float64 { return floats[i] }}
	}
	return cellValues{count: f.count, ints: ints}
}

// compareFloats compares as DuckDB does: NaN is greater than everything.
func compareFloats(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return -cmp.Compare(a, b) // Go has it first
	}
	return cmp.Compare(a, b)
}

// tagRanks returns the place of each set among all in the order of a tag, -1 where it is null.
func (c *foldCells) tagRanks(tag int) []int {
	order := make([]int, len(c.sets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(c.values[a][tag].value, c.values[b][tag].value) })
	ranks, rank := make([]int, len(order)), 0
	for i, set := range order {
		value := &c.values[set][tag]
		if i > 0 && value.value != c.values[order[i-1]][tag].value {
			rank++
		}
		if ranks[set] = rank; !value.valid {
			ranks[set] = -1
		}
	}
	return ranks
}

// answer makes records of cells.
func (end *foldEnd) answer(c *foldCells, rows []int32, columns []shown) *directAnswer {
	fields := make([]arrow.Field, len(end.columns))
	for i, column := range end.columns {
		fields[i] = arrow.Field{Name: column.name, Type: c.typeOf(column), Nullable: true}
	}
	layout := describeColumns(arrow.NewSchema(fields, nil), columns)
	return answerOf(layout, rows, func(i int, rows []int32) arrow.Array { return c.arrayOf(end.columns[i], rows) })
}

func (c *foldCells) typeOf(column foldColumn) arrow.DataType {
	switch {
	case column.call == nil && column.tag < 0:
		return instant
	case column.call == nil:
		return arrowType(schema.Tag)
	case c.valuesOf(column.call).float != nil:
		return arrow.PrimitiveTypes.Float64
	}
	return arrow.PrimitiveTypes.Int64
}

// arrayOf gathers a column of some cells.
func (c *foldCells) arrayOf(column foldColumn, cells []int32) arrow.Array {
	builder := array.NewBuilder(memory.DefaultAllocator, c.typeOf(column))
	defer builder.Release()
	builder.Reserve(len(cells))
	switch b := builder.(type) {
	case *array.TimestampBuilder:
		for _, cell := range cells {
			b.UnsafeAppend(arrow.Timestamp(c.first + int64(int(cell)%c.bins)*c.fold.bin.width))
		}
	case *array.StringBuilder:
		for _, cell := range cells {
			if tag := &c.values[int(cell)/c.bins][column.tag]; tag.valid {
				b.Append(tag.value)
			} else {
				b.AppendNull()
			}
		}
	case *array.Int64Builder:
		v := c.valuesOf(column.call)
		for _, cell := range cells {
			if v.count != nil && v.count[cell] == 0 {
				b.AppendNull()
			} else {
				b.UnsafeAppend(v.ints[cell])
			}
		}
	case *array.Float64Builder:
		v := c.valuesOf(column.call)
		for _, cell := range cells {
			if v.count != nil && v.count[cell] == 0 {
				b.AppendNull()
			} else {
				b.UnsafeAppend(v.float(int(cell)))
			}
		}
	}
	return builder.NewArray()
}
