package influxql

import "github.com/influxdata/influxql"

// commandOf returns what a statement changes, or nil if it reads.
func commandOf(influxql.Statement) Command { return nil }
