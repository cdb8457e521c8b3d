package influxql

import "github.com/influxdata/influxql"

// planShow compiles a statement that lists what exists; nil means that it is none.
func planShow(influxql.Statement, *Environment) (*Plan, error) { return nil, nil }
