package main

import (
	"context"
	"net/http"
)

type updateCmd struct {
	Database updateDatabaseCmd `cmd:"" help:"Change how long a database keeps points."`
}

// Help is the long text of --help.
func (*updateCmd) Help() string {
	return `Examples:

  siltstone update database home --retention-period 30d
  siltstone update database home --retention-period none`
}

type updateDatabaseCmd struct {
	hostFlag
	Name      string `arg:"" help:"Name of the database."`
	Retention string `name:"retention-period" required:"" help:"How long it keeps points, such as 30d; none is for ever." placeholder:"DURATION"`
}

// Run changes the database.
func (c *updateDatabaseCmd) Run(ctx context.Context, env environment) error {
	if err := c.call(ctx, http.MethodPut, databasePath, nil, newDatabaseBody(c.Name, c.Retention), nil); err != nil {
		return err
	}
	if c.Retention == noRetention {
		return say(env, "Database %q keeps points for ever.", c.Name)
	}
	return say(env, "Database %q keeps points for %s.", c.Name, c.Retention)
}
