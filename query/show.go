package query

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// The statements about the schema are rewritten to queries of information_schema, whose
// tables are written down as constants of the query (schemaScan).
const (
	showTablesSQL = `SELECT table_catalog, table_schema, table_name, table_type
		FROM information_schema.tables ORDER BY table_name`
	showColumnsSQL = `SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable
		FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position`
	describeSQL = `SELECT column_name, data_type, is_nullable
		FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position`
)

// show handles what DuckDB parses as a SHOW: SHOW TABLES and DESCRIBE of a table.
func (g *gate) show(ctx context.Context, prefix string, ref node) (*statement, error) {
	if ref.str("show_type") == "SHOW_UNQUALIFIED" && strings.EqualFold(ref.str("table_name"), `"tables"`) {
		return g.parse(ctx, prefix+showTablesSQL)
	}
	c := checker{}
	described := ref.child("query").child("from_table")
	if ref.str("show_type") != "DESCRIBE" || described.str("type") != "BASE_TABLE" {
		return nil, refuse("only SHOW TABLES, SHOW COLUMNS FROM a table and DESCRIBE of a table are supported")
	}
	if err := c.table(described, nil); err != nil {
		return nil, err
	}
	if c.tables[0].system {
		return nil, refuse("information_schema cannot be described")
	}
	return g.describe(ctx, prefix, describeSQL, c.tables[0].name)
}

// showColumns handles SHOW COLUMNS FROM, which DuckDB does not parse: the table's name is
// parsed as that of a DESCRIBE.
func (g *gate) showColumns(ctx context.Context, prefix, table string) (*statement, error) {
	stmt, err := g.parse(ctx, "DESCRIBE "+table)
	if err != nil {
		return nil, err
	}
	if stmt.describes == "" {
		return nil, refuse("SHOW COLUMNS needs a table")
	}
	return g.describe(ctx, prefix, showColumnsSQL, stmt.describes)
}

func (g *gate) describe(ctx context.Context, prefix, sql, table string) (*statement, error) {
	stmt, err := g.parse(ctx, prefix+fmt.Sprintf(sql, quoteLiteral(table)))
	if err != nil {
		return nil, err
	}
	stmt.describes = table
	return stmt, nil
}

// cutExplain splits EXPLAIN or EXPLAIN ANALYZE off the front of a text.
func cutExplain(text string) (prefix, rest string) {
	rest, ok := cutWord(text, "EXPLAIN")
	if !ok {
		return "", text
	}
	if analyzed, ok := cutWord(rest, "ANALYZE"); ok {
		return "EXPLAIN ANALYZE ", analyzed
	}
	return "EXPLAIN ", rest
}

// cutShowColumns returns what follows SHOW COLUMNS FROM.
func cutShowColumns(text string) (table string, ok bool) {
	table = text
	for _, word := range []string{"SHOW", "COLUMNS"} {
		if table, ok = cutWord(table, word); !ok {
			return "", false
		}
	}
	if rest, ok := cutWord(table, "IN"); ok {
		return rest, true
	}
	return cutWord(table, "FROM")
}

// cutWord skips white space and comments and then the word, in any case of letters.
func cutWord(text, word string) (rest string, ok bool) {
	text = skipSpace(text)
	if len(text) < len(word) || !strings.EqualFold(text[:len(word)], word) {
		return "", false
	}
	rest = text[len(word):]
	if rest != "" && (rest[0] == '_' || rest[0] >= 0x80 || isAlphanumeric(rest[0])) {
		return "", false
	}
	return rest, true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// skipSpace skips white space and comments. A comment within a comment is not looked
// for: what is left then does not begin with a word that we know.
func skipSpace(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\v")
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text, "*/")
		default:
			return text
		}
	}
}

// schemaScan returns the SQL of a table of information_schema, or false where
// there is none of that name.
func schemaScan(db *schema.Database, table string) (sql string, ok bool) {
	var b strings.Builder
	switch table {
	case "tables":
		b.WriteString("SELECT * FROM (VALUES (NULL, NULL, NULL, NULL)")
		for _, t := range db.Tables() {
			fmt.Fprintf(&b, ", ('public', 'iox', %s, 'BASE TABLE')", quoteLiteral(t.Name))
		}
		b.WriteString(") t(table_catalog, table_schema, table_name, table_type) WHERE table_name IS NOT NULL")
	case "columns":
		b.WriteString("SELECT * FROM (VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
		for _, t := range db.Tables() {
			for i, c := range sortedColumns(t) {
				fmt.Fprintf(&b, ", ('public', 'iox', %s, %s, %d, '%s', '%s')",
					quoteLiteral(t.Name), quoteLiteral(c.Name), i, arrowTypeName(c), nullable(c))
			}
		}
		b.WriteString(`) t(table_catalog, table_schema, table_name, column_name, ordinal_position, data_type, is_nullable)
			WHERE table_name IS NOT NULL`)
	default:
		return "", false
	}
	return b.String(), true
}

// sortedColumns returns a table's columns, time among them, in the order of their names
// and so of SELECT *. Time has the id 0 here.
func sortedColumns(t *schema.Table) []schema.Column {
	all := append(slices.Clone(t.Columns), schema.Column{Name: schema.TimeColumn})
	slices.SortFunc(all, func(a, b schema.Column) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func nullable(c schema.Column) string {
	if c.ID == 0 {
		return "NO"
	}
	return "YES"
}

// arrowTypeName is a column's type as InfluxDB 3 shows it.
func arrowTypeName(c schema.Column) string {
	switch c.Type {
	case schema.Tag:
		return "Dictionary(Int32, Utf8)"
	case schema.Float64:
		return "Float64"
	case schema.Int64:
		return "Int64"
	case schema.Uint64:
		return "UInt64"
	case schema.String:
		return "Utf8"
	case schema.Bool:
		return "Boolean"
	}
	return "Timestamp(Nanosecond, None)"
}

// quoteLiteral and quoteName write a string as an SQL literal and as an identifier.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
