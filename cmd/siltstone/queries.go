package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
)

type showQueriesCmd struct {
	hostFlag
	formatFlag
	Database string `short:"d" aliases:"db" help:"Those in one database, which a token that may read it sees. Without it those in all databases, which an admin token sees." env:"SILTSTONE_DATABASE_NAME,INFLUXDB3_DATABASE_NAME" placeholder:"NAME"`
	All      bool   `help:"All that the server remembers (serve --query-log-size), not the last few only."`
}

// Help is the long text of --help.
func (*showQueriesCmd) Help() string {
	return `The newest query is the last. system.queries tells more of each, such as the files it read.

Examples:

  siltstone show queries
  siltstone show queries -d home --all --format jsonl
  siltstone kill 17`
}

const (
	// recentQueries fit a screen.
	recentQueries = 20
	// shownText is how much of a query a table shows; the other formats have all that the
	// server keeps.
	shownText = 80
	// showQueriesMark begins the text of our own queries, which nobody looks for.
	showQueriesMark = "-- siltstone show queries\n"
)

// sql is the query for the queries.
func (c *showQueriesCmd) sql(format string) string {
	text := "query_text"
	if format == prettyFormat {
		text = fmt.Sprintf(`CASE WHEN length(line) > %d THEN left(line, %[1]d - 1) || '…' ELSE line END`, shownText)
	}
	which := ""
	if !c.All {
		which = fmt.Sprintf("QUALIFY phase NOT IN ('success', 'fail', 'cancel') OR row_number() OVER (ORDER BY id DESC) <= %d\n", recentQueries)
	}
	return showQueriesMark + fmt.Sprintf(`SELECT id, state, issue_time AS started, round(end2end_duration, 3) AS seconds, rows, database, token, %s AS query
FROM (SELECT *, trim(regexp_replace(query_text, '\s+', ' ', 'g')) AS line FROM system.queries)
WHERE NOT starts_with(query_text, '%s') %sORDER BY id`, text, strings.TrimSpace(showQueriesMark), which)
}

// Run lists the queries.
func (c *showQueriesCmd) Run(ctx context.Context, env environment) error {
	format := c.choose(env)
	_, err := runQuery(ctx, c.hostFlag, env.stdout, sqlQuery{Database: cmp.Or(c.Database, engine.InternalDatabase), SQL: c.sql(format), Format: format})
	return err
}

type killCmd struct {
	hostFlag
	ID uint64 `arg:"" help:"Number of the query, from siltstone show queries."`
}

// Help is the long text of --help.
func (*killCmd) Help() string {
	return `A query that is ended fails, and its client is told why. A token may end its own queries,
an admin token all of them.

Example:

  siltstone kill 17`
}

// Run ends the query by InfluxQL, which needs no database for it.
func (c *killCmd) Run(ctx context.Context, env environment) error {
	var answer struct {
		Results []struct {
			Error string `json:"error"`
		} `json:"results"`
	}
	statement := url.Values{"q": {fmt.Sprintf("KILL QUERY %d", c.ID)}}
	if err := c.call(ctx, http.MethodPost, "/query", statement, nil, &answer); err != nil {
		return err
	}
	for _, r := range answer.Results {
		if r.Error != "" {
			return errors.New(r.Error)
		}
	}
	return say(env, "Query %d is ended.", c.ID)
}
