package query

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// The plainest questions for newest rows, SELECT DISTINCT ON (tags) columns … ORDER BY tags, time DESC and
// the one with LIMIT 1, of the whole table or of given tags, are answered without DuckDB, which needs
// several times as long to print, to plan and to run them as it takes to pick the rows.

// maxDirectRows bounds the rows that are sorted here, where nobody counts the 16 bytes that each takes.
const maxDirectRows = 256 << 10

// directRecordRows is the size of the records that are made of them.
const directRecordRows = 4096

// directAnswer is an answer that was made without DuckDB.
type directAnswer struct {
	schema *arrow.Schema
	// next returns the next rows, or nil at the end.
	next func() arrow.RecordBatch
}

// answerOf gives out rows of which a function makes the columns.
func answerOf[T any](layout *arrow.Schema, rows []T, column func(i int, rows []T) arrow.Array) *directAnswer {
	return &directAnswer{schema: layout, next: func() arrow.RecordBatch {
		n := min(len(rows), directRecordRows)
		if n == 0 {
			return nil
		}
		arrays := make([]arrow.Array, layout.NumFields())
		for i := range arrays {
			arrays[i] = column(i, rows[:n])
		}
		rows = rows[n:]
		record := array.NewRecordBatch(layout, arrays, int64(n))
		for _, a := range arrays {
			a.Release()
		}
		return record
	}}
}

// directQuery is a plain question for newest rows.
type directQuery struct {
	plainItems

	targets []schema.ColumnID
	orders  []directOrder
	onlyOne bool
}

// directOrder is one of ORDER BY: a tag or time.
type directOrder struct {
	column     schema.ColumnID
	descending bool
}

// direct answers a statement from the newest rows of its table, or returns nil.
func (r *running) direct(ctx context.Context, stmt *statement) (*directAnswer, error) {
	if len(stmt.tables) != 1 || stmt.tables[0].system != nil || r.tables[0] == nil || stmt.prefix != "" || stmt.describes != "" {
		return nil, nil
	}
	definitions := []*schema.Table{r.tables[0].Table}
	rule := newestRule{until: schema.MaxTimeRange.Max}
	query, ok := readDirect(stmt.query, definitions, &rule)
	if !ok {
		return nil, nil
	}
	shownColumns := stmt.lineage(definitions)
	if len(shownColumns) != len(query.columns) {
		return nil, nil
	}
	c := stmt.constraints(definitions)[0].within(r.tables[0].Kept())
	rows, err := r.newest(ctx, r.tables[0], &rule, c)
	if rows == nil || err != nil {
		return nil, err
	}
	picked := query.pick(rows, c)
	if len(picked) > maxDirectRows {
		return nil, nil
	}
	r.reports = append(r.reports, &scanReport{table: definitions[0], time: c.time, cleanRows: len(picked), newest: true})
	return query.answer(rows, picked, shownColumns), nil
}

// readDirect reads a query that is plain enough.
func readDirect(n node, tables []*schema.Table, rule *newestRule) (*directQuery, bool) {
	f := newestFinder{tables: tables}
	if !isPlainSelect(n) {
		return nil, false
	}
	t, ok := f.relation(n.child("from_table"))
	if !ok || !t.isOfGivenTags(n.child("where_clause")) || !t.isFirstOfGroups(n, rule) {
		return nil, false
	}
	q := &directQuery{}
	if !q.read(n, t, tables[t.scan]) {
		return nil, false
	}
	for _, e := range n.list("modifiers") {
		m := asNode(e)
		for _, target := range m.list("distinct_on_targets") {
			c, _ := t.column(asNode(target))
			q.targets = append(q.targets, c.ID)
		}
		for _, o := range m.list("orders") {
			if !q.addOrder(t, asNode(o)) {
				return nil, false
			}
		}
		if m.str("type") == "LIMIT_MODIFIER" {
			if q.onlyOne = isOne(m.child("limit")) && m["offset"] == nil; !q.onlyOne {
				return nil, false
			}
		}
	}
	return q, true
}

func (q *directQuery) addOrder(t *newestRelation, o node) bool {
	c, ok := t.column(o.child("expression"))
	q.orders = append(q.orders, directOrder{c.ID, o.str("type") == "DESCENDING"})
	return ok && (c.ID == 0 || c.Type == schema.Tag) && o.str("null_order") == "ORDER_DEFAULT"
}

// isOfGivenTags reports whether a condition says nothing but which values tags have, as a constraint says it.
func (t *newestRelation) isOfGivenTags(n node) bool {
	switch n.str("type") {
	case "":
		return len(n) == 0
	case "CONJUNCTION_AND":
		return !slices.ContainsFunc(nodes(n.list("children")), func(part node) bool { return !t.isOfGivenTags(part) })
	case "COMPARE_EQUAL":
		c, ok := t.column(n.child("left"))
		_, isText := stringConstant(n.child("right"))
		return ok && isText && c.Type == schema.Tag && n.str("class") == "COMPARISON"
	}
	return false
}

// place is a row of a snapshot.
type place struct {
	chunk *partition.Chunk
	row   int
}

func (p place) series() uint32 { return p.chunk.Series[p.row] }

