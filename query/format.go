package query

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"
)

// The formats are those of InfluxDB 3 Core. They stream: a writer holds a few records and
// one buffer, but for the pretty table, whose column widths depend on every row.

// flushBytes is the size from which a buffer is handed to the writer.
const flushBytes = 64 << 10

// WriteJSON writes an array of objects without white space. Keys are in column order and null
// ones are omitted; NaN and infinities, which JSON lacks, are written as null.
func WriteJSON(w io.Writer, r Rows) error {
	if t := textOf(r, jsonText); t != nil {
		return t.writeArray(w)
	}
	out := output{w: w, buf: []byte{'['}}
	rows, err := writeObjects(&out, r, ',')
	if err != nil {
		return err
	}
	if rows {
		out.buf = out.buf[:len(out.buf)-1] // the comma behind the last object
	}
	out.buf = append(out.buf, ']')
	return out.flush()
}

// WriteJSONL writes an object as in WriteJSON on a line of its own for each row.
func WriteJSONL(w io.Writer, r Rows) error {
	if t := textOf(r, jsonLines); t != nil {
		return t.write(w, nil)
	}
	out := output{w: w}
	if _, err := writeObjects(&out, r, '\n'); err != nil {
		return err
	}
	return out.flush()
}

// output collects bytes for a writer.
type output struct {
	w   io.Writer
	buf []byte
}

func (o *output) flush() error {
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// flushFull hands on what has been collected when it is enough, but for the last byte,
// which may turn out to be one too many.
func (o *output) flushFull() error {
	if len(o.buf) < flushBytes {
		return nil
	}
	last := o.buf[len(o.buf)-1]
	_, err := o.w.Write(o.buf[:len(o.buf)-1])
	o.buf = append(o.buf[:0], last)
	return err
}

// writeObjects writes each row as a JSON object with a byte behind it, which stays in the
// buffer behind the last one. It reports whether there was a row.
func writeObjects(out *output, r Rows, end byte) (rows bool, err error) {
	columns := newCells(r, jsonStyle)
	ahead := readAhead(r)
	defer ahead.stop()
	for ahead.Next() {
		batch := ahead.Record()
		readCells(columns, batch)
		for row := range int(batch.NumRows()) {
			out.buf = appendObject(out.buf, columns, row, end)
			if err := out.flushFull(); err != nil {
				return false, err
			}
			rows = true
		}
	}
	return rows, ahead.Err()
}

// appendObject writes a row. Every key comes with a comma before it, of which the first
// becomes the brace.
func appendObject(buf []byte, columns []cells, row int, end byte) []byte {
	begin := len(buf)
	buf = appendValues(buf, columns, row)
	if len(buf) == begin {
		buf = append(buf, '{')
	}
	buf[begin] = '{'
	return append(buf, '}', end)
}

// WriteCSV writes a header and the rows, or nothing at all where there is no row.
// Null is an empty field.
func WriteCSV(w io.Writer, r Rows) error {
	if t := textOf(r, csvText); t != nil {
		return t.write(w, appendCSVHeader(nil, r.Schema().Fields()))
	}
	out := output{w: w}
	columns := newCells(r, plainStyle)
	ahead := readAhead(r)
	defer ahead.stop()
	header := true
	for ahead.Next() {
		if header {
			out.buf = appendCSVHeader(out.buf, r.Schema().Fields())
			header = false
		}
		if err := writeCSVRows(&out, columns, ahead.Record()); err != nil {
			return err
		}
	}
	if err := ahead.Err(); err != nil {
		return err
	}
	return out.flush()
}

func appendCSVHeader(buf []byte, fields []arrow.Field) []byte {
	for k, f := range fields {
		if k > 0 {
			buf = append(buf, ',')
		}
		buf = appendCSVField(buf, []byte(f.Name), len(fields))
	}
	return append(buf, '\n')
}

func writeCSVRows(out *output, columns []cells, batch arrow.RecordBatch) error {
	readCells(columns, batch)
	for row := range int(batch.NumRows()) {
		out.buf = appendCSVRow(out.buf, columns, row)
		if err := out.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func appendCSVRow(buf []byte, columns []cells, row int) []byte {
	return append(appendValues(buf, columns, row), '\n')
}

// appendValues writes the values of a row, with their prefixes.
func appendValues(buf []byte, columns []cells, row int) []byte {
	for k := 0; k < len(columns); {
		c := &columns[k]
		side := columns[k : k+c.together]
		k += c.together
		switch {
		case c.kind == codeCells:
			buf = appendCodes(buf, side, row)
		case c.kind == seriesCells:
			buf = appendSeries(buf, side, row)
		case c.isNull(row):
			buf = c.appendNull(buf)
		case c.kind == intCells:
			buf = appendNumbers(buf, side, row)
		default:
			buf = c.append(buf, row)
		}
	}
	return buf
}

// appendCSVField quotes a field where a reader would misread it; the only field of a row
// is quoted when it is empty, as the row would otherwise be a blank line.
func appendCSVField(buf, field []byte, columns int) []byte {
	if !needsQuotes(field, columns) {
		return append(buf, field...)
	}
	buf = append(buf, '"')
	for _, c := range field {
		if c == '"' {
			buf = append(buf, '"')
		}
		buf = append(buf, c)
	}
	return append(buf, '"')
}

func needsQuotes(field []byte, columns int) bool {
	if len(field) == 0 {
		return columns == 1
	}
	for _, c := range field {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}
