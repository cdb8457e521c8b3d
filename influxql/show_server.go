package influxql

import (
	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// planServer compiles statements about the server. What Siltstone does not have is an empty
// list where clients ask for it, and an error that names the alternative elsewhere.
func planServer(ast influxql.Statement, env *Environment) (*Plan, error) {
	switch ast.(type) {
	case *influxql.ShowUsersStatement:
		columns := append(textColumns("user"), Column{Name: "admin", Role: ValueColumn, Type: schema.Bool})
		return &Plan{Columns: columns, Empty: []string{""}}, nil
	case *influxql.ShowContinuousQueriesStatement:
		return showRollups(env), nil
	case *influxql.ShowSubscriptionsStatement:
		return &Plan{Columns: named(textColumns("retention_policy", "name", "mode", "destinations")...)}, nil
	case *influxql.ShowQueriesStatement:
		return showQueries(env)
	case *influxql.ShowGrantsForUserStatement:
		return nil, refuse("SHOW GRANTS is not supported: %s", tokensInstead)
	case *influxql.ShowShardsStatement:
		return nil, refuse("SHOW SHARDS is not supported: %s", filesInstead)
	case *influxql.ShowShardGroupsStatement:
		return nil, refuse("SHOW SHARD GROUPS is not supported: %s", filesInstead)
	case *influxql.ShowStatsStatement:
		return nil, refuse("SHOW STATS is not supported: /metrics has the counters")
	case *influxql.ShowDiagnosticsStatement:
		return nil, refuse("SHOW DIAGNOSTICS is not supported: /ping has the version, and the tables of schema system what is stored")
	}
	return nil, nil
}

// databaseNames are those of SHOW DATABASES in InfluxDB 1.
func databaseNames(env *Environment) []string {
	v1 := *env
	v1.V1 = true
	return showDatabases(&v1).Steps[0].Rows[0]
}

// showQueries lists what runs in the database of the request, or without one in all.
func showQueries(env *Environment) (*Plan, error) {
	database := env.Database
	if database == "" {
		database = "_internal"
	}
	db, err := env.policy(database, env.RetentionPolicy)
	if err != nil {
		return nil, err
	}
	columns := append([]Column{{Name: "qid", Role: ValueColumn, Type: schema.Int64}}, textColumns("query", "database", "duration", "status")...)
	if db == nil {
		return &Plan{Columns: columns}, nil
	}
	return &Plan{Columns: columns, Steps: []Step{{Database: db.Name, SQL: runningQueries}}}, nil
}

// runningQueries has InfluxDB 1's columns; its durations look like 1.5s.
const runningQueries = "SELECT CAST(id AS BIGINT) AS qid, query_text AS query, database, " +
	"CAST(round(end2end_duration, 6) AS VARCHAR) || 's' AS duration, 'running' AS status " +
	"FROM system.queries WHERE running ORDER BY id"
