package transfer

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// CSVRows writes rows of Arrow records as annotated CSV that NewCSV and influx write read:
// the annotation #datatype, a header, and the rows. Null is nothing, empty text a pair of
// quotes.
type CSVRows struct {
	table   []byte // as each row begins
	columns []Column
	cells   []cells
	time    instants
}

// datatypes are the types of columns in the annotation.
var datatypes = map[schema.ColumnType]string{
	0: "dateTime:RFC3339Nano", schema.Tag: "tag", schema.Float64: "double", schema.Int64: "long",
	schema.Uint64: "unsignedLong", schema.String: "string", schema.Bool: "boolean",
}

// NewCSVRows prepares to write a table, whose columns are those of the records.
func NewCSVRows(table Table) *CSVRows {
	return &CSVRows{appendField(nil, table.Name), table.Columns, make([]cells, len(table.Columns)), nil}
}

// AppendHeader writes what is above the rows of a table.
func (w *CSVRows) AppendHeader(dst []byte) []byte {
	dst = append(dst, "#datatype measurement"...)
	for _, c := range w.columns {
		dst = append(append(dst, ','), datatypes[c.Type]...)
	}
	dst = append(dst, "\nmeasurement"...)
	for _, c := range w.columns {
		dst = appendField(append(dst, ','), c.Name)
	}
	return append(dst, '\n')
}

// Read turns to the next record. The error is for a column whose type does not fit.
func (w *CSVRows) Read(batch arrow.RecordBatch) (err error) {
	for i, c := range w.columns {
		if c.Type != 0 {
			w.cells[i], err = readCells(batch.Column(i), c.Type)
		} else {
			w.cells[i].column = batch.Column(i)
			w.time, err = readInstants(batch.Column(i), lineprotocol.Nanosecond)
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// Append writes a row of the record. On an error, which is for this row, what it has written
// is of no use.
func (w *CSVRows) Append(dst []byte, row int) ([]byte, error) {
	dst = append(dst, w.table...)
	for i, c := range w.columns {
		dst = append(dst, ',')
		cells := &w.cells[i]
		switch {
		case cells.column.IsNull(row):
		case c.Type == 0:
			ns, err := w.time(row)
			if err != nil {
				return dst, err
			}
			dst = time.Unix(0, ns).UTC().AppendFormat(dst, time.RFC3339Nano)
		case cells.text != nil:
			dst = appendField(dst, cells.text(row))
		case cells.integer != nil:
			dst = strconv.AppendInt(dst, cells.integer(row), 10)
		case cells.whole != nil:
			dst = strconv.AppendUint(dst, cells.whole(row), 10)
		case cells.boolean != nil:
			dst = strconv.AppendBool(dst, cells.boolean(row))
		default:
			var err error
			if dst, err = appendFloat(dst, cells.float(row)); err != nil {
				return dst, fmt.Errorf("column %q: %w", c.Name, err)
			}
		}
	}
	return append(dst, '\n'), nil
}

// appendField writes text, in quotes where it would else be null, a comment or something else.
func appendField(dst []byte, text string) []byte {
	if text != "" && text[0] != '#' && text[0] != ' ' && !bytes.ContainsAny([]byte(text), ",\"\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, b := range []byte(text) {
		if b == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}