// pick chooses the rows of the answer, in their order.
func (q *directQuery) pick(s *partition.Snapshot, c *constraint) []place {
	var all []place
	for _, b := range newBuffers([]*partition.Snapshot{s}, c, 0) {
		for _, i := range b.chunks {
			chunk := &b.Chunks[i]
			for row, at := range chunk.Time[:chunk.Rows] {
				if b.wants(chunk.Series[row], at) {
					all = append(all, place{chunk, row})
				}
			}
		}
	}
	slices.SortFunc(all, q.compare(s))
	if len(q.targets) > 0 {
		all = firstOfEach(all, tagsOf(s, q.targets))
	}
	if q.onlyOne && len(all) > 1 {
		all = all[:1]
	}
	return all
}

// tagsOf finds tag columns, nil for one that is null everywhere.
func tagsOf(s *partition.Snapshot, ids []schema.ColumnID) []*partition.TagColumn {
	tags := make([]*partition.TagColumn, len(ids))
	for i, id := range ids {
		if k := slices.IndexFunc(s.Tags, func(t partition.TagColumn) bool { return t.ID == id }); k >= 0 {
			tags[i] = &s.Tags[k]
		}
	}
	return tags
}

// tagOf returns a tag of the series of a snapshot, nil if it has none.
func tagOf(s *partition.Snapshot, id schema.ColumnID) *partition.TagColumn {
	return tagsOf(s, []schema.ColumnID{id})[0]
}

// compare returns the order of ORDER BY: as DuckDB has it, nulls come last in both directions.
func (q *directQuery) compare(s *partition.Snapshot) func(a, b place) int {
	ids := make([]schema.ColumnID, len(q.orders))
	for i, o := range q.orders {
		ids[i] = o.column
	}
	tags := tagsOf(s, ids)
	return func(a, b place) int {
		for i, o := range q.orders {
			by := 0
			switch {
			case o.column == 0:
				by = cmp.Compare(a.chunk.Time[a.row], b.chunk.Time[b.row])
			case tags[i] != nil:
				x, hasX := tags[i].Value(a.series())
				y, hasY := tags[i].Value(b.series())
				if hasX != hasY {
					return map[bool]int{true: -1, false: 1}[hasX]
				}
				by = strings.Compare(x, y)
			}
			if o.descending {
				by = -by
			}
			if by != 0 {
				return by
			}
		}
		return 0
	}
}

// firstOfEach keeps the first row with each tuple of tags.
func firstOfEach(rows []place, tags []*partition.TagColumn) []place {
	seen := make(map[string]struct{}, len(rows))
	var key []byte
	return slices.DeleteFunc(rows, func(p place) bool {
		key = key[:0]
		for _, t := range tags {
			index := uint32(0)
			if series := p.series(); t != nil && int(series) < len(t.Index) {
				index = t.Index[series]
			}
			key = binary.LittleEndian.AppendUint32(key, index)
		}
		_, isLater := seen[string(key)]
		if !isLater {
			seen[string(key)] = struct{}{}
		}
		return isLater
	})
}

// answer describes rows as DuckDB does.
func (q *directQuery) answer(s *partition.Snapshot, rows []place, columns []shown) *directAnswer {
	fields := make([]arrow.Field, len(columns))
	for i, c := range q.columns {
		fields[i] = arrow.Field{Name: q.names[i], Type: directType(c), Nullable: true}
	}
	layout := describeColumns(arrow.NewSchema(fields, nil), columns)
	return answerOf(layout, rows, func(i int, rows []place) arrow.Array { return directColumn(s, rows, q.columns[i]) })
}

func directType(c schema.Column) arrow.DataType {
	if c.ID == 0 {
		return instant
	}
	return arrowType(c.Type)
}

// directColumn gathers one column.
func directColumn(s *partition.Snapshot, rows []place, c schema.Column) arrow.Array {
	builder := array.NewBuilder(memory.DefaultAllocator, directType(c))
	defer builder.Release()
	builder.Reserve(len(rows))
	if c.ID == 0 {
		for _, p := range rows {
			builder.(*array.TimestampBuilder).UnsafeAppend(arrow.Timestamp(p.chunk.Time[p.row]))
		}
		return builder.NewArray()
	}
	if c.Type == schema.Tag {
		tag := tagOf(s, c.ID)
		for _, p := range rows {
			value, ok := "", false
			if tag != nil {
				value, ok = tag.Value(p.series())
			}
			if text := builder.(*array.StringBuilder); ok {
				text.Append(value)
			} else {
				text.AppendNull()
			}
		}
		return builder.NewArray()
	}
	var chunk *partition.Chunk
	var field *partition.Field
	for _, p := range rows {
		if p.chunk != chunk {
			chunk, field = p.chunk, nil
			if k := slices.IndexFunc(chunk.Fields, func(f partition.Field) bool { return f.ID == c.ID }); k >= 0 {
				field = &chunk.Fields[k]
			}
		}
		appendValue(builder, field, p.row)
	}
	return builder.NewArray()
}

// appendValue adds a field's value in a row; field is nil where all are null.
func appendValue(builder array.Builder, f *partition.Field, row int) {
	if f == nil || !f.IsValid(row) {
		builder.AppendNull()
		return
	}
	switch b := builder.(type) {
	case *array.Int64Builder:
		b.UnsafeAppend(f.Int64[row])
	case *array.Uint64Builder:
		b.UnsafeAppend(f.Uint64[row])
	case *array.Float64Builder:
		b.UnsafeAppend(f.Float64[row])
	case *array.BooleanBuilder:
		b.UnsafeAppend(f.Bool[row] != 0)
	case *array.StringBuilder:
		b.Append(string(f.Bytes(row)))
	}
}
