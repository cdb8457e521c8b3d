package partition

import (
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// Columns returns the ids of all tags and fields that have a value in snapshots.
func Columns(snaps []*Snapshot) map[schema.ColumnID]bool {
	ids := make(map[schema.ColumnID]bool)
	for _, s := range snaps {
		for _, t := range s.Tags {
			ids[t.ID] = true
		}
		for i := range s.Chunks {
			for j := range s.Chunks[i].Fields {
				ids[s.Chunks[i].Fields[j].ID] = true
			}
		}
	}
	return ids
}

// Sorted yields the rows of snapshots, given in arrival order, ordered by tags (in
// column id order, null first) and time. Rows with the same tags and time come out as
// one, in which each field has its last value that is not null. columns are the tags
// and fields wanted, in id order; layout is their Arrow schema: tags as dictionary
// arrays with int32 indices, then time, then fields. Records have at most maxRows
// rows, fewer where their strings and tag values would take more than about maxText
// bytes, 0 being MaxRecordText; the caller releases them, and their memory is used again
// for later ones.
func Sorted(snaps []*Snapshot, columns []schema.Column, layout *arrow.Schema, maxRows, maxText int) iter.Seq[arrow.RecordBatch] {
	if maxText == 0 {
		maxText = MaxRecordText
	}
	var tags, fields []schema.Column
	for _, c := range columns {
		if c.Type == schema.Tag {
			tags = append(tags, c)
		} else {
			fields = append(fields, c)
		}
	}
	return func(yield func(arrow.RecordBatch) bool) {
		o := sortRows(snaps, tags)
		g := newGatherer(o, fields, min(maxText, MaxRecordText))
		for from := 0; from < o.Len(); {
			to := g.fitText(from, min(from+maxRows, o.Len()))
			if !yield(g.record(layout, from, to)) {
				return
			}
			from = to
		}
	}
}

// gatherer copies rows in their new order into Arrow arrays.
type gatherer struct {
	o       *order
	fields  []schema.Column
	source  [][]*Field // by field, by chunk; nil where the chunk lacks the field
	maxText int        // bytes of text in a record
	texts   []int      // the string fields; nil where all text fits one record
	whole   []bool     // by field: no chunk lacks a value of it
	// local gives, while a tag column is made, 1 + the place that a value has in the
	// record's dictionary, by its place in the dictionary of all.
	local []int32
	used  []uint32 // what of local is set
}

// MaxRecordText bounds the bytes of text in a record: Arrow's offsets have 31 bits, and
// writers hold a record in memory.
const MaxRecordText = 128 << 20

func newGatherer(o *order, fields []schema.Column, maxText int) *gatherer {
	g := &gatherer{o: o, fields: fields, maxText: maxText}
	text, distinct := 0, 0
	for _, dict := range o.dicts {
		distinct = max(distinct, len(dict))
		for _, value := range dict {
			text += len(value)
		}
	}
	g.local = make([]int32, distinct)
	texts := []int{}
	for f, c := range fields {
		by, whole := make([]*Field, len(o.chunks)), true
		for i, chunk := range o.chunks {
			if at := indexField(chunk.Fields, c.ID, 0); at >= 0 {
				by[i] = &chunk.Fields[at]
				text += len(by[i].Data)
			}
			whole = whole && by[i] != nil && by[i].Valid == nil
		}
		g.source, g.whole = append(g.source, by), append(g.whole, whole)
		if c.Type == schema.String {
			texts = append(texts, f)
		}
	}
	if text > maxText {
		g.texts = texts
	}
	return g
}

// fitText returns how far a record that begins at from may go up to to.
func (g *gatherer) fitText(from, to int) int {
	if g.texts == nil {
		return to
	}
	room, last := g.maxText, -1
	for i := from; i < to; i++ {
		for _, f := range g.texts {
			if s, row, ok := g.at(g.source[f], i); ok {
				room -= len(s.Bytes(row))
			}
		}
		if rank := g.rank(i); rank != last {
			room -= g.tagText(rank)
			last = rank
		}
		if room < 0 {
			return max(i, from+1)
		}
	}
	return to
}

// tagText is the bytes of a series' tag values.
func (g *gatherer) tagText(rank int) int {
	n := 0
	for t, dict := range g.o.dicts {
		if v := g.o.series[rank*g.o.tags+t]; v != 0 {
			n += len(dict[v-1])
		}
	}
	return n
}

// rank is that of the series of output row i.
func (g *gatherer) rank(i int) int {
	r := g.o.last(i)
	return int(g.o.rankOf(r.chunk(), g.o.chunks[r.chunk()].Series[r.row()]))
}
