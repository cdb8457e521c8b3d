package query

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// A system table is found by its schema and name, and no user's table can take its place:
// those are in the schema iox. Most are generated, written down as constants of the query
// that asks for them. The others are tables of the internal database, of which each
// other database sees the rows about itself.
//
// A query in a database is told about that database only. In the internal database, for
// which one needs permission like for any other, it is told about all.

// systemTable is a table of information_schema or system.
type systemTable struct {
	schema, name string
	columns      []schema.Column // in the order of SELECT *; without ids
	internalOnly bool            // exists for queries in the internal database only
	// rows are the rows of a generated table, each an SQL expression a column. A table
	// without is stored in the internal database under its name.
	rows func(r *running) ([][]string, error)
}

// databaseTag is the tag of the internal database's tables that names the database which a
// row is about.
const databaseTag = "database"

// isSystemSchema reports whether a schema holds system tables.
func isSystemSchema(name string) bool {
	return strings.EqualFold(name, "information_schema") || strings.EqualFold(name, "system")
}

func findSystemTable(schema, name string) (*systemTable, error) {
	for _, t := range systemTables {
		if strings.EqualFold(t.schema, schema) && strings.EqualFold(t.name, name) {
			return t, nil
		}
	}
	return nil, noSystemTable(schema, name)
}

func noSystemTable(schema, name string) error {
	return refuse("table 'public.%s.%s' not found", strings.ToLower(schema), name)
}

// isInternal reports whether the query is one in the internal database.
func (r *running) isInternal() bool { return r.view.Database.Name == engine.InternalDatabase }

// readsStoredSystemTable reports whether a table in the statement is stored in the internal
// database.
func (s *statement) readsStoredSystemTable() bool {
	return slices.ContainsFunc(s.tables, func(t tableRef) bool { return t.system != nil && t.system.rows == nil })
}

// pinSystem pins what a system table shows: nil for one that is generated, or whose rows
// nothing has written yet.
func (r *running) pinSystem(t *systemTable) (*engine.TableView, error) {
	if t.internalOnly && !r.isInternal() {
		return nil, noSystemTable(t.schema, t.name)
	}
	if t.rows != nil {
		return nil, nil
	}
	if view, ok := r.internal[t.name]; ok {
		return view.Tables[0], nil
	}
	view, err := r.querier.opts.View(r.ctx, engine.InternalDatabase, []string{t.name})
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.internal == nil {
		r.internal = make(map[string]*engine.View)
	}
	r.internal[t.name] = view
	return view.Tables[0], nil
}

// isMissing reports whether a view failed because the database or a table does not exist.
func isMissing(err error) bool {
	var missing *engine.TableNotFoundError
	return errors.Is(err, engine.ErrDatabaseNotFound) || errors.As(err, &missing)
}

// systemScan writes the scan of a system table.
func (r *running) systemScan(t *systemTable, stored *engine.TableView, c *constraint) (string, error) {
	if t.rows == nil {
		return r.storedScan(t, stored, c)
	}
	rows, err := t.rows(r)
	if err != nil {
		return "", err
	}
	return t.relation(rows), nil
}

// barrier ends a SELECT below which DuckDB must not push conditions: it does not push any
// below a LIMIT. What a user's condition says of another database's row, if only that
// it cannot be cast, the user must not learn.
const barrier = " LIMIT 9223372036854775807"

// storedScan writes the scan of a table of the internal database, which may be nil, reduced
// to the rows about the database of the query.
func (r *running) storedScan(t *systemTable, stored *engine.TableView, c *constraint) (string, error) {
	if stored == nil {
		return t.relation(nil), nil
	}
	own, only := constraint{time: c.time, tags: maps.Clone(c.tags)}, ""
	if !r.isInternal() {
		name := r.view.Database.Name
		only = " WHERE " + sqltext.Name(databaseTag) + " = " + sqltext.Literal(name) + barrier
		if tag, ok := stored.Table.Column(databaseTag); ok && tag.Type == schema.Tag {
			own.narrowValues(tag.ID, []string{name})
		}
	}
	from, err := r.tableScan(nil, nil, stored, &own, &columnNames{all: true})
	if err != nil {
		return "", err
	}
	items := make([]string, len(t.columns))
	for i, want := range t.columns {
		items[i] = sqltext.Name(want.Name)
		if have, ok := stored.Table.Column(want.Name); want.Name != schema.TimeColumn && (!ok || have.Type != want.Type) {
			items[i] = "NULL::" + sqltext.Type(want.Type) + " AS " + items[i]
		}
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM (" + from + ")" + only, nil
}

// relation writes a generated table.
func (t *systemTable) relation(rows [][]string) string {
	items, names := make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = "v" + strconv.Itoa(i)
		value := names[i]
		if len(rows) == 0 {
			value = "NULL"
		}
		items[i] = value + "::" + sqltext.Type(c.Type) + " AS " + sqltext.Name(c.Name)
	}
	selected := "SELECT " + strings.Join(items, ", ")
	if len(rows) == 0 {
		return selected + " WHERE false"
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = "(" + strings.Join(row, ", ") + ")"
	}
	return selected + " FROM (VALUES " + strings.Join(lines, ", ") + ") v(" + strings.Join(names, ", ") + ")"
}

// describe writes the table's columns as information_schema.columns lists them.
func (t *systemTable) describe() string { return columnsTable.relation(t.columnRows()) }

// columnRows are the table's rows of information_schema.columns.
func (t *systemTable) columnRows() [][]string {
	rows := make([][]string, len(t.columns))
	for i, c := range t.columns {
		nullable := "YES"
		if c.Name == schema.TimeColumn {
			nullable = "NO"
		}
		rows[i] = columnRow(t.schema, t.name, c, i, nullable)
	}
	return rows
}

// The values of generated tables, as SQL.

func textValue(s string) string { return sqltext.Literal(s) }

func countValue(n int) string { return strconv.Itoa(n) }

func boolValue(b bool) string { return strconv.FormatBool(b) }

// instantValue is null for 0, which stands for never or unknown.
func instantValue(ns int64) string {
	if ns == 0 {
		return "NULL"
	}
	// The machine's clock may have been where DuckDB has no time.
	return fmt.Sprintf("make_timestamp_ns(%d)", min(max(ns, minLiteral), maxLiteral))
}
