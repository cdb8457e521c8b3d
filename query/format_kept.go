package query

import (
	"math"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// What is written again and again is kept as it was written, with its key: small integers, the
// day of a time, and the values of tags. Tags that stand side by side and are those of the row
// above are copied at once.

const (
	smallInts  = 128 // from 0 on, that are kept
	shortPiece = 32
	dayNanos   = 24 * int64(time.Hour)
)

// keptText is a short text. It is copied as a whole, which is cheaper than a copy of its length.
type keptText struct {
	length uint8 // 0 is not known
	text   [shortPiece]byte
}

// appendNumber writes an integer with its prefix, and keeps what it wrote if that may help.
func (c *cells) appendNumber(buf []byte, v int64) []byte {
	begin := len(buf)
	buf = appendInt(append(buf, c.prefix...), v)
	if text := buf[begin:]; uint64(v) < smallInts && len(text) <= shortPiece {
		if c.small == nil {
			c.small = new([smallInts]keptText)
		}
		p := &c.small[v]
		p.length = uint8(copy(p.text[:], text))
	}
	return buf
}

// appendNumbers writes the integers of a row in columns that stand side by side and have no nulls.
func appendNumbers(buf []byte, columns []cells, row int) []byte {
	buf = slices.Grow(buf, len(columns)*shortPiece)
	for k := range columns {
		c := &columns[k]
		v := c.ints[row]
		if uint64(v) < smallInts && c.small != nil {
			if p := &c.small[v]; p.length > 0 {
				at := len(buf)
				*(*[shortPiece]byte)(buf[at : at+shortPiece]) = p.text
				buf = buf[:at+int(p.length)]
				continue
			}
		}
		buf = slices.Grow(c.appendNumber(buf, v), (len(columns)-k-1)*shortPiece)
	}
	return buf
}

// arrange finds the columns that stand side by side and are written at once.
func arrange(columns []cells) {
	for k := len(columns) - 1; k >= 0; k-- {
		c := &columns[k]
		c.together = 1
		if k+1 < len(columns) && c.isLike(&columns[k+1]) {
			c.together = columns[k+1].together + 1
		}
	}
}

func (c *cells) isLike(next *cells) bool {
	switch c.kind {
	case codeCells, seriesCells:
		return next.kind == c.kind
	case intCells:
		return next.kind == c.kind && c.valid == nil && next.valid == nil
	}
	return false
}

// readTimes turns to a column of times in nanoseconds.
func (c *cells) readTimes(a *array.Timestamp) {
	c.kind, c.ints = timeCells, arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()))
}

// appendTime writes a time with its prefix.
func (c *cells) appendTime(buf []byte, v int64) []byte {
	day, rest := v/dayNanos, v%dayNanos
	if rest < 0 {
		day, rest = day-1, rest+dayNanos
	}
	if day != c.day || len(c.written) == 0 {
		c.day = day
		c.written = append(c.written[:0], c.prefix...)
		if c.style == jsonStyle {
			c.written = append(c.written, '"')
		}
		c.written = time.Unix(day*86400, 0).UTC().AppendFormat(c.written, "2006-01-02T")
	}
	buf = appendClock(append(buf, c.written...), rest)
	if c.style == jsonStyle {
		buf = append(buf, '"')
	}
	return buf
}

// readCodes turns to a column of codes of texts.
func (c *cells) readCodes(a *array.Dictionary) bool {
	codes, isInt32 := a.Indices().(*array.Int32)
	values, isText := a.Dictionary().(*array.String)
	if !isInt32 || !isText {
		return false
	}
	c.kind, c.codes, c.values = codeCells, codes.Int32Values(), values
	if dictionary := a.Data().Dictionary(); dictionary != c.dictionary {
		c.dictionary = dictionary
		clear(c.coded)
		c.coded = slices.Grow(c.coded[:0], values.Len())[:values.Len()]
	}
	return true
}

// noCode is the code of null.
const noCode = math.MinInt32

// code returns the code of a row.
func (c *cells) code(row int) int32 {
	if c.isNull(row) {
		return noCode
	}
	return c.codes[row]
}

// appendCode writes the text of a code with its prefix.
func (c *cells) appendCode(buf []byte, code int32) []byte {
	if code == noCode {
		return c.appendNull(buf)
	}
	if c.coded[code] == nil {
		c.coded[code] = c.appendPlainText(nil, []byte(c.values.Value(int(code))))
	}
	return append(buf, c.coded[code]...)
}

// appendCodes writes the texts of a row in columns of codes that stand side by side.
func appendCodes(buf []byte, columns []cells, row int) []byte {
	kept := &columns[0]
	isSame := kept.block != nil && row > 0
	for k := range columns {
		c := &columns[k]
		code := c.code(row)
		isSame = isSame && code == c.lastCode
		c.lastCode = code
	}
	if isSame {
		return append(buf, kept.block...)
	}
	begin := len(buf)
	for k := range columns {
		buf = columns[k].appendCode(buf, columns[k].lastCode)
	}
	kept.block = append(kept.block[:0], buf[begin:]...)
	return buf
}
