package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// The statements about the schema are rewritten to queries of information_schema. A system
// table, which that does not list, is described by constants in the same form.
const (
	showTablesSQL = `SELECT table_catalog, table_schema, table_name, table_type
		FROM information_schema.tables
		ORDER BY CASE table_schema WHEN 'iox' THEN 1 WHEN 'system' THEN 2 ELSE 3 END, table_name`
	showColumnsSQL = `SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable
		FROM %s ORDER BY ordinal_position`
	describeSQL = `SELECT column_name, data_type, is_nullable FROM %s ORDER BY ordinal_position`
)

// show handles what DuckDB parses as a SHOW: SHOW TABLES and DESCRIBE of a table.
func (g *gate) show(ctx context.Context, prefix string, ref node) (*statement, error) {
	if ref.str("show_type") == "SHOW_UNQUALIFIED" && strings.EqualFold(ref.str("table_name"), `"tables"`) {
		return g.parse(ctx, prefix+showTablesSQL)
	}
	return g.describe(ctx, prefix, describeSQL, ref)
}

// showColumns handles SHOW COLUMNS FROM, which DuckDB does not parse: the table's name is
// parsed as that of a DESCRIBE.
func (g *gate) showColumns(ctx context.Context, prefix, table string) (*statement, error) {
	_, query, err := g.tree(ctx, "DESCRIBE "+table)
	if err != nil {
		return nil, err
	}
	return g.describe(ctx, prefix, showColumnsSQL, query.child("from_table"))
}

// describe makes a statement about the columns of the table that a DESCRIBE names.
func (g *gate) describe(ctx context.Context, prefix, sql string, ref node) (*statement, error) {
	c := checker{}
	described := ref.child("query").child("from_table")
	if ref.str("show_type") != "DESCRIBE" || described.str("type") != "BASE_TABLE" {
		return nil, refuse("only SHOW TABLES, SHOW COLUMNS FROM a table and DESCRIBE of a table are supported")
	}
	if err := c.table(described, nil); err != nil {
		return nil, err
	}
	table := c.tables[0]
	if table.system != nil {
		return g.parse(ctx, prefix+fmt.Sprintf(sql, "("+table.system.describe()+")"))
	}
	stmt, err := g.parse(ctx, prefix+fmt.Sprintf(sql,
		"information_schema.columns WHERE table_schema = 'iox' AND table_name = "+sqltext.Literal(table.name)))
	if err != nil {
		return nil, err
	}
	stmt.describes = table.name
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
