package ingestapi

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/query"
	"github.com/siltstone-db/siltstone/schema"
)

// readContacts reads the current versions of contacts, with one query. Contacts that do
// not exist are not in the result.
func (q *request) readContacts(table *schema.Table, users []string) (map[string]contact, error) {
	found := make(map[string]contact, len(users))
	if table == nil {
		return found, nil
	}
	params := make(map[string]any, len(users))
	names := make([]string, len(users))
	for i, user := range users {
		name := "u" + strconv.Itoa(i)
		params[name], names[i] = user, "$"+name
	}
	sql := fmt.Sprintf("SELECT * FROM %s WHERE %s IN (%s)", contactsTable, sqltext.Name(userID), strings.Join(names, ", "))
	err := q.query(sql, params, func(record arrow.RecordBatch) error {
		return q.addContacts(found, record)
	})
	return found, err
}

// query runs SQL on the datasource's database and hands its records on.
func (q *request) query(sql string, params map[string]any, next func(arrow.RecordBatch) error) error {
	result, err := q.Querier.Query(q.r.Context(), query.Request{Database: q.stream.Database, SQL: sql, Params: params})
	if err != nil {
		return fmt.Errorf("query database %s: %w", q.stream.Database, err)
	}
	defer result.Close()
	for result.Next() {
		if err := next(result.Record()); err != nil {
			return err
		}
	}
	if err := result.Err(); err != nil {
		return fmt.Errorf("query database %s: %w", q.stream.Database, err)
	}
	return nil
}

// addContacts takes the contacts out of a record: its fields are their attributes.
func (q *request) addContacts(found map[string]contact, record arrow.RecordBatch) error {
	table := q.findTable(contactsTable) // not older than the record
	if table == nil {
		return fmt.Errorf("table %s of database %s was deleted while it was read", contactsTable, q.stream.Database)
	}
	rows := make([]contact, record.NumRows())
	for i := range rows {
		rows[i].attributes = make(map[string]value)
	}
	var users arrow.Array
	for i, field := range record.Schema().Fields() {
		column := record.Column(i)
		switch definition, ok := table.Column(field.Name); {
		case field.Name == schema.TimeColumn:
			addVersions(rows, column)
		case field.Name == userID:
			users = column
		case !ok:
			return fmt.Errorf("column %q of table %s of database %s has a name that differs from another one in nothing but case",
				field.Name, contactsTable, q.stream.Database)
		case definition.Type == schema.Tag, field.Name == schema.DeletedColumn: // no attributes
		default:
			if err := addAttribute(rows, definition, column); err != nil {
				return err
			}
		}
	}
	if users == nil {
		return fmt.Errorf("table %s of database %s has no column %s", contactsTable, q.stream.Database, userID)
	}
	for i, c := range rows {
		found[strings.Clone(users.(*array.String).Value(i))] = c
	}
	return nil
}

func addVersions(rows []contact, column arrow.Array) {
	times := column.(*array.Timestamp)
	for i := range rows {
		rows[i].version = int64(times.Value(i))
	}
}

// addAttribute gives each row its value of a column, where it has one.
func addAttribute(rows []contact, definition schema.Column, column arrow.Array) error {
	for i := range rows {
		if column.IsNull(i) {
			continue
		}
		v := value{kind: definition.Type}
		switch column := column.(type) {
		case *array.String:
			v.text = strings.Clone(column.Value(i)) // the record's memory is not ours
		case *array.Float64:
			v.bits = math.Float64bits(column.Value(i))
		case *array.Int64:
			v.bits = uint64(column.Value(i))
		case *array.Uint64:
			v.bits = column.Value(i)
		case *array.Boolean:
			v = boolValue(column.Value(i))
		default:
			return fmt.Errorf("column %q of table %s has the unexpected type %v", definition.Name, contactsTable, column.DataType())
		}
		rows[i].attributes[definition.Name] = v
	}
	return nil
}
