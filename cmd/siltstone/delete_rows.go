package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/httpapi"
)

type deleteRowsCmd struct {
	hostFlag
	databaseFlag
	Table     string     `short:"t" required:"" help:"Name of the table." placeholder:"NAME"`
	Start     exportTime `help:"Delete rows from this time on, such as 2026-11-20 or 2026-11-20T08:00:00Z." placeholder:"TIME"`
	Stop      exportTime `help:"Delete rows up to this time, which is included." placeholder:"TIME"`
	Predicate string     `help:"Delete rows whose tags are so, for example: host=\"a\" AND region!=\"eu\"." placeholder:"TEXT"`
	DryRun    bool       `help:"Count what would be deleted, and change nothing."`
	yesFlag
}

// Help is the long text of --help.
func (*deleteRowsCmd) Help() string {
	return `Rows are named by time and tags, all that are given must hold; without any, all rows of the table
go. A predicate compares tags with texts by =, !=, =~ /re/ and !~ /re/, joined by AND and OR, with
brackets. The rows are gone for good, and from every query, when the command returns; rows that are
written later stay. Their bytes leave the disk with the next compactions, some minutes later.

Examples:

  siltstone delete rows -d home -t room --predicate 'room="attic"' --dry-run
  siltstone delete rows -d home -t room --start 2026-01-01 --stop 2026-01-31T23:59:59.999999999Z
  siltstone delete rows -d home -t room --stop 2020-01-01 --yes
  siltstone compact --db home --table room --wait`
}

// Validate compares the times.
func (c *deleteRowsCmd) Validate() error {
	if !c.Start.IsZero() && !c.Stop.IsZero() && c.Stop.Before(c.Start.Time) {
		return errors.New("--stop lies before --start: no row is in between")
	}
	return nil
}

// Run deletes the rows, after saying how many there are.
func (c *deleteRowsCmd) Run(ctx context.Context, env environment) error {
	if !c.DryRun && !c.Yes && !env.stdinTTY {
		return c.confirm(env, "delete "+c.what(), c.Table)
	}
	var d httpapi.Deletion
	if err := c.send(ctx, "true", &d); err != nil {
		return err
	}
	if c.DryRun {
		return say(env, "Of %s %s would be deleted, which may be in %s.", c.where(), rowsOf(d), scopeOf(d))
	}
	if d.Files+d.Buffers == 0 {
		return say(env, "There is nothing to delete: no file and no buffer has such rows.")
	}
	if err := c.confirm(env, fmt.Sprintf("delete %s: %s", c.what(), rowsOf(d)), c.Table); err != nil {
		return err
	}
	begin := time.Now()
	if err := c.send(ctx, "", &d); err != nil {
		return err
	}
	took := time.Since(begin).Round(time.Millisecond)
	return say(env, "Of %s %s are deleted (%s). Their bytes, in %s, go with the next compactions;\nthis does it now: siltstone compact --db %s --table %s --wait",
		c.where(), rowsOf(d), took, scopeOf(d), c.Database, c.Table)
}

// send asks for the deletion, or what it would be. What the answer lacks stays as it is.
func (c *deleteRowsCmd) send(ctx context.Context, dry string, d *httpapi.Deletion) error {
	q := url.Values{"db": {c.Database}, "table": {c.Table}}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("start", c.Start.text())
	set("stop", c.Stop.text())
	set("predicate", c.Predicate)
	set("dry_run", dry)
	rows := d.Rows
	err := c.call(ctx, http.MethodDelete, "/api/v3/rows", q, nil, d)
	if d.Rows == nil {
		d.Rows = rows
	}
	return err
}

// what says what is deleted, in words.
func (c *deleteRowsCmd) what() string {
	if c.Start.IsZero() && c.Stop.IsZero() && strings.TrimSpace(c.Predicate) == "" {
		return "all rows of " + c.where()
	}
	return "rows of " + c.where()
}

func (c *deleteRowsCmd) where() string {
	return fmt.Sprintf("table %q of database %q", c.Table, c.Database)
}

// text is the instant as the server reads it, empty for none.
func (t exportTime) text() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// rowsOf says how many rows there are to delete.
func rowsOf(d httpapi.Deletion) string {
	if d.Rows == nil {
		return "rows that this token may not count"
	}
	return formatCount(int(*d.Rows)) + " rows"
}

// scopeOf says where the rows are.
func scopeOf(d httpapi.Deletion) string {
	text := fmt.Sprintf("%s files (%s)", formatCount(d.Files), formatBytes(int64(d.Bytes)))
	if d.Whole > 0 {
		text += fmt.Sprintf(", %s of them as a whole", formatCount(d.Whole))
	}
	if d.Buffers > 0 {
		text += " and in memory"
	}
	return text
}
