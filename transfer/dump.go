package transfer

import (
	"bytes"
	"strings"
)

// Dump follows what a dump of InfluxDB 1 says between its lines: influx_inspect export puts
// the database and the retention policy of the lines below into comments, and statements
// that make them above. Files without such comments pass as they are.
type Dump struct {
	// Database and Policy are those of the lines that follow; empty when nothing was said.
	Database, Policy string

	statements bool // between # DDL and # DML
}

// The comments that mean something.
const (
	dumpStatements = "# DDL"
	dumpLines      = "# DML"
	dumpDatabase   = "# CONTEXT-DATABASE:"
	dumpPolicy     = "# CONTEXT-RETENTION-POLICY:"
)

// MayHold reports whether some line of a body may mean something to a dump, or is a statement.
func (d *Dump) MayHold(body []byte) bool {
	return d.statements || bytes.Contains(body, []byte("# D")) || bytes.Contains(body, []byte("# CONTEXT-"))
}

// Line takes one line and reports whether it is a point, or nothing, rather than a part of
// the dump.
func (d *Dump) Line(line []byte) (point bool) {
	text := strings.TrimSpace(string(line[:min(len(line), 1024)]))
	switch {
	case text == dumpStatements:
		d.statements = true
	case text == dumpLines:
		d.statements = false
	case strings.HasPrefix(text, dumpDatabase):
		d.Database, d.Policy = strings.TrimSpace(text[len(dumpDatabase):]), ""
	case strings.HasPrefix(text, dumpPolicy):
		d.Policy = strings.TrimSpace(text[len(dumpPolicy):])
	default:
		return !d.statements
	}
	return false
}

// defaultPolicy is the retention policy that InfluxDB 1 makes by itself.
const defaultPolicy = "autogen"

// TargetDatabase is the database that holds a retention policy of InfluxDB 1: a policy is a
// database of its own, but for the one that InfluxDB makes by itself.
func TargetDatabase(database, policy string) string {
	if policy == "" || policy == defaultPolicy {
		return database
	}
	return database + "/" + policy
}
