package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// gate turns text into a checked statement and a statement into text, on a
// connection of its own that never runs anything else. DuckDB parses in it, so that
// what is checked and what is run cannot differ by parser.
type gate struct {
	maxBytes int

	mu struct {
		sync.Mutex
		closed      bool
		conn        mapping.Connection
		serialize   textFunction
		deserialize textFunction
	}
}

// openGate takes over conn.
func openGate(conn mapping.Connection, maxBytes int) (*gate, error) {
	g := &gate{maxBytes: maxBytes}
	g.mu.conn = conn
	var err error
	if g.mu.serialize, err = prepareTextFunction(conn, "SELECT json_serialize_sql($1::VARCHAR)"); err == nil {
		g.mu.deserialize, err = prepareTextFunction(conn, "SELECT json_deserialize_sql($1::JSON)")
	}
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.closed = true
	g.mu.serialize.close()
	g.mu.deserialize.close()
	mapping.Disconnect(&g.mu.conn)
}

// call runs one of the gate's functions.
func (g *gate) call(f *textFunction, text string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.closed {
		return "", ErrClosed
	}
	return f.call(text)
}

// statement is a parsed and checked text.
type statement struct {
	prefix string // "", "EXPLAIN " or "EXPLAIN ANALYZE "
	root   node   // what json_serialize_sql returned
	query  node   // its only query node
	tables []tableRef

	// describes names a table whose existence a statement about it asserts.
	describes string
}

// parse checks text and returns it as a statement.
func (g *gate) parse(text string) (*statement, error) {
	if len(text) > g.maxBytes {
		return nil, refuse("the query is longer than %d bytes", g.maxBytes)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, refuse("the query is not valid UTF-8 text")
	}
	prefix, text := cutExplain(text)
	if table, ok := cutShowColumns(text); ok {
		return g.showColumns(prefix, table)
	}
	root, query, err := g.tree(text)
	if err != nil {
		return nil, err
	}
	if show := query.child("from_table"); show.str("type") == "SHOW_REF" {
		return g.show(prefix, show)
	}
	c := checker{}
	if err := c.value(map[string]any(root), nil, 0); err != nil {
		return nil, err
	}
	return &statement{prefix: prefix, root: root, query: query, tables: c.tables}, nil
}

// tree parses text, which must be one SELECT.
func (g *gate) tree(text string) (root, query node, err error) {
	answer, err := g.call(&g.mu.serialize, text)
	if err != nil {
		return nil, nil, fmt.Errorf("query: parse: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(answer))
	decoder.UseNumber() // positions and huge integers exceed a float64
	if err := decoder.Decode(&root); err != nil {
		return nil, nil, refuse("a constant in the query is out of range")
	}
	if failed, _ := root["error"].(bool); failed {
		return nil, nil, parseError(root)
	}
	statements := root.list("statements")
	if len(statements) != 1 {
		return nil, nil, refuse("exactly one statement is expected, not %d", len(statements))
	}
	query = asNode(statements[0]).child("node")
	if query == nil {
		return nil, nil, errors.New("query: the syntax tree has no query node")
	}
	return root, query, nil
}

func parseError(answer node) error {
	message := answer.str("error_message")
	if answer.str("error_type") == "parser" {
		return &UserError{Message: fmt.Sprintf("SQL error: ParserError(%q)", message)}
	}
	return refuse("only SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS and DESCRIBE are supported (%s)", message)
}

// print returns the SQL text of a tree.
func (g *gate) print(root node) (string, error) {
	tree, err := json.Marshal(root)
	if err != nil {
		return "", fmt.Errorf("query: encode the syntax tree: %w", err)
	}
	text, err := g.call(&g.mu.deserialize, string(tree))
	if err != nil {
		return "", fmt.Errorf("query: print the syntax tree: %w", err)
	}
	return text, nil
}
