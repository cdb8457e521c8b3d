package main

import (
	"context"
	"fmt"

	"github.com/siltstone-db/siltstone/internal/sqltext"
)

// showSystemCmd has the words of InfluxDB 3's command.
type showSystemCmd struct {
	hostFlag
	formatFlag
	databaseFlag
	TableList showSystemListCmd  `cmd:"" name:"table-list" help:"List the tables of the schema system, with their columns."`
	Table     showSystemTableCmd `cmd:"" help:"Print one of them."`
}

type showSystemListCmd struct{}

const systemListQuery = `SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) AS column_names
FROM information_schema.columns WHERE table_schema = 'system' GROUP BY table_name ORDER BY table_name`

// Run lists the tables.
func (*showSystemListCmd) Run(ctx context.Context, env environment, parent *showSystemCmd) error {
	return parent.query(ctx, env, systemListQuery)
}

func (c *showSystemCmd) query(ctx context.Context, env environment, sql string) error {
	_, err := runQuery(ctx, c.hostFlag, env.stdout, sqlQuery{Database: c.Database, SQL: sql, Format: c.choose(env)})
	return err
}

type showSystemTableCmd struct {
	Name    string   `arg:"" help:"Name of the table, such as last_caches." placeholder:"SYSTEM_TABLE"`
	Select  []string `help:"Columns, with commas between them. Default: all." placeholder:"COLUMN"`
	OrderBy []string `help:"Columns to sort by, with commas between them." placeholder:"COLUMN"`
	Limit   uint     `short:"l" help:"Print no more rows than that; 0 is all. Default: ${default}." default:"100" placeholder:"N"`
}

// Help is the long text of --help.
func (*showSystemTableCmd) Help() string {
	return `A query of the database shows the same: SELECT * FROM system.last_caches.

Examples:

  siltstone show system -d home table-list
  siltstone show system -d home table last_caches --select name,key_column_names --order-by name
  siltstone show system -d home table rollups --format json`
}

// Run prints the table.
func (c *showSystemTableCmd) Run(ctx context.Context, env environment, parent *showSystemCmd) error {
	return parent.query(ctx, env, c.sql())
}

func (c *showSystemTableCmd) sql() string {
	sql := "SELECT *"
	if len(c.Select) > 0 {
		sql = "SELECT " + sqltext.Names(c.Select)
	}
	sql += " FROM system." + sqltext.Name(c.Name)
	if len(c.OrderBy) > 0 {
		sql += " ORDER BY " + sqltext.Names(c.OrderBy)
	}
	if c.Limit > 0 {
		sql += fmt.Sprintf(" LIMIT %d", c.Limit)
	}
	return sql
}
