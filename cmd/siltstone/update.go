package main

import (
	"context"
	"net/http"
	"net/url"
)

type updateCmd struct {
	Database updateDatabaseCmd `cmd:"" help:"Change how long a database keeps points."`
	Table    updateTableCmd    `cmd:"" help:"Change how long a table keeps points."`
}

// Help is the long text of --help.
func (*updateCmd) Help() string {
	return `Points older than the period are out of sight at once, and their files are removed within minutes.
With --dry-run nothing changes: the tables are listed with the files that would go.

Examples:

  siltstone update database home --retention-period 30d --dry-run
  siltstone update database home --retention-period 30d
  siltstone update database home --retention-period none
  siltstone update table room -d home --retention-period 7d`
}

// dryRunFlag is for changes of retention periods.
type dryRunFlag struct {
	DryRun bool `help:"Change nothing: list what would be removed."`
}

// showExpired lists what retention periods remove, or what another one would.
func (h hostFlag) showExpired(ctx context.Context, env environment, f formatFlag, database, table, retention string) error {
	q := url.Values{}
	for name, value := range map[string]string{"db": database, "table": table, "duration": retention} {
		if value != "" && value != noRetention {
			q.Set(name, value)
		}
	}
	return h.list(ctx, env, f, expiredPath, q)
}

// dryRun lists what a new period would remove.
func (h hostFlag) dryRun(ctx context.Context, env environment, database, table, retention string) error {
	if retention == noRetention {
		return say(env, "Nothing would be removed.")
	}
	return h.showExpired(ctx, env, formatFlag{}, database, table, retention)
}

type updateDatabaseCmd struct {
	hostFlag
	Name      string `arg:"" help:"Name of the database."`
	Retention string `name:"retention-period" required:"" help:"How long it keeps points, such as 30d; none is for ever." placeholder:"DURATION"`
	dryRunFlag
}

// Run changes the database.
func (c *updateDatabaseCmd) Run(ctx context.Context, env environment) error {
	if c.DryRun {
		return c.dryRun(ctx, env, c.Name, "", c.Retention)
	}
	if err := c.call(ctx, http.MethodPut, databasePath, nil, newDatabaseBody(c.Name, c.Retention), nil); err != nil {
		return err
	}
	if c.Retention == noRetention {
		return say(env, "Database %q keeps points for ever.", c.Name)
	}
	return say(env, "Database %q keeps points for %s.", c.Name, c.Retention)
}

type updateTableCmd struct {
	hostFlag
	databaseFlag
	Name      string `arg:"" help:"Name of the table."`
	Retention string `name:"retention-period" required:"" help:"How long it keeps points, such as 7d, be it longer than its database or shorter; none is as long as the database." placeholder:"DURATION"`
	dryRunFlag
}

// Run changes the table.
func (c *updateTableCmd) Run(ctx context.Context, env environment) error {
	if c.DryRun {
		return c.dryRun(ctx, env, c.Database, c.Name, c.Retention)
	}
	body := struct {
		Database  string  `json:"db"`
		Table     string  `json:"table"`
		Retention *string `json:"retention_period"` // null is as long as the database
	}{c.Database, c.Name, period(c.Retention)}
	if err := c.call(ctx, http.MethodPut, tablePath, nil, body, nil); err != nil {
		return err
	}
	if c.Retention == noRetention {
		return say(env, "Table %q of database %q keeps points as long as the database does.", c.Name, c.Database)
	}
	return say(env, "Table %q of database %q keeps points for %s.", c.Name, c.Database, c.Retention)
}
