package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// checker is the state of one check.
type checker struct {
	ctx     context.Context // of the one call that the checker is made for
	opts    CheckOptions
	plain   vfs.FS // ends with ctx, but neither counts nor waits
	fs      vfs.FS // counts what is read and keeps to the rate
	meter   *meter
	total   int64 // bytes that will have been read, about
	catalog *catalog.Catalog
	decoder partition.Decoder
	report  CheckReport
	calls   sync.Mutex // held while Found or Progress is called
	begin   time.Time
	online  *Engine // nil where the directory is closed
}

func newChecker(ctx context.Context, opts CheckOptions) *checker {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &checker{ctx: ctx, opts: opts, begin: time.Now()}
	c.meter = &meter{ctx: ctx, rate: opts.BytesPerSecond, begin: c.begin, report: c.progress}
	c.fs = meteredFS{opts.FS, c.meter}
	c.plain = meteredFS{opts.FS, &meter{ctx: ctx}}
	return c
}

// run runs the steps of a check and completes the report.
func (c *checker) run(steps func(*checker) error) (CheckReport, error) {
	c.total = c.size("", 0)
	err := steps(c)
	if ended := c.ctx.Err(); ended != nil {
		err = ended
	}
	c.report.Took, c.report.Bytes = time.Since(c.begin), c.meter.bytes()
	c.total = c.report.Bytes
	c.progress(c.total, "")
	if err != nil {
		return c.report, fmt.Errorf("checking %s: %w", c.opts.DataDir, err)
	}
	return c.report, nil
}

// maxReportedFindings bounds the report; what is beyond it is only counted.
const maxReportedFindings = 10_000

// found notes a finding. What is found because the check was ended is nothing.
func (c *checker) found(f Finding) {
	if c.ctx.Err() != nil {
		return
	}
	switch f.Severity {
	case Damage:
		c.report.Damage++
	case Warning:
		c.report.Warnings++
	default:
		c.report.Notes++
	}
	if len(c.report.Findings) == maxReportedFindings {
		return
	}
	f.File = c.below(f.File)
	c.report.Findings = append(c.report.Findings, f)
	if c.opts.Found != nil {
		c.calls.Lock()
		defer c.calls.Unlock()
		c.opts.Found(f)
	}
}

func (c *checker) progress(bytes int64, file string) {
	if c.opts.Progress != nil {
		c.calls.Lock()
		defer c.calls.Unlock()
		c.opts.Progress(CheckProgress{Bytes: bytes, Total: max(bytes, c.total), File: c.below(file)})
	}
}

// path places a name of the data directory; below is its inverse.
func (c *checker) path(name string) string { return path.Join(c.opts.DataDir, name) }

func (c *checker) below(file string) string {
	if name, ok := strings.CutPrefix(file, path.Clean(c.opts.DataDir)+"/"); ok {
		return name
	}
	return file
}

// depth bounds how far size looks: files/<database>/<table>/<file>.
const depth = 4

// size adds up the bytes of the files below a directory of the data directory.
func (c *checker) size(dir string, level int) (bytes int64) {
	names, err := c.opts.FS.List(c.path(dir))
	if err != nil || level == depth {
		return 0 // whoever reads the directory will say so
	}
	for _, name := range names {
		if level == 0 && name != catalogDir && name != walDir && name != filesDir {
			continue
		}
		name = path.Join(dir, name)
		info, err := c.opts.FS.Stat(c.path(name))
		switch {
		case err != nil:
		case info.IsDir():
			bytes += c.size(name, level+1)
		default:
			bytes += info.Size()
		}
	}
	return bytes
}

// checkClosed checks a directory that nobody has open.
func (c *checker) checkClosed() (err error) {
	c.checkSalvaging()
	cat, report, err := catalog.Check(c.ctx, catalog.Options{FS: c.fs, Dir: c.path(catalogDir), Logger: c.opts.Logger})
	if errors.Is(err, catalog.ErrNoCatalog) {
		c.checkNothing()
		return nil
	}
	if err != nil {
		return err
	}
	c.takeCatalog(report)
	if cat == nil {
		return nil // which files and records there should be is unknown
	}
	defer func() { err = errors.Join(err, cat.Close()) }()
	c.catalog = cat
	if err := c.checkFiles(); err != nil {
		return err
	}
	return c.checkLog()
}

// checkSalvaging looks for a salvage that was interrupted, after which a start is refused.
func (c *checker) checkSalvaging() {
	if _, err := c.opts.FS.Stat(c.path(salvagingDir)); err != nil {
		return
	}
	c.found(Finding{
		Severity: Damage, File: salvagingDir, What: "a salvage was interrupted, and nothing else opens the directory before it is finished",
		Fix: fmt.Sprintf("finish it with: siltstone recover --data-dir %s --salvage", c.opts.DataDir),
	})
}

// checkNothing judges a directory without a catalog.
func (c *checker) checkNothing() {
	for _, dir := range []string{filesDir, walDir} {
		if names, err := c.opts.FS.List(c.path(dir)); err == nil && len(names) > 0 {
			c.found(Finding{
				Severity: Damage, File: catalogDir, What: "there is no catalog, but there are data in " + dir,
				Affected: "everything: which files and log records count is unknown", Fix: c.fix("the directory"),
			})
			return
		}
	}
	c.found(Finding{Severity: Note, File: ".", What: "there are no data; a start makes a new database here"})
}

func (c *checker) takeCatalog(report catalog.CheckReport) {
	c.report.Keys = report.Events
	for _, f := range report.Findings {
		c.found(Finding{
			Severity: Damage, File: f.File, What: f.What,
			Affected: "definitions, and which files and log records count", Fix: c.fix("the directory " + catalogDir),
		})
	}
}

// fix says what to do about damage.
func (c *checker) fix(what string) string {
	return fmt.Sprintf("restore %s from a backup, or keep what verifies with: siltstone recover --data-dir %s --salvage", what, c.opts.DataDir)
}

// table names the table with an id for people.
func (c *checker) table(id schema.TableID) string {
	s := c.catalog.Schema()
	if t, ok := s.TableByID(id); ok {
		return fmt.Sprintf("table %q of database %q", t.Name, s.DatabaseName(t.Database))
	}
	return fmt.Sprintf("table %d, which is not defined", id)
}

// rows describes the rows of a file for people.
func (c *checker) rows(f *schema.File) string {
	const layout = "2006-01-02T15:04:05.999999999Z"
	return fmt.Sprintf("%d rows of %s, %s to %s", f.Rows, c.table(f.Table),
		time.Unix(0, f.Time.Min).UTC().Format(layout), time.Unix(0, f.Time.Max).UTC().Format(layout))
}
