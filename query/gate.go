package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// gate turns text into a checked statement and a statement into text, on connections
// that never run anything else. DuckDB parses in it, so that what is checked and what is
// run cannot differ by parser.
type gate struct {
	maxBytes  int
	sessions  chan *gateSession // those that are free
	templates sync.Map          // of node, by text: dialect.go
	names     printedNames
	texts     parsedTexts
	closed    chan struct{}
}

// gateSession is one connection with the two functions prepared.
type gateSession struct {
	conn        mapping.Connection
	serialize   textFunction
	deserialize textFunction
}

// openGate opens a gate through which some texts can pass at once, so that one that
// takes long does not stop all others.
func openGate(db mapping.Database, sessions, maxBytes int) (*gate, error) {
	g := &gate{maxBytes: maxBytes, sessions: make(chan *gateSession, sessions), closed: make(chan struct{})}
	for i := range sessions {
		s, err := openGateSession(db)
		if err != nil {
			g.close(i)
			return nil, err
		}
		g.sessions <- s
	}
	return g, nil
}

func openGateSession(db mapping.Database) (*gateSession, error) {
	s := &gateSession{}
	var err error
	if s.conn, err = connect(db); err != nil {
		return nil, err
	}
	if s.serialize, err = prepareTextFunction(s.conn, "SELECT json_serialize_sql($1::VARCHAR)"); err == nil {
		s.deserialize, err = prepareTextFunction(s.conn, "SELECT json_deserialize_sql($1::VARCHAR)")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *gateSession) close() {
	s.serialize.close()
	s.deserialize.close()
	mapping.Disconnect(&s.conn)
}

// close waits for the given number of sessions and closes them.
func (g *gate) close(sessions int) {
	close(g.closed)
	for range sessions {
		s := <-g.sessions
		s.close()
	}
}

// call runs a function in a free session.
func (g *gate) call(ctx context.Context, f func(s *gateSession) (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", fmt.Errorf("query: wait for the parser: %w", context.Cause(ctx))
	}
	select {
	case <-g.closed:
		return "", ErrClosed
	case <-ctx.Done():
		return "", fmt.Errorf("query: wait for the parser: %w", context.Cause(ctx))
	case s := <-g.sessions:
		defer func() { g.sessions <- s }()
		return f(s)
	}
}

// statement is a parsed and checked text.
type statement struct {
	prefix string // "", "EXPLAIN " or "EXPLAIN ANALYZE "
	root   node   // what json_serialize_sql returned
	query  node   // its only query node
	tables []tableRef

	// caches are the places in the tree that stand for subqueries until the tags are known.
	caches []cacheRef

	// describes names a table whose existence a statement about it asserts.
	describes string
}

// parse checks text and returns it as a statement.
func (g *gate) parse(ctx context.Context, text string) (*statement, error) {
	return g.parseUpTo(ctx, g.maxBytes, text)
}

// parseUpTo is parse for text of up to a number of bytes.
func (g *gate) parseUpTo(ctx context.Context, maxBytes int, text string) (*statement, error) {
	if err := checkText(text, maxBytes); err != nil {
		return nil, err
	}
	prefix, text := cutExplain(text)
	if table, ok := cutShowColumns(text); ok {
		return g.showColumns(ctx, prefix, table)
	}
	text, places := standardNames(text)
	parse := g.parsed
	if needsPlaces(text, places) {
		parse = g.tree
	}
	root, query, err := parse(ctx, text)
	if err != nil {
		return nil, err
	}
	restoreNames(query, text, places)
	if show := query.child("from_table"); show.str("type") == "SHOW_REF" {
		return g.show(ctx, prefix, show)
	}
	c := checker{}
	if err := c.value(map[string]any(root), nil, 0); err != nil {
		return nil, err
	}
	return &statement{prefix: prefix, root: root, query: query, tables: c.tables, caches: c.caches}, nil
}

// DuckDB's scanner and parser cannot be interrupted, and need time that grows with the square
// of a run of operators (which comments begin and end with) and fast with the number of
// statements. The limits keep a text below a second or so, and are far above any honest one.
const (
	maxOperatorRun = 256
	maxSemicolons  = 256
)

// checkText refuses what would take too long to parse.
func checkText(text string, maxBytes int) error {
	if len(text) > maxBytes {
		return refuse("the query is longer than %d bytes", maxBytes)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return refuse("the query is not valid UTF-8 text")
	}
	if strings.Count(text, ";") > maxSemicolons {
		return refuse("the query has more than %d semicolons", maxSemicolons)
	}
	run := 0
	for i := range len(text) {
		if strings.IndexByte("~!@#^&|`?+-*/%<>=", text[i]) < 0 {
			run = 0
		} else if run++; run > maxOperatorRun {
			return refuse("the query has more than %d operators in a row", maxOperatorRun)
		}
	}
	return nil
}

// tree parses text, which must be one SELECT.
func (g *gate) tree(ctx context.Context, text string) (root, query node, err error) {
	answer, err := g.serialize(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	return decodeTree(answer)
}

// serialize returns what the parser says of a text.
func (g *gate) serialize(ctx context.Context, text string) (string, error) {
	answer, err := g.call(ctx, func(s *gateSession) (string, error) { return s.serialize.call(text) })
	if err != nil {
		return "", fmt.Errorf("query: parse: %w", err)
	}
	return answer, nil
}

var errNoQuery = errors.New("query: the syntax tree has no query node")

// decodeTree reads what the parser said of one SELECT.
func decodeTree(answer string) (root, query node, err error) {
	decoder := json.NewDecoder(strings.NewReader(answer))
	decoder.UseNumber() // positions and huge integers exceed a float64
	if err := decoder.Decode(&root); err != nil {
		return nil, nil, refuse("a constant in the query is out of range, or it is nested too deeply")
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
		return nil, nil, errNoQuery
	}
	return root, query, nil
}

func parseError(answer node) error {
	message := answer.str("error_message")
	switch answer.str("error_type") {
	case "parser":
		return &UserError{Message: fmt.Sprintf("SQL error: ParserError(%q)", message)}
	case "out of memory": // others have it all
		return &ResourceError{Message: message}
	}
	return refuse("only SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS and DESCRIBE are supported (%s)", message)
}

// print returns the SQL text of a tree.
func (g *gate) print(ctx context.Context, root node) (string, error) {
	tree, err := json.Marshal(root)
	if err != nil {
		return "", fmt.Errorf("query: encode the syntax tree: %w", err)
	}
	text, err := g.call(ctx, func(s *gateSession) (string, error) { return s.deserialize.call(string(tree)) })
	if err != nil {
		return "", fmt.Errorf("query: print the syntax tree: %w", err)
	}
	return text, nil
}
