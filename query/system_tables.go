package query

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/humantime"
	"github.com/siltstone-db/siltstone/schema"
)

// systemTables are all system tables. A column without a type is an instant.
var systemTables = append([]*systemTable{
	tablesTable,
	columnsTable,
	{
		schema: "information_schema", name: "schemata", rows: schemaRows,
		columns: []schema.Column{
			{Name: "catalog_name", Type: schema.String},
			{Name: "schema_name", Type: schema.String},
			{Name: "schema_owner", Type: schema.String},
			{Name: "default_character_set_catalog", Type: schema.String},
			{Name: "default_character_set_schema", Type: schema.String},
			{Name: "default_character_set_name", Type: schema.String},
			{Name: "sql_path", Type: schema.String},
		},
	},
	{
		schema: "information_schema", name: "views", rows: noRows,
		columns: []schema.Column{
			{Name: "table_catalog", Type: schema.String},
			{Name: "table_schema", Type: schema.String},
			{Name: "table_name", Type: schema.String},
			{Name: "definition", Type: schema.String},
		},
	},
	{
		schema: "information_schema", name: "df_settings", rows: noRows,
		columns: []schema.Column{
			{Name: "name", Type: schema.String},
			{Name: "value", Type: schema.String},
			{Name: "description", Type: schema.String},
		},
	},
	{
		schema: "system", name: engine.RejectedTable,
		columns: []schema.Column{
			{Name: schema.TimeColumn},
			{Name: "id", Type: schema.Tag},
			{Name: databaseTag, Type: schema.Tag},
			{Name: "line", Type: schema.Int64},
			{Name: "line_column", Type: schema.Int64},
			{Name: "points", Type: schema.Int64},
			{Name: "raw", Type: schema.String},
			{Name: "quoted", Type: schema.Bool},
			{Name: "truncated", Type: schema.Bool},
			{Name: "reason", Type: schema.String},
			{Name: "hint", Type: schema.String},
			{Name: "token", Type: schema.String},
			{Name: "precision", Type: schema.String},
			{Name: "status", Type: schema.String},
		},
	},
	{
		schema: "system", name: "databases", rows: systemDatabases,
		columns: []schema.Column{
			{Name: "name", Type: schema.String},
			{Name: "retention_period", Type: schema.String},
			{Name: "created"},
			{Name: "deleted"},
		},
	},
	{
		schema: "system", name: "tables", rows: systemTableRows,
		columns: []schema.Column{
			{Name: "database", Type: schema.String},
			{Name: "table_name", Type: schema.String},
			{Name: "row_key", Type: schema.String},
			{Name: "column_count", Type: schema.Int64},
			{Name: "file_count", Type: schema.Int64},
			{Name: "file_bytes", Type: schema.Int64},
			{Name: "file_rows", Type: schema.Int64},
			{Name: "buffered_rows", Type: schema.Int64},
			{Name: "created"},
			{Name: "retention_period", Type: schema.String}, // its own
		},
	},
	{
		schema: "system", name: "columns", rows: systemColumns,
		columns: []schema.Column{
			{Name: "database", Type: schema.String},
			{Name: "table_name", Type: schema.String},
			{Name: "column_name", Type: schema.String},
			{Name: "data_type", Type: schema.String},
			{Name: "created"},
		},
	},
	queriesTable,
	filesTable,
	partitionsTable,
	compactionsTable,
	lastCachesTable,
	distinctCachesTable,
	rollupsTable,
	logTable,
	generationsTable,
	{
		schema: "system", name: "tokens", rows: systemTokens, internalOnly: true,
		columns: []schema.Column{
			{Name: "id", Type: schema.Uint64},
			{Name: "name", Type: schema.String},
			{Name: "admin", Type: schema.Bool},
			{Name: "permissions", Type: schema.String},
			{Name: "created"},
			{Name: "expiry"},
		},
	},
}, emptyTables...)

// tablesTable is information_schema.tables.
var tablesTable = &systemTable{
	schema: "information_schema", name: "tables",
	columns: []schema.Column{
		{Name: "table_catalog", Type: schema.String},
		{Name: "table_schema", Type: schema.String},
		{Name: "table_name", Type: schema.String},
		{Name: "table_type", Type: schema.String},
	},
}

// columnsTable is information_schema.columns, in whose form every table is described.
var columnsTable = &systemTable{
	schema: "information_schema", name: "columns",
	columns: []schema.Column{
		{Name: "table_catalog", Type: schema.String},
		{Name: "table_schema", Type: schema.String},
		{Name: "table_name", Type: schema.String},
		{Name: "column_name", Type: schema.String},
		{Name: "ordinal_position", Type: schema.Int64},
		{Name: "data_type", Type: schema.String},
		{Name: "is_nullable", Type: schema.String},
	},
}

// These two list the system tables, and themselves among them.
func init() { tablesTable.rows, columnsTable.rows = tableRows, columnRows }

// tableRows lists the user's tables and the system tables.
func tableRows(r *running) ([][]string, error) {
	var rows [][]string
	for _, t := range r.view.Database.Tables() {
		rows = append(rows, []string{"'public'", "'iox'", textValue(t.Name), "'BASE TABLE'"})
	}
	for _, t := range r.systemTables() {
		kind := "'BASE TABLE'"
		if t.schema == "information_schema" {
			kind = "'VIEW'"
		}
		rows = append(rows, []string{"'public'", textValue(t.schema), textValue(t.name), kind})
	}
	return rows, nil
}

