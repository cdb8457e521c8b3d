package influxql

import (
	"cmp"
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// Command is what a statement that does not read asks for: one of the types below.
type Command interface{ command() }

// CreateDatabase makes a database, unless it exists.
type CreateDatabase struct {
	Database string
	// Retention is how long points are kept; 0 is for ever. HasRetention says whether the
	// statement names it: then it must be that of a database that exists.
	Retention    time.Duration
	HasRetention bool
}

// DropDatabase deletes a database and its retention policies, if they exist.
type DropDatabase struct{ Database string }

// CreateRetentionPolicy makes a retention policy, which is a database of its own.
type CreateRetentionPolicy struct {
	Database, Policy string
	Duration         time.Duration // 0 is for ever
}

// AlterRetentionPolicy changes how long a retention policy keeps points.
type AlterRetentionPolicy struct {
	Database, Policy string
	Duration         time.Duration // 0 is for ever
}

// DropRetentionPolicy deletes a retention policy with its points, if it exists.
type DropRetentionPolicy struct{ Database, Policy string }

// DropMeasurement deletes a measurement, if it exists, of the database and retention policy
// that the request names.
type DropMeasurement struct{ Measurement string }

// KillQuery ends a running query.
type KillQuery struct{ ID uint64 }

// Unsupported is a statement that changes something that Siltstone does not have, or has
// in another way.
type Unsupported struct {
	Statement string // its keywords
	Instead   string // a sentence that says what to do
}

func (e *Unsupported) Error() string { return e.Statement + " is not supported: " + e.Instead }

func (*CreateDatabase) command()        {}
func (*DropDatabase) command()          {}
func (*CreateRetentionPolicy) command() {}
func (*AlterRetentionPolicy) command()  {}
func (*DropRetentionPolicy) command()   {}
func (*DropMeasurement) command()       {}
func (*KillQuery) command()             {}
func (*Unsupported) command()           {}

// The ways in which Siltstone does what InfluxQL has statements for.
const (
	tokensInstead  = "access is given to tokens, see siltstone create token"
	filesInstead   = "Siltstone has no shards; system.parquet_files lists its files"
	streamInstead  = "write to both places, for example with Telegraf"
	defaultInstead = "each database's default retention policy is autogen; name another one in writes and queries"
	limitInstead   = "times are limited by the retention period only"
)

// commandOf returns what a statement changes, or nil if it reads.
func commandOf(ast influxql.Statement, now time.Time) Command {
	switch s := ast.(type) {
	case *influxql.CreateDatabaseStatement:
		return createDatabase(s)
	case *influxql.DropDatabaseStatement:
		return &DropDatabase{s.Name}
	case *influxql.CreateRetentionPolicyStatement:
		return createPolicy(s)
	case *influxql.AlterRetentionPolicyStatement:
		return alterPolicy(s)
	case *influxql.DropRetentionPolicyStatement:
		return &DropRetentionPolicy{s.Database, s.Name}
	case *influxql.DropMeasurementStatement:
		return &DropMeasurement{s.Name}
	case *influxql.CreateContinuousQueryStatement:
		return createRollup(s)
	case *influxql.DropContinuousQueryStatement:
		return &DropRollup{s.Database, s.Name}
	case *influxql.KillQueryStatement:
		return &KillQuery{s.QueryID}
	case *influxql.DeleteSeriesStatement:
		return deleteRows(s.Sources, s.Condition, true, &influxql.NowValuer{Now: now})
	case *influxql.DropSeriesStatement:
		return deleteRows(s.Sources, s.Condition, false, nil)
	}
	return unsupportedCommand(ast)
}

// unsupportedCommand returns nil for a statement that reads.
func unsupportedCommand(ast influxql.Statement) Command {
	switch ast.(type) {
	case *influxql.CreateUserStatement:
		return &Unsupported{"CREATE USER", tokensInstead}
	case *influxql.DropUserStatement:
		return &Unsupported{"DROP USER", tokensInstead}
	case *influxql.SetPasswordUserStatement:
		return &Unsupported{"SET PASSWORD", tokensInstead}
	case *influxql.GrantStatement, *influxql.GrantAdminStatement:
		return &Unsupported{"GRANT", tokensInstead}
	case *influxql.RevokeStatement, *influxql.RevokeAdminStatement:
		return &Unsupported{"REVOKE", tokensInstead}
	case *influxql.DropShardStatement:
		return &Unsupported{"DROP SHARD", filesInstead}
	case *influxql.CreateSubscriptionStatement:
		return &Unsupported{"CREATE SUBSCRIPTION", streamInstead}
	case *influxql.DropSubscriptionStatement:
		return &Unsupported{"DROP SUBSCRIPTION", streamInstead}
	}
	return nil
}

// createDatabase reads CREATE DATABASE. Replication and the duration of shards are about
// how InfluxDB 1 stores points, and change no answer.
func createDatabase(s *influxql.CreateDatabaseStatement) Command {
	switch {
	case s.RetentionPolicyName != "" && !IsDefaultPolicy(s.RetentionPolicyName):
		return &Unsupported{"CREATE DATABASE with the NAME of a default retention policy", defaultInstead}
	case hasLimit(s.FutureWriteLimit, s.PastWriteLimit):
		return &Unsupported{"CREATE DATABASE with FUTURE LIMIT or PAST LIMIT", limitInstead}
	}
	c := &CreateDatabase{Database: s.Name}
	if d := s.RetentionPolicyDuration; d != nil {
		c.Retention, c.HasRetention = *d, true
	}
	return c
}

func createPolicy(s *influxql.CreateRetentionPolicyStatement) Command {
	switch {
	case s.Default && !IsDefaultPolicy(s.Name):
		return &Unsupported{"CREATE RETENTION POLICY with DEFAULT", defaultInstead}
	case hasLimit(&s.FutureWriteLimit, &s.PastWriteLimit):
		return &Unsupported{"CREATE RETENTION POLICY with FUTURE LIMIT or PAST LIMIT", limitInstead}
	}
	return &CreateRetentionPolicy{s.Database, s.Name, s.Duration}
}

func alterPolicy(s *influxql.AlterRetentionPolicyStatement) Command {
	switch {
	case s.Default && !IsDefaultPolicy(s.Name):
		return &Unsupported{"ALTER RETENTION POLICY with DEFAULT", defaultInstead}
	case hasLimit(s.FutureWriteLimit, s.PastWriteLimit):
		return &Unsupported{"ALTER RETENTION POLICY with FUTURE LIMIT or PAST LIMIT", limitInstead}
	case s.Duration == nil:
		return &Unsupported{"ALTER RETENTION POLICY without DURATION", "nothing else of a retention policy can be changed"}
	}
	return &AlterRetentionPolicy{s.Database, s.Name, *s.Duration}
}

func hasLimit(limits ...*time.Duration) bool {
	for _, l := range limits {
		if l != nil && *l != 0 {
			return true
		}
	}
	return false
}

// defaultPolicy is the retention policy that every database has.
const defaultPolicy = "autogen"

// IsDefaultPolicy reports whether a retention policy is the one that a database has by
// itself, under one of the names that writes have for it.
func IsDefaultPolicy(policy string) bool {
	switch strings.ToLower(policy) {
	case "", "''", defaultPolicy, "default":
		return true
	}
	return false
}

// PolicyDatabase is the name of the database that holds a retention policy's points: each
// policy but the default one has its own, db/policy.
func PolicyDatabase(database, policy string) string {
	if IsDefaultPolicy(policy) {
		return database
	}
	return database + "/" + strings.ToLower(policy)
}

// PolicyOf is the inverse of PolicyDatabase.
func PolicyOf(name string) (database, policy string) {
	database, policy, _ = strings.Cut(name, "/")
	return database, cmp.Or(policy, defaultPolicy)
}
