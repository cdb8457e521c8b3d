package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/siltstone-db/siltstone/engine"
)

type showCmd struct {
	Databases   showDatabasesCmd   `cmd:"" help:"List the databases that the token may read."`
	Tokens      showTokensCmd      `cmd:"" help:"List the tokens: names, permissions and times, never the tokens themselves."`
	Datasources showDatasourcesCmd `cmd:"" help:"List the datasources of the Ingest API."`
	Retention   showRetentionCmd   `cmd:"" help:"List how long each database keeps points, and tables with a period of their own."`
	Expired     showExpiredCmd     `cmd:"" help:"List what retention periods are about to remove."`
	Queries     showQueriesCmd     `cmd:"" help:"List the queries that run, and those that ran last."`
	System      showSystemCmd      `cmd:"" help:"Show the tables of the schema system: caches, files, rollups and others."`
}

// Help is the long text of --help.
func (*showCmd) Help() string {
	return `Examples:

  siltstone show databases
  siltstone show databases --show-deleted
  siltstone show tokens --format json
  siltstone show retention
  siltstone show expired --db home
  siltstone show queries -d home
  siltstone show system -d home table last_caches`
}

type showDatabasesCmd struct {
	hostFlag
	formatFlag
	ShowDeleted bool `help:"Those that were deleted, too, while their files are there."`
}

// Run lists the databases.
func (c *showDatabasesCmd) Run(ctx context.Context, env environment) error {
	q := url.Values{}
	if c.ShowDeleted {
		q.Set("show_deleted", "true")
	}
	return c.list(ctx, env, c.formatFlag, databasePath, q)
}

type showTokensCmd struct {
	hostFlag
	formatFlag
}

// Run lists the tokens.
func (c *showTokensCmd) Run(ctx context.Context, env environment) error {
	return c.list(ctx, env, c.formatFlag, tokenPath, url.Values{})
}

type showDatasourcesCmd struct {
	hostFlag
	formatFlag
}

// Run lists the datasources.
func (c *showDatasourcesCmd) Run(ctx context.Context, env environment) error {
	return c.list(ctx, env, c.formatFlag, datasourcePath, url.Values{})
}

// list prints what a path of the server's configuration lists.
func (h hostFlag) list(ctx context.Context, env environment, f formatFlag, path string, q url.Values) error {
	q.Set("format", f.choose(env))
	resp, err := h.do(ctx, http.MethodGet, path, q, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = printRows(ctx, env.stdout, resp.Body)
	return err
}

type showRetentionCmd struct {
	hostFlag
	formatFlag
}

// retentionQuery is for the internal database, which sees what concerns all others.
const retentionQuery = `SELECT name AS database, NULL AS table_name, coalesce(retention_period, 'none') AS retention_period
FROM system.databases WHERE deleted IS NULL
UNION ALL SELECT database, table_name, retention_period FROM system.tables WHERE retention_period IS NOT NULL
ORDER BY database, table_name NULLS FIRST`

// Run lists the retention periods.
func (c *showRetentionCmd) Run(ctx context.Context, env environment) error {
	_, err := runQuery(ctx, c.hostFlag, env.stdout, sqlQuery{Database: engine.InternalDatabase, SQL: retentionQuery, Format: c.choose(env)})
	return err
}

type showExpiredCmd struct {
	hostFlag
	formatFlag
	Database  string `short:"d" name:"db" aliases:"database" help:"Of this database only." placeholder:"NAME"`
	Table     string `short:"t" help:"Of this table of --db only." placeholder:"NAME"`
	Retention string `name:"retention-period" help:"What this period of the table, or of databases without --table, would remove." placeholder:"DURATION"`
}

// Help is the long text of --help.
func (*showExpiredCmd) Help() string {
	return `A row is out of sight as soon as it is older than the retention period of its table. A file goes
within a minute when all its rows are. Of files that are partly expired, compactions write those again
without these rows that are counted as trimmed; of the others all stays for now.`
}

// Run lists the tables with retention periods.
func (c *showExpiredCmd) Run(ctx context.Context, env environment) error {
	return c.showExpired(ctx, env, c.formatFlag, c.Database, c.Table, c.Retention)
}
