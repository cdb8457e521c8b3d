package query

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// mapped is an answer whose columns are converted, record by record.
type mapped struct {
	Rows
	schema  *arrow.Schema
	convert []converter // by column; nil leaves it as it is
	current arrow.RecordBatch
	err     error
}

// converter makes a new column of one.
type converter func(arrow.Array) (arrow.Array, error)

// change is what a column becomes.
type change struct {
	typ     arrow.DataType
	convert converter
}

// mapColumns converts the columns for which choose returns a change. Closing the new
// answer closes the old one.
func mapColumns(rows Rows, choose func(arrow.Field) *change) Rows {
	fields := append([]arrow.Field(nil), rows.Schema().Fields()...)
	convert := make([]converter, len(fields))
	changed := false
	for i, f := range fields {
		if c := choose(f); c != nil {
			fields[i].Type, convert[i] = c.typ, c.convert
			changed = true
		}
	}
	if !changed {
		return rows
	}
	metadata := rows.Schema().Metadata()
	return &mapped{Rows: rows, schema: arrow.NewSchema(fields, &metadata), convert: convert}
}

func (m *mapped) Schema() *arrow.Schema { return m.schema }

func (m *mapped) Next() bool {
	release(&m.current)
	if m.err != nil || !m.Rows.Next() {
		return false
	}
	m.current, m.err = convertColumns(m.Rows.Record(), m.schema, m.convert)
	return m.err == nil
}

func (m *mapped) Record() arrow.RecordBatch { return m.current }

func (m *mapped) Err() error {
	if m.err != nil {
		return m.err
	}
	return m.Rows.Err()
}

func (m *mapped) Close() {
	release(&m.current)
	m.Rows.Close()
}

// convertColumns makes a record with the given schema of one. Columns without a converter
// are shared.
func convertColumns(rec arrow.RecordBatch, schema *arrow.Schema, convert []converter) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, rec.NumCols())
	var made []arrow.Array
	defer func() {
		for _, c := range made {
			c.Release()
		}
	}()
	for i := range columns {
		columns[i] = rec.Column(i)
		if convert[i] == nil {
			continue
		}
		converted, err := convert[i](columns[i])
		if err != nil {
			return nil, inColumn(schema.Field(i).Name, err)
		}
		made = append(made, converted)
		columns[i] = converted
	}
	return array.NewRecordBatch(schema, columns, rec.NumRows()), nil
}

// inColumn adds where an error occurred, also to what the user is told.
func inColumn(name string, err error) error {
	var user *UserError
	if errors.As(err, &user) {
		return &UserError{Message: fmt.Sprintf("column %q: %s", name, user.Message), Err: err}
	}
	return fmt.Errorf("query: column %q: %w", name, err)
}
