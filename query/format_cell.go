package query

import (
	"bytes"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/partition"
)

// The writers of JSON and CSV go through an answer row by row, and a call of a function for
// each value, one for whether it is null and one for the text, costs more than the text.
// So the columns of the usual types are read as slices. Text that repeats that of the row
// above, as tags in files sorted by series do, is copied with its key as it was written there.

// cells is a column of one record on its way to text.
type cells struct {
	prefix   []byte // is written before each value: a separator and, in objects, the key
	style    style
	kind     cellKind
	valid    []byte // one bit a row, from bit offset; nil where no value is null
	offset   int
	ints     []int64
	floats   []float64
	ends     []int32 // by row: where its text begins in text; the next one's begin is its end
	text     []byte
	encode   encoder // of other types
	quotable bool    // CSV: the text may need quotes
	single   bool    // CSV: it is the only column
	together int     // columns from here on that are written at once

	known   bool   // there is a text kept
	last    []byte // the one
	written []byte // what was written for it, or of a time up to the day, with the prefix
	misses  int    // texts in a row that were others

	small *[smallInts]keptText // what was written for small integers
	day   int64                // since 1970, of the time that is kept

	codes      []int32
	dictionary arrow.ArrayData
	values     *array.String // of the codes
	coded      [][]byte      // what was written for them
	lastCode   int32         // of the row above
	block      []byte        // of the row above, and of the columns of codes that follow

	series []uint32             // by row, of a tag
	tag    *partition.TagColumn // nil where it is null in all rows
	blocks *seriesBlocks        // of this column and the tags that follow
}

type cellKind uint8

const (
	otherCells cellKind = iota
	intCells
	floatCells
	textCells
	timeCells
	codeCells
	seriesCells
)

// newCells prepares the columns of an answer.
func newCells(r Rows, s style) []cells {
	fields := r.Schema().Fields()
	all := make([]cells, len(fields))
	for k, f := range fields {
		c := &all[k]
		c.style, c.single = s, len(fields) == 1
		if s == jsonStyle {
			c.prefix = append(appendJSONString([]byte{','}, f.Name), ':')
		} else if k > 0 {
			c.prefix = []byte{','}
		}
	}
	return all
}

// readCells turns to the columns of the next record.
func readCells(columns []cells, rec arrow.RecordBatch) {
	for k := range columns {
		columns[k].read(rec.Column(k))
	}
	arrange(columns)
}

// read turns to a column of the next record.
func (c *cells) read(column arrow.Array) {
	c.kind, c.valid, c.offset = otherCells, nil, column.Data().Offset()
	if column.NullN() > 0 {
		c.valid = column.NullBitmapBytes()
	}
	switch a := column.(type) {
	case *array.Int64:
		c.kind, c.ints = intCells, a.Int64Values()
	case *array.Float64:
		c.kind, c.floats = floatCells, a.Float64Values()
	case *array.String:
		c.kind, c.ends, c.text = textCells, a.ValueOffsets(), nil
		if buffer := a.Data().Buffers()[2]; buffer != nil {
			c.text = buffer.Bytes()
		}
	case *array.Timestamp:
		if t := a.DataType().(*arrow.TimestampType); t.Unit == arrow.Nanosecond && t.TimeZone == "" {
			c.readTimes(a)
		} else {
			c.readOther(column)
		}
	case *array.Dictionary:
		if !c.readCodes(a) {
			c.readOther(column)
		}
	default:
		c.readOther(column)
	}
}

// readOther turns to a column of a type that is rare.
func (c *cells) readOther(column arrow.Array) {
	c.encode = newEncoder(column, c.style)
	c.quotable = true
	switch column.(type) {
	case *array.Timestamp, *array.Uint64, *array.Boolean:
		c.quotable = false
	case *array.Null: // has no bits
		c.valid = noBits
		c.offset = 0
	}
}

// noBits marks a column in which every value is null.
var noBits = []byte{}

// isNull reports whether the value of a row is null.
func (c *cells) isNull(row int) bool {
	if c.valid == nil {
		return false
	}
	i := c.offset + row
	return len(c.valid) == 0 || c.valid[i>>3]>>(i&7)&1 == 0
}

// append writes the prefix and the value of a row, which is not null.
func (c *cells) append(buf []byte, row int) []byte {
	switch c.kind {
	case intCells:
		return appendInt(append(buf, c.prefix...), c.ints[row])
	case timeCells:
		return c.appendTime(buf, c.ints[row])
	case codeCells:
		return c.appendCode(buf, c.codes[row])
	case floatCells:
		return c.style.appendFloat(append(buf, c.prefix...), c.floats[row], 64)
	case textCells:
		return c.appendText(buf, c.text[c.ends[row]:c.ends[row+1]])
	}
	buf = append(buf, c.prefix...)
	if c.style == plainStyle && c.quotable {
		begin := len(buf)
		buf = c.encode(buf, row)
		return quoteInPlace(buf, begin, c.width())
	}
	return c.encode(buf, row)
}

const (
	// longText is the length from which a text is not kept: it costs more than is gained.
	longText = 128
	// manyMisses is how many texts differ from each other until only one in as many is kept.
	manyMisses = 16
)

func (c *cells) appendText(buf, text []byte) []byte {
	if c.known && bytes.Equal(text, c.last) {
		c.misses = 0
		return append(buf, c.written...)
	}
	c.misses++
	begin := len(buf)
	buf = c.appendPlainText(buf, text)
	if len(text) <= longText && (c.misses < manyMisses || c.misses%manyMisses == 0) {
		c.known = true
		c.last = append(c.last[:0], text...)
		c.written = append(c.written[:0], buf[begin:]...)
	}
	return buf
}

// appendPlainText writes a text with its prefix.
func (c *cells) appendPlainText(buf, text []byte) []byte {
	buf = append(buf, c.prefix...)
	if c.style == jsonStyle {
		return appendJSONBytes(buf, text)
	}
	return appendCSVField(buf, text, c.width())
}

// appendNull writes what stands for null: in objects nothing.
func (c *cells) appendNull(buf []byte) []byte {
	if c.style == jsonStyle {
		return buf
	}
	return appendCSVField(append(buf, c.prefix...), nil, c.width())
}

// width is the number of columns, as far as it matters.
func (c *cells) width() int {
	if c.single {
		return 1
	}
	return 2
}

// quoteInPlace quotes the field at the end of a line of CSV where that is needed.
func quoteInPlace(buf []byte, begin, columns int) []byte {
	if !needsQuotes(buf[begin:], columns) {
		return buf
	}
	field := append([]byte(nil), buf[begin:]...)
	return appendCSVField(buf[:begin], field, columns)
}

// appendInt is strconv.AppendInt, faster for up to four digits.
func appendInt(buf []byte, v int64) []byte {
	switch {
	case uint64(v) < 10:
		return append(buf, byte('0'+v))
	case uint64(v) < 100:
		return append(buf, byte('0'+v/10), byte('0'+v%10))
	case uint64(v) < 1000:
		return append(buf, byte('0'+v/100), byte('0'+v/10%10), byte('0'+v%10))
	case uint64(v) < 10000:
		return append(buf, byte('0'+v/1000), byte('0'+v/100%10), byte('0'+v/10%10), byte('0'+v%10))
	}
	return strconv.AppendInt(buf, v, 10)
}
