package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/siltstone-db/siltstone/httpapi"
)

const rollupPath = "/api/v3/configure/rollup"

type rollupCmd struct {
	Create  createRollupCmd  `cmd:"" help:"Make a rollup of a table."`
	List    listRollupsCmd   `cmd:"" help:"List rollups, and what of them is not stored yet."`
	Refresh refreshRollupCmd `cmd:"" help:"Store now what is not stored yet, and show how far that is."`
	Drop    dropRollupCmd    `cmd:"" help:"Drop a rollup with its rows. Its source stays."`
}

// Help is the long text of --help.
func (*rollupCmd) Help() string {
	return `A rollup is a table whose rows are aggregates of another table's: one for each interval of time and each
set of tags. It is read like any other table, and always says what its source says: rows that come late,
are overwritten or deleted change it at once. The server stores its rows in the background, and a query
computes what is not stored yet. A rollup may keep its rows for longer than its source keeps points.

Examples:

  siltstone rollup create cpu_5m -d home --source cpu --interval 5m --aggregate 'mean(usage_user)' --aggregate 'max(usage_user) AS peak'
  siltstone rollup create cpu_1h -d home --source cpu --interval 1h --aggregates mean,max --fields '*' --tags host --retention-period 2y --wait
  siltstone query -d home "SELECT time, host, peak FROM cpu_5m WHERE time > now() - INTERVAL '1 hour'"
  siltstone rollup list -d home
  siltstone rollup drop cpu_5m -d home`
}

type createRollupCmd struct {
	hostFlag
	databaseFlag
	Name      string   `arg:"" help:"Name of the rollup: that of the table that it becomes."`
	Source    string   `required:"" help:"The table of the database that it is made of." placeholder:"TABLE"`
	Interval  string   `required:"" help:"Length of time of a row, such as 5m, 1h or 1d: it divides a day or is a multiple of one. Intervals begin at multiples of it since 1970 in UTC." placeholder:"DURATION"`
	Aggregate []string `sep:"none" help:"A field of the rollup: count, sum, min, max, mean, first or last of a field of the source, such as 'mean(usage)' or 'max(usage) AS peak', and 'mean(*)' for all; repeatable." placeholder:"FUNCTION(FIELD)"`

	Aggregates []string `help:"Functions that are made of all --fields, with commas between them." placeholder:"FUNCTION"`
	Fields     []string `help:"Fields for --aggregates, with commas between them; * is all that the functions can be made of. Default: ${default}." default:"*" placeholder:"FIELD"`
	Tags       []string `help:"Tags of the source that are kept, with commas between them. Default: all, also those that it gets later." placeholder:"TAG"`

	Retention string `name:"retention-period" help:"How long it keeps its rows, such as 2y, whatever its source and its database do; none is as long as the database. Default: ${default}." default:"none" placeholder:"DURATION"`
	Wait      bool   `short:"w" help:"Wait until what the source holds is stored, and show how far that is. Queries need not wait."`
}

// Validate reports flags that do not belong together; kong calls it after parsing.
func (c *createRollupCmd) Validate() error {
	if len(c.Aggregate)+len(c.Aggregates) == 0 {
		return errors.New("name what the rollup holds: --aggregate 'mean(usage)', or --aggregates mean,max --fields usage")
	}
	return nil
}

// Run makes the rollup.
func (c *createRollupCmd) Run(ctx context.Context, env environment) error {
	body := struct {
		Database   string   `json:"db"`
		Name       string   `json:"name"`
		Source     string   `json:"source"`
		Interval   string   `json:"interval"`
		Aggregates []string `json:"aggregates"`
		Tags       []string `json:"tags"`
		Retention  *string  `json:"retention_period"`
	}{c.Database, c.Name, c.Source, c.Interval, c.aggregates(), c.Tags, period(c.Retention)}
	if err := c.call(ctx, http.MethodPost, rollupPath, nil, body, nil); err != nil {
		return err
	}
	if err := say(env, "Rollup %q of table %q is there.", c.Name, c.Source); err != nil || !c.Wait {
		return err
	}
	return c.refreshRollup(ctx, env, c.Database, c.Name)
}

// aggregates are all that the flags name.
func (c *createRollupCmd) aggregates() []string {
	all := append([]string{}, c.Aggregate...)
	for _, function := range c.Aggregates {
		for _, field := range c.Fields {
			all = append(all, function+"("+field+")")
		}
	}
	return all
}

type listRollupsCmd struct {
	hostFlag
	formatFlag
	Database string `short:"d" name:"db" aliases:"database" help:"Of this database only." placeholder:"NAME"`
}

// Run lists the rollups.
func (c *listRollupsCmd) Run(ctx context.Context, env environment) error {
	q := url.Values{}
	if c.Database != "" {
		q.Set("db", c.Database)
	}
	return c.list(ctx, env, c.formatFlag, rollupPath, q)
}

type refreshRollupCmd struct {
	hostFlag
	databaseFlag
	Name string `arg:"" help:"Name of the rollup."`
}

// Help is the long text of --help.
func (*refreshRollupCmd) Help() string {
	return `A server does so by itself within moments. Nothing depends on it but the speed of queries, which compute
what is not stored. Intervals of rows that are in memory are stored after the flush of these rows;
siltstone flush before it takes them along.`
}

// Run refreshes the rollup.
func (c *refreshRollupCmd) Run(ctx context.Context, env environment) error {
	return c.refreshRollup(ctx, env, c.Database, c.Name)
}

// refreshRollup stores what is stale of a rollup, and shows how far that is.
func (h hostFlag) refreshRollup(ctx context.Context, env environment, database, name string) error {
	resp, err := h.post(ctx, rollupPath+"/refresh", url.Values{"db": {database}, "name": {name}}, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	bar := env.progress(false, "storing "+name, -1, byShare)
	defer bar.clear()
	for lines := json.NewDecoder(resp.Body); ; {
		var line httpapi.RollupLine
		if err := lines.Decode(&line); ctx.Err() != nil {
			return errors.New("interrupted; the server goes on by itself")
		} else if err != nil {
			return fmt.Errorf("the server's answer ended early: %w; its log says why", err)
		}
		if p := line.Progress; p != nil {
			bar.read(int64(p.Done), int64(p.Total), formatCount(int(p.Stored))+" rows stored")
		}
		if s := line.Summary; s != nil {
			bar.clear()
			if s.Total == 0 {
				return say(env, "Nothing of rollup %q is left to store, but for intervals of rows that are in memory.", name)
			}
			return say(env, "Rollup %q is stored: %s rows were computed from %s rows of its source.", name, formatCount(int(s.Stored)), formatCount(int(s.Done)))
		}
	}
}

type dropRollupCmd struct {
	hostFlag
	databaseFlag
	Name string `arg:"" help:"Name of the rollup."`
	yesFlag
}

// Run drops the rollup.
func (c *dropRollupCmd) Run(ctx context.Context, env environment) error {
	if err := c.confirm(env, fmt.Sprintf("drop rollup %q of database %q with its rows", c.Name, c.Database), c.Name); err != nil {
		return err
	}
	q := url.Values{"db": {c.Database}, "name": {c.Name}}
	if err := c.call(ctx, http.MethodDelete, rollupPath, q, nil, nil); err != nil {
		return err
	}
	return say(env, "Rollup %q is dropped.", c.Name)
}
