package query

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Text is made of selected rows as they lie in chunks, without Arrow in between. The tags of a row are
// those of its series: what was written for them is kept by series, and copied.

// readChunk turns to the columns of a chunk.
func readChunk(columns []cells, of []schema.Column, s *partition.Snapshot, chunk *partition.Chunk) {
	for k, column := range of {
		c := &columns[k]
		switch field := fieldAt(chunk, column); {
		case column.ID == 0:
			c.valid, c.offset, c.kind, c.ints = nil, 0, timeCells, chunk.Time
		case column.Type == schema.Tag:
			c.valid, c.kind, c.series, c.tag = nil, seriesCells, chunk.Series, tagOf(s, column.ID)
		case field < 0:
			c.valid, c.kind = noBits, otherCells
		default:
			c.readField(&chunk.Fields[field], chunk.Rows)
		}
	}
	arrange(columns)
}

// readField turns to a field.
func (c *cells) readField(f *partition.Field, rows int) {
	c.valid, c.offset = nil, 0
	if f.Valid != nil {
		c.valid = arrow.Uint64Traits.CastToBytes(f.Valid)
	}
	switch f.Type {
	case schema.Int64:
		c.kind, c.ints = intCells, f.Int64
	case schema.Float64:
		c.kind, c.floats = floatCells, f.Float64
	case schema.String:
		c.kind, c.ends, c.text = textCells, arrow.Int32Traits.CastFromBytes(arrow.Uint32Traits.CastToBytes(f.Offsets)), f.Data
	default:
		c.read(fieldArray(f, rows)) // of Go's memory; a release would empty it
	}
}

// seriesBlocks is what was written for the tags of series.
type seriesBlocks struct {
	text  []byte
	of    []seriesBlock // by series
	round uint32        // text was begun anew so many times
}

// seriesBlock is what was written for one series: text[begin:end] of a round.
type seriesBlock struct{ begin, end, round uint32 }

// What is kept for series is bounded: beyond maxBlockBytes it is begun anew, and series from number maxBlockSeries on
// are written each time. A row group has fewer of them.
const (
	maxBlockBytes  = 1 << 20
	maxBlockSeries = 64 << 10
)

// forgetBlocks makes ready for the series of another snapshot.
func forgetBlocks(columns []cells) {
	for k := range columns {
		if b := columns[k].blocks; b != nil {
			b.text, b.of = b.text[:0], b.of[:0]
		}
	}
}

// find returns what was written for a series, if that is kept.
func (b *seriesBlocks) find(series uint32) (text []byte, ok bool) {
	if int(series) >= len(b.of) || b.of[series].round != b.round {
		return nil, false
	}
	return b.text[b.of[series].begin:b.of[series].end], true
}

// keep keeps what was written for a series.
func (b *seriesBlocks) keep(series uint32, text []byte) {
	if series >= maxBlockSeries {
		return
	}
	if b.round == 0 || len(b.text) > maxBlockBytes {
		b.text = b.text[:0]
		b.round++
	}
	for int(series) >= len(b.of) {
		b.of = append(b.of, seriesBlock{})
	}
	begin := len(b.text)
	b.text = append(b.text, text...)
	b.of[series] = seriesBlock{uint32(begin), uint32(len(b.text)), b.round}
}

// appendSeries writes the tags of a row in columns that stand side by side.
func appendSeries(buf []byte, columns []cells, row int) []byte {
	first := &columns[0]
	if first.blocks == nil {
		first.blocks = new(seriesBlocks)
	}
	series := first.series[row]
	if text, ok := first.blocks.find(series); ok {
		return append(buf, text...)
	}
	begin := len(buf)
	for k := range columns {
		c := &columns[k]
		if c.tag == nil || int(series) >= len(c.tag.Index) || c.tag.Index[series] == 0 {
			buf = c.appendNull(buf)
		} else {
			buf = c.appendPlainText(buf, []byte(c.tag.Values[c.tag.Index[series]-1]))
		}
	}
	first.blocks.keep(series, buf[begin:])
	return buf
}
