package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type deleteCmd struct {
	Database deleteDatabaseCmd `cmd:"" help:"Delete a database with all its tables."`
	Table    deleteTableCmd    `cmd:"" help:"Delete a table."`
	Rows     deleteRowsCmd     `cmd:"" help:"Delete rows of a table by time and tags."`
	Token    deleteTokenCmd    `cmd:"" help:"Delete a token: whoever has it is not let in any more."`

	LastCache     deleteLastCacheCmd     `cmd:"" name:"last_cache" help:"Delete the name of what last_cache('table', 'name') shows; all rows stay."`
	DistinctCache deleteDistinctCacheCmd `cmd:"" name:"distinct_cache" help:"Delete the name of what distinct_cache('table', 'name') shows; all rows stay."`
}

// Help is the long text of --help.
func (*deleteCmd) Help() string {
	return `Each command but those of caches asks you to type the name of what it is about to delete; scripts add --yes.
A deleted database or table is gone from queries at once, and its name is free. Its files
stay until the time of --hard-delete-at. Deleted rows cannot be had back.

Examples:

  siltstone delete database home
  siltstone delete table room -d home --hard-delete-at now --yes
  siltstone delete rows -d home -t room --predicate 'room="attic"' --dry-run
  siltstone delete token sensors
  siltstone delete last_cache -d home -t room newest`
}

// yesFlag is for commands that cannot be undone.
type yesFlag struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// confirm has the user type a name before something is done to what it names.
func (f yesFlag) confirm(env environment, what, name string) error {
	if f.Yes {
		return nil
	}
	if !env.stdinTTY {
		return fmt.Errorf("this would %s, and nobody is here to confirm it: add --yes", what)
	}
	fmt.Fprintf(env.stderr, "This will %s. Type %s to go on: ", what, name)
	typed, err := bufio.NewReader(env.stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(typed) != name {
		return errors.New("nothing was done: that was not the name")
	}
	return nil
}

// purgeFlag says when the files of something deleted go.
type purgeFlag struct {
	PurgeAt string `name:"hard-delete-at" help:"When its files are removed: never, now, default (in 72 hours) or a time such as 2026-11-20T08:00:00Z. Default: ${default}." default:"default" placeholder:"TIME"`
}

type deleteDatabaseCmd struct {
	hostFlag
	Name string `arg:"" help:"Name of the database."`
	purgeFlag
	yesFlag
}

// Run deletes the database.
func (c *deleteDatabaseCmd) Run(ctx context.Context, env environment) error {
	if err := c.confirm(env, fmt.Sprintf("delete database %q with all its tables", c.Name), c.Name); err != nil {
		return err
	}
	q := url.Values{"db": {c.Name}, "hard_delete_at": {c.PurgeAt}}
	if err := c.call(ctx, http.MethodDelete, databasePath, q, nil, nil); err != nil {
		return err
	}
	return say(env, "Database %q is deleted.", c.Name)
}

type deleteTableCmd struct {
	hostFlag
	databaseFlag
	Name string `arg:"" help:"Name of the table."`
	purgeFlag
	yesFlag
}

// Run deletes the table.
func (c *deleteTableCmd) Run(ctx context.Context, env environment) error {
	if err := c.confirm(env, fmt.Sprintf("delete table %q of database %q", c.Name, c.Database), c.Name); err != nil {
		return err
	}
	q := url.Values{"db": {c.Database}, "table": {c.Name}, "hard_delete_at": {c.PurgeAt}}
	if err := c.call(ctx, http.MethodDelete, tablePath, q, nil, nil); err != nil {
		return err
	}
	return say(env, "Table %q of database %q is deleted.", c.Name, c.Database)
}

type deleteTokenCmd struct {
	hostFlag
	Name string `arg:"" help:"Name of the token."`
	yesFlag
}

// Run deletes the token.
func (c *deleteTokenCmd) Run(ctx context.Context, env environment) error {
	if err := c.confirm(env, fmt.Sprintf("delete token %q", c.Name), c.Name); err != nil {
		return err
	}
	if err := c.call(ctx, http.MethodDelete, tokenPath, url.Values{"token_name": {c.Name}}, nil, nil); err != nil {
		return err
	}
	return say(env, "Token %q is deleted.", c.Name)
}
