package query

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"
)

// The formats are those of InfluxDB 3 Core. They stream: a writer holds one record and
// one buffer, but for the pretty table, whose column widths depend on every row.

// flushBytes is the size from which a buffer is handed to the writer.
const flushBytes = 64 << 10

// WriteJSON writes an array of objects without white space. Keys are in column order and null
// ones are omitted; NaN and infinities, which JSON lacks, are written as null.
func WriteJSON(w io.Writer, r Rows) error {
	out := output{w: w, buf: []byte{'['}}
	first := true
	err := writeObjects(&out, r, func(buf []byte) []byte {
		if first {
			first = false
			return buf
		}
		return append(buf, ',')
	}, "")
	if err != nil {
		return err
	}
	out.buf = append(out.buf, ']')
	return out.flush()
}

// WriteJSONL writes an object as in WriteJSON on a line of its own for each row.
func WriteJSONL(w io.Writer, r Rows) error {
	out := output{w: w}
	if err := writeObjects(&out, r, func(buf []byte) []byte { return buf }, "\n"); err != nil {
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

// flushFull flushes when enough has been collected.
func (o *output) flushFull() error {
	if len(o.buf) < flushBytes {
		return nil
	}
	return o.flush()
}

// writeObjects writes each row as a JSON object, between what begin appends and end.
func writeObjects(out *output, r Rows, begin func([]byte) []byte, end string) error {
	var keys [][]byte
	for _, f := range r.Schema().Fields() {
		keys = append(keys, append(appendJSONString(nil, f.Name), ':'))
	}
	for r.Next() {
		batch := r.Record()
		encoders := newEncoders(batch, jsonStyle)
		for row := range int(batch.NumRows()) {
			out.buf = append(begin(out.buf), '{')
			empty := true
			for k, column := range batch.Columns() {
				if column.IsNull(row) {
					continue
				}
				if !empty {
					out.buf = append(out.buf, ',')
				}
				empty = false
				out.buf = append(out.buf, keys[k]...)
				out.buf = encoders[k](out.buf, row)
			}
			out.buf = append(append(out.buf, '}'), end...)
			if err := out.flushFull(); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// WriteCSV writes a header and the rows, or nothing at all where there is no row.
// Null is an empty field.
func WriteCSV(w io.Writer, r Rows) error {
	out := output{w: w}
	header := true
	for r.Next() {
		batch := r.Record()
		if header {
			for k, f := range r.Schema().Fields() {
				out.buf = appendCSVField(separate(out.buf, k), []byte(f.Name), len(r.Schema().Fields()))
			}
			out.buf = append(out.buf, '\n')
			header = false
		}
		if err := writeCSVRows(&out, batch); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	return out.flush()
}

func writeCSVRows(out *output, batch arrow.RecordBatch) error {
	encoders := newEncoders(batch, plainStyle)
	var field []byte
	for row := range int(batch.NumRows()) {
		for k, column := range batch.Columns() {
			field = field[:0]
			if column.IsValid(row) {
				field = encoders[k](field, row)
			}
			out.buf = appendCSVField(separate(out.buf, k), field, len(encoders))
		}
		out.buf = append(out.buf, '\n')
		if err := out.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func separate(buf []byte, column int) []byte {
	if column == 0 {
		return buf
	}
	return append(buf, ',')
}

// appendCSVField quotes a field where a reader would misread it; the only field of a row
// is quoted when it is empty, as the row would otherwise be a blank line.
func appendCSVField(buf, field []byte, columns int) []byte {
	quote := len(field) == 0 && columns == 1
	for _, c := range field {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			quote = true
			break
		}
	}
	if !quote {
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
