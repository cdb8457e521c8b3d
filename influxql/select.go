package influxql

import "github.com/influxdata/influxql"

// planSelect compiles SELECT.
func planSelect(stmt *influxql.SelectStatement, env *Environment) (*Plan, error) {
	return nil, refuse("SELECT is not built")
}
