package influxql

import (
	"errors"

	_ "github.com/influxdata/influxql" // the grammar
)

// Statement is one parsed statement.
type Statement struct {
	text string
}

// Text is the statement as it was understood, without secrets.
func (s *Statement) Text() string { return s.text }

// Parse reads the statements of a text, which semicolons separate, with params in the
// place of their $names: strings, booleans, int64, float64 and nil.
func Parse(text string, params map[string]any) ([]*Statement, error) {
	return nil, errors.New("not built")
}

// Command returns what the statement changes, or nil if it reads.
func (s *Statement) Command() Command { return nil }

// Plan compiles a statement that reads.
func (s *Statement) Plan(env *Environment) (*Plan, error) { return nil, errors.New("not built") }

// Command is what a statement that does not read asks for: *CreateDatabase, *DropDatabase,
// *CreateRetentionPolicy, …
type Command interface{ command() }
