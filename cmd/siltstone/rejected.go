package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
)

type rejectedCmd struct {
	List  rejectedListCmd  `cmd:"" help:"List rejected points, the latest first."`
	Show  rejectedShowCmd  `cmd:"" help:"Show one rejected point: the line, what is wrong with it and how to mend it."`
	Retry rejectedRetryCmd `cmd:"" help:"Write rejected points again, after the cause is gone."`
}

// Help is the long text of --help.
func (*rejectedCmd) Help() string {
	return `The server keeps the lines it rejects (siltstone serve --rejected-points-retention). They
are rows of system.rejected_points, which siltstone query reads too.

Examples:

  siltstone rejected list -d home
  siltstone rejected list -d home --status all --format jsonl
  siltstone rejected show -d home 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071-2
  siltstone rejected retry -d home --all`
}

type rejectedListCmd struct {
	hostFlag
	formatFlag
	Database string `short:"d" aliases:"db" help:"Name of the database. Default: all, which takes an admin's token." env:"SILTSTONE_DATABASE_NAME,INFLUXDB3_DATABASE_NAME" placeholder:"NAME"`
	Limit    int    `help:"How many to list at most. Default: ${default}." default:"100" placeholder:"N"`
	Status   string `help:"rejected, those that are not stored; retried, those that were written after all; or all. Default: ${default}." enum:"rejected,retried,all" default:"rejected" placeholder:"STATUS"`
}

// Validate reports a limit that lists nothing; kong calls it after parsing.
func (c *rejectedListCmd) Validate() error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d lists nothing", c.Limit)
	}
	return nil
}

// Columns of a list of rejected points.
const (
	allRejectedColumns = "time, id, database, line, line_column, points, raw, quoted, truncated, reason, hint, token, precision, status"
	// rejectedTable fits a terminal: long lines are cut, and control characters, which
	// whoever wrote the line may have chosen, do not reach the terminal.
	rejectedTable = `date_trunc('second', time) AS time, id, database, line, status,
  regexp_replace(reason, '[[:cntrl:]]', ' ', 'g') AS reason,
  regexp_replace(CASE WHEN length(raw) > 60 THEN left(raw, 59) || '…' ELSE raw END, '[[:cntrl:]]', ' ', 'g') AS raw`
)

// Run lists the points.
func (c *rejectedListCmd) Run(ctx context.Context, env environment) error {
	q := sqlQuery{Database: c.Database, SQL: c.query(c.choose(env)), Format: c.choose(env)}
	if q.Database == "" {
		q.Database = engine.InternalDatabase
	}
	rows, err := runQuery(ctx, c.hostFlag, env.stdout, q)
	if err == nil && q.Format == prettyFormat && rows == c.Limit {
		err = say(env, "There may be more: add --limit.")
	}
	return err
}

func (c *rejectedListCmd) query(format string) string {
	columns, where := allRejectedColumns, ""
	if format == prettyFormat {
		columns = rejectedTable
	}
	if c.Status != "all" {
		where = fmt.Sprintf("WHERE status = '%s' ", c.Status) // one of the flag's values
	}
	return fmt.Sprintf("SELECT %s FROM system.rejected_points AS p %sORDER BY p.time DESC, p.line, p.id LIMIT %d", columns, where, c.Limit)
}

type rejectedShowCmd struct {
	hostFlag
	databaseFlag
	ID string `arg:"" help:"Its id, as siltstone rejected list shows it."`
}

// rejectedPoint is a row of system.rejected_points.
type rejectedPoint struct {
	Time        string `json:"time"`
	ID          string `json:"id"`
	Database    string `json:"database"`
	Line        int64  `json:"line"`
	Column      int64  `json:"line_column"` // where the fault was found
	Points      int64  `json:"points"`      // lines in raw
	Raw         string `json:"raw"`
	IsQuoted    bool   `json:"quoted"`
	IsTruncated bool   `json:"truncated"`
	Reason      string `json:"reason"`
	Hint        string `json:"hint"`
	Token       string `json:"token"`
	Precision   string `json:"precision"`
	Status      string `json:"status"`
}

