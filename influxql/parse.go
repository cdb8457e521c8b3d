package influxql

import (
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// Statement is one parsed statement.
type Statement struct {
	ast influxql.Statement
}

// Text is the statement as it was understood, without secrets.
func (s *Statement) Text() string { return influxql.Sanitize(s.ast.String()) }

// Parse reads the statements of a text, which semicolons separate, with params in the
// place of their $names: strings, booleans, int64, float64, json.Number, and maps with one entry
// that says what a value is, like {"regex": "^a"}. Its errors are *SyntaxError, in the words of
// the grammar, and *StatementError for a text that is beyond the limits of limits.go.
func Parse(text string, params map[string]any) ([]*Statement, error) {
	if err := checkText(text, params); err != nil {
		return nil, err
	}
	p := influxql.NewParser(strings.NewReader(text))
	p.SetParams(params)
	query, err := p.ParseQuery()
	if err != nil {
		return nil, &SyntaxError{Err: err}
	}
	statements := make([]*Statement, len(query.Statements))
	for i, s := range query.Statements {
		if err := checkDepth(s); err != nil {
			return nil, err
		}
		statements[i] = &Statement{ast: s}
	}
	return statements, nil
}

// Command returns what the statement changes, at a time, or nil if it reads.
func (s *Statement) Command(now time.Time) Command { return commandOf(s.ast, now) }

// Plan compiles a statement that reads. Its errors are *DatabaseNotFoundError,
// *ForbiddenError and *StatementError.
func (s *Statement) Plan(env *Environment) (*Plan, error) {
	switch ast := s.ast.(type) {
	case *influxql.SelectStatement:
		return planSelect(ast, env)
	case *influxql.ExplainStatement:
		return nil, refuse("EXPLAIN is not supported in InfluxQL: use EXPLAIN in SQL")
	}
	plan, err := planShow(s.ast, env)
	if err != nil || plan != nil {
		return plan, err
	}
	return nil, refuse("%s is not supported", firstWords(s.ast))
}

// firstWords names the kind of a statement by the keywords that begin it.
func firstWords(ast influxql.Statement) string {
	words := strings.Fields(influxql.Sanitize(ast.String()))
	n := 0
	for n < len(words) && words[n] == strings.ToUpper(words[n]) && n < 3 {
		n++
	}
	return strings.Join(words[:max(n, 1)], " ")
}