// systemTables are those that the query may read.
func (r *running) systemTables() []*systemTable {
	return slices.DeleteFunc(slices.Clone(systemTables), func(t *systemTable) bool { return t.internalOnly && !r.isInternal() })
}

// columnRows lists the columns of the user's tables and of the system tables.
func columnRows(r *running) ([][]string, error) {
	var rows [][]string
	for _, t := range r.view.Database.Tables() {
		for i, c := range t.ShownColumns() {
			rows = append(rows, columnRow("iox", t.Name, c, i, nullable(c)))
		}
	}
	for _, t := range r.systemTables() {
		rows = append(rows, t.columnRows()...)
	}
	return rows, nil
}

// schemaRows lists the schemas.
func schemaRows(*running) ([][]string, error) {
	var rows [][]string
	for _, name := range []string{"information_schema", "iox", "system"} {
		rows = append(rows, []string{"'public'", textValue(name), "NULL", "NULL", "NULL", "NULL", "NULL"})
	}
	return rows, nil
}

// noRows is for tables that clients ask for and that have nothing to tell.
func noRows(*running) ([][]string, error) { return nil, nil }

// columnRow is a row of information_schema.columns.
func columnRow(schemaName, table string, c schema.Column, position int, nullable string) []string {
	return []string{
		"'public'", textValue(schemaName), textValue(table), textValue(c.Name),
		countValue(position), textValue(arrowTypeName(c)), textValue(nullable),
	}
}

// databases are those that the query is told about.
func (r *running) databases() []*schema.Database {
	if r.isInternal() && r.querier.opts.Schema != nil {
		return r.querier.opts.Schema().Databases()
	}
	return []*schema.Database{r.view.Database}
}

func systemDatabases(r *running) ([][]string, error) {
	var rows [][]string
	for _, d := range r.databases() {
		rows = append(rows, []string{textValue(d.Name), retentionValue(d.Retention), instantValue(d.Created), "NULL"})
	}
	if !r.isInternal() || r.querier.opts.Schema == nil {
		return rows, nil
	}
	for _, d := range r.querier.opts.Schema().DeletedDatabases() {
		rows = append(rows, []string{
			textValue(d.Name), retentionValue(d.Retention), instantValue(d.Created), instantValue(d.Deleted.At),
		})
	}
	return rows, nil
}

// retentionValue is null for ever, and otherwise written so that it can be read as one
// again: 1d 12h.
func retentionValue(d time.Duration) string {
	if d == 0 {
		return "NULL"
	}
	return textValue(humantime.Format(d))
}

func systemTableRows(r *running) (rows [][]string, err error) {
	err = r.eachTable(func(database string, t *engine.TableView) error {
		rows = append(rows, systemTableRow(database, t))
		return nil
	})
	return rows, err
}

func systemTableRow(database string, t *engine.TableView) []string {
	var bytes, persisted, buffered int
	for _, f := range t.Files {
		bytes += int(f.Bytes)
		persisted += int(f.Rows)
	}
	for _, b := range t.Buffers {
		buffered += b.Rows
	}
	return []string{
		textValue(database), textValue(t.Table.Name), textValue(keyText(t.Table.Key)), countValue(len(t.Table.Columns) + 1),
		countValue(len(t.Files)), countValue(bytes), countValue(persisted), countValue(buffered), instantValue(t.Table.Created),
		retentionValue(t.Table.Retention),
	}
}

// keyText says what identifies a row.
func keyText(k schema.TableKey) string {
	switch k.Rule {
	case schema.FirstByTag:
		return "first by " + k.Tag
	case schema.LatestByTag:
		return "latest by " + k.Tag
	}
	return "tags and time"
}

func systemColumns(r *running) ([][]string, error) {
	var rows [][]string
	for _, d := range r.databases() {
		for _, t := range d.Tables() {
			for _, c := range t.ShownColumns() {
				created := c.Created
				if c.ID == 0 {
					created = t.Created
				}
				rows = append(rows, []string{
					textValue(d.Name), textValue(t.Name), textValue(c.Name), textValue(typeWord(c)), instantValue(created),
				})
			}
		}
	}
	return rows, nil
}

// typeWord is a column's type as the routes that create tables take it.
func typeWord(c schema.Column) string {
	switch c.Type {
	case schema.Tag:
		return "tag"
	case schema.Float64:
		return "float64"
	case schema.Int64:
		return "int64"
	case schema.Uint64:
		return "uint64"
	case schema.String:
		return "utf8"
	case schema.Bool:
		return "bool"
	}
	return "timestamp"
}

// systemTokens lists the tokens, without anything by which one could be told or guessed.
func systemTokens(r *running) ([][]string, error) {
	if r.querier.opts.Tokens == nil {
		return nil, nil
	}
	var rows [][]string
	for _, t := range r.querier.opts.Tokens() {
		rows = append(rows, []string{
			strconv.FormatUint(t.ID, 10), textValue(t.Name), boolValue(t.Admin), textValue(permissionText(t)),
			instantValue(t.Created), instantValue(t.Expiry),
		})
	}
	return rows, nil
}

// permissionText lists what a token may do: db:home:read,write db:cpu:read.
func permissionText(t *schema.Token) string {
	if t.Admin {
		return "*:*:*"
	}
	words := make([]string, len(t.Permissions))
	for i, p := range t.Permissions {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}