// Run shows the point.
func (c *rejectedShowCmd) Run(ctx context.Context, env environment) error {
	id, err := json.Marshal(c.ID)
	if err != nil {
		return err
	}
	resp, err := askSQL(ctx, c.hostFlag, sqlQuery{
		Database: c.Database, Params: map[string]json.RawMessage{"id": id}, Format: "json",
		SQL: "SELECT " + allRejectedColumns + " FROM system.rejected_points WHERE id = $id",
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var found []rejectedPoint
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return fmt.Errorf("the server's answer is unreadable: %w", err)
	}
	if len(found) == 0 {
		return fmt.Errorf("database %q has no rejected point %q; siltstone rejected list -d %[1]s --status all lists those there are", c.Database, c.ID)
	}
	return found[0].print(env.stdout)
}

// print writes the point for people.
func (p *rejectedPoint) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range []struct{ name, value string }{
		{"id", p.ID},
		{"database", p.Database},
		{"when", p.Time},
		{"line", fmt.Sprintf("%d of its request, precision %s", p.Line, p.Precision)},
		{"points", p.points()},
		{"token", p.Token},
		{"status", p.Status},
		{"reason", p.Reason},
		{"hint", p.Hint},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", f.name, visible(f.value))
		}
	}
	fmt.Fprintf(&b, "\n%s\n%s", visible(p.Raw), p.marker())
	if p.IsQuoted {
		b.WriteString("(The line is not text; this is how Go quotes it.)\n")
	}
	if p.IsTruncated {
		b.WriteString("(The line was too long to be kept whole, so it cannot be retried.)\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// points says that the row stands for several points, if it does.
func (p *rejectedPoint) points() string {
	if p.Points < 2 {
		return ""
	}
	return fmt.Sprintf("%s; the reason and the hint are the first one's", formatCount(int(p.Points)))
}

// marker points at the place of the fault, where there is one line and nothing in it was
// replaced.
func (p *rejectedPoint) marker() string {
	if p.IsQuoted || p.Column < 1 || p.Column > int64(len(p.Raw))+1 || strings.ContainsAny(p.Raw, "\n\t") {
		return ""
	}
	return strings.Repeat(" ", uniseg.StringWidth(visible(p.Raw[:p.Column-1]))) + "^ here\n"
}

// visible replaces what a terminal would act on, which whoever wrote a line may have
// chosen. Line ends and tabs stay.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

type rejectedRetryCmd struct {
	hostFlag
	databaseFlag
	IDs []string `arg:"" optional:"" name:"id" help:"Ids, as siltstone rejected list shows them."`
	All bool     `help:"All points of the database that are not stored."`
}

// Validate wants either ids or --all; kong calls it after parsing.
func (c *rejectedRetryCmd) Validate() error {
	if c.All == (len(c.IDs) > 0) {
		return errors.New("give ids, or --all for every rejected point of the database")
	}
	return nil
}

// retryBody asks for points to be written again; no ids are all.
type retryBody struct {
	Database string   `json:"db"`
	IDs      []string `json:"ids,omitempty"`
}

// retryAnswer says what became of them.
type retryAnswer struct {
	Retried int `json:"retried"`
	Failed  int `json:"failed"`
	Items   []struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Message string `json:"message"`
	} `json:"items"` // not all, if there are many
}

// Run writes the points again and says what became of each.
func (c *rejectedRetryCmd) Run(ctx context.Context, env environment) error {
	requests := [][]string{nil}
	if !c.All {
		requests = slices.Collect(slices.Chunk(c.IDs, httpapi.MaxRetryIDs))
	}
	retried, failed := 0, 0
	for _, ids := range requests {
		var answer retryAnswer
		if err := c.call(ctx, http.MethodPost, "/api/v3/rejected/retry", nil, retryBody{c.Database, ids}, &answer); err != nil {
			return err
		}
		if err := answer.print(env.stdout); err != nil {
			return err
		}
		retried, failed = retried+answer.Retried, failed+answer.Failed
	}
	if err := say(env, "%s stored now, %s not.", formatCount(retried), formatCount(failed)); err != nil {
		return err
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

// print writes a line for each point.
func (a *retryAnswer) print(w io.Writer) error {
	var b strings.Builder
	for _, item := range a.Items {
		b.WriteString(strings.TrimRight(item.ID+"  "+item.Status+"  "+visible(item.Message), " ") + "\n")
	}
	if more := a.Retried + a.Failed - len(a.Items); more > 0 {
		fmt.Fprintf(&b, "and %s more\n", formatCount(more))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
