package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/siltstone-db/siltstone/backup"
	"github.com/siltstone-db/siltstone/engine"
)

type backupRestoreCmd struct {
	fromFlag
	hostFlag
	Backup   string `help:"Restore this one. Default: the newest." placeholder:"BACKUP"`
	DataDir  string `help:"Directory to make of all of it; it must be empty or not exist." placeholder:"DIR"`
	Database string `aliases:"db" help:"Restore this database alone, into the server at --host, under the name --as." placeholder:"NAME"`
	As       string `help:"Name of the database that is made." placeholder:"NAME"`
	rateFlag
	outputFlags
}

// Help is the long text of --help.
func (*backupRestoreCmd) Help() string {
	return `With --data-dir a directory is made, checked and only then put in its place; serve it with siltstone serve.
With --database and --as one database of the backup comes into a running server, under a name that is
free there. Nothing of it is seen before all of it is there.

Examples:

  siltstone backup restore --from /backups/siltstone --data-dir ./restored
  siltstone backup restore --from /backups/siltstone --database home --as home-of-yesterday`
}

// Validate makes sure that it is one or the other.
func (c *backupRestoreCmd) Validate() error {
	switch {
	case (c.DataDir == "") == (c.Database == ""):
		return errors.New("give either --data-dir, or --database and --as")
	case (c.Database == "") != (c.As == ""):
		return errors.New("--database and --as belong together")
	}
	return c.rateFlag.Validate()
}

// restoreDatabase streams a database to the server.
func (c *backupRestoreCmd) restoreDatabase(ctx context.Context, env environment, store backup.Store) error {
	begin := time.Now()
	show, clear := c.bar(env, "restoring")
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := backup.SendDatabase(ctx, w, store, c.Backup, c.Database, int64(c.Rate), show)
		w.CloseWithError(err)
		sent <- err
	}()
	var done engine.RestoredDatabase
	resp, err := c.post(ctx, "/api/v3/restore", url.Values{"db": {c.Database}, "as": {c.As}}, r, http.Header{"Content-Type": {"application/x-tar"}})
	if err == nil {
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&done), resp.Body.Close())
	}
	_ = r.Close() // ends who sends
	if failed := <-sent; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		err = failed // and what the server says follows from it
	}
	clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was restored")
	}
	if err != nil {
		return err
	}
	return c.print(env, done, fmt.Sprintf("Database %s is there: %s rows of %s tables in %s files (%s), in %s.\n",
		done.Database, formatCount(int(done.Rows)), formatCount(done.Tables), formatCount(done.Files), formatBytes(done.Bytes), time.Since(begin).Round(time.Millisecond)))
}

// Run restores and checks.
func (c *backupRestoreCmd) Run(ctx context.Context, env environment) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	if c.Database != "" {
		return c.restoreDatabase(ctx, env, store)
	}
	begin := time.Now()
	show, clear := c.bar(env, "restoring")
	m, report, err := backup.Restore(ctx, backup.RestoreOptions{
		Store: store, ID: c.Backup, DataDir: c.DataDir, Logger: warnings(env), BytesPerSecond: int64(c.Rate), Progress: show,
	})
	clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was restored, and the next attempt removes what was copied")
	}
	if err != nil {
		return err
	}
	return c.print(env, m, fmt.Sprintf("Backup %s of %s is in %s and was checked: %s rows in %s files (%s), in %s.\nServe it with: siltstone serve --data-dir %s\n",
		m.ID, m.Time.Format(time.RFC3339), c.DataDir, formatCount(int(report.Rows)), formatCount(report.Files), formatBytes(m.Bytes), time.Since(begin).Round(time.Millisecond), c.DataDir))
}
