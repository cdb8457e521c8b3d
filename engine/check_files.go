package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// checkFiles verifies every file of the catalog, and looks for others.
func (c *checker) checkFiles() error {
	s := c.catalog.Schema()
	c.report.Databases, c.report.Tables = s.DatabaseCount(), s.TableCount()
	files := c.catalog.Files()
	if err := c.checkOrphans(files); err != nil {
		return err
	}
	for id, files := range byTable(files) {
		c.compareFiles(files)
		verify := func(files []*schema.File) error { return c.verifyFiles(id, files) }
		var err error
		if c.online != nil {
			err = c.online.pinned(id, verify)
		} else {
			err = verify(files)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byTable yields the files of each table, by table and order.
func byTable(files []*schema.File) func(func(schema.TableID, []*schema.File) bool) {
	all := slices.Clone(files)
	slices.SortStableFunc(all, func(a, b *schema.File) int { return cmp.Compare(a.Table, b.Table) })
	return func(yield func(schema.TableID, []*schema.File) bool) {
		for len(all) > 0 {
			id, n := all[0].Table, 1
			for n < len(all) && all[n].Table == id {
				n++
			}
			if !yield(id, all[:n:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// checkOrphans looks below files/ for what the catalog does not name.
func (c *checker) checkOrphans(files []*schema.File) error {
	known := make(map[string]bool, len(files))
	for _, f := range files {
		known[filePath(f)] = true
	}
	return c.walk(filesDir, 0, func(name string, level int) {
		if !known[name] {
			c.judgeOrphan(name, level)
		}
	})
}

// fileLevel is how deep below files/ the files are.
const fileLevel = 3

// walk calls visit for everything below a directory that is no directory, or that lies
// where files are.
func (c *checker) walk(dir string, level int, visit func(name string, level int)) error {
	names, err := c.opts.FS.List(c.path(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", c.path(dir), err)
	}
	slices.Sort(names)
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := c.opts.FS.Stat(c.path(name))
		switch {
		case errors.Is(err, os.ErrNotExist): // it was removed meanwhile
		case err != nil:
			return fmt.Errorf("looking at %s: %w", c.path(name), err)
		case info.IsDir() && level+1 < fileLevel:
			if err := c.walk(name, level+1, visit); err != nil {
				return err
			}
		default:
			visit(name, level+1)
		}
	}
	return nil
}

// judgeOrphan says what a file is that the catalog does not name.
func (c *checker) judgeOrphan(name string, level int) {
	base := path.Base(name)
	if level != fileLevel || !isOurFile(base) {
		c.found(Finding{Severity: Note, File: name, What: "the file is not one of Siltstone's; it is left alone"})
		return
	}
	digits, _, _ := strings.Cut(base, parquetExt)
	id, _ := strconv.ParseUint(digits, 16, 64) // isOurFile has read it
	switch age := c.catalog.FileIDAge(schema.FileID(id)); {
	case age == catalog.FileIDUnknown:
		c.found(Finding{
			Severity: Damage, File: name, What: "no commit names the file, and its number was never given to one: the catalog is older",
			Affected: "definitions, and which files and log records count", Fix: c.fix("the directory " + catalogDir),
		})
	case age == catalog.FileIDNew: // it is being written, or removed
	case strings.HasSuffix(base, persist.TempSuffix):
		c.found(Finding{Severity: Note, File: name, What: "the writing of the file was cut short; the next start removes it, and its rows are in the log"})
	default:
		c.found(Finding{Severity: Note, File: name, What: "no commit names the file; the next start removes it"})
	}
}

// compareFiles compares what the catalog says of the files of one table.
func (c *checker) compareFiles(files []*schema.File) {
	position, flushed := c.catalog.Position(), c.catalog.Flushed()
	for _, f := range files {
		fault := ""
		switch {
		case schema.DayOf(f.Time.Min) < f.DayMin || schema.DayOf(f.Time.Max) > f.DayMax:
			fault = fmt.Sprintf("its rows are of %s to %s, its days %s to %s", schema.DayOf(f.Time.Min), schema.DayOf(f.Time.Max), f.DayMin, f.DayMax)
		case c.online == nil && f.Seq.Max > reached(f, position, flushed):
			fault = fmt.Sprintf("it holds rows of log record %d, behind the flushed position %d of its days", f.Seq.Max, reached(f, position, flushed))
		}
		if fault != "" {
			c.found(Finding{Severity: Warning, File: filePath(f), What: "the catalog contradicts itself: " + fault, Affected: c.rows(f)})
		}
	}
}

// reached is how far the days of a file are flushed.
func reached(f *schema.File, position schema.Seq, flushed map[schema.PartitionKey]schema.Seq) schema.Seq {
	for k, seq := range flushed {
		if k.Table == f.Table && k.Day >= f.DayMin && k.Day <= f.DayMax {
			position = max(position, seq)
		}
	}
	return position
}

// verifyFiles reads the files of one table.
func (c *checker) verifyFiles(id schema.TableID, files []*schema.File) error {
	def, ok := c.catalog.Schema().TableByID(id)
	if !ok {
		return nil // it was purged since; a closed catalog has been checked for that
	}
	for _, f := range files {
		if err := c.verifyFile(def, f); err != nil {
			return err
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// verifyFile reads a file twice: its bytes from the disk, and then, from the system's
// cache, its values. The error is that of a catalog that failed meanwhile, which says nothing
// of the file.
func (c *checker) verifyFile(def *schema.Table, f *schema.File) error {
	file := c.path(filePath(f))
	c.report.Files++
	c.report.Rows += f.Rows
	err := persist.Verify(c.fs, file, f)
	if err == nil {
		err = c.verifyRows(def, f, file)
	}
	if err == nil || errors.Is(err, catalog.ErrFailed) || errors.Is(err, catalog.ErrClosed) {
		return err
	}
	c.found(c.fileDamage(f, file, err))
	return nil
}

// fileDamage describes why a file is not what the catalog says of it.
func (c *checker) fileDamage(f *schema.File, file string, err error) Finding {
	found := Finding{Severity: Damage, File: file, What: err.Error(), Affected: c.rows(f), Fix: c.fix("the file")}
	var chunk *persist.ChunkError
	var mismatch *persist.MismatchError
	var corrupt *persist.CorruptError
	switch {
	case errors.Is(err, os.ErrNotExist):
		found.What = "the file is missing"
	case errors.As(err, &chunk):
		found.Offset = chunk.Offset
		found.What = fmt.Sprintf("the checksum of column %q in row group %d does not match (%d bytes)", chunk.Column, chunk.RowGroup, chunk.Bytes)
		found.Affected = fmt.Sprintf("column %q in row group %d of %s", chunk.Column, chunk.RowGroup, found.Affected)
	case errors.As(err, &mismatch):
		found.What = fmt.Sprintf("the %s is %s, not %s", mismatch.What, mismatch.Got, mismatch.Want)
		if mismatch.Where != "" {
			found.What += "; what differs is " + mismatch.Where
		}
	case errors.As(err, &corrupt):
		found.What = corrupt.Err.Error()
	}
	return found
}

// verifyRows reads the values of a file, and looks its keys up.
func (c *checker) verifyRows(def *schema.Table, f *schema.File, file string) error {
	if err := persist.VerifyRows(c.plain, file, f, def.Columns); err != nil {
		return err
	}
	tag, ok := def.Column(def.Key.Tag)
	if def.Key.Rule != schema.FirstByTag || !ok {
		return nil
	}
	missing, err := c.missingKeys(def.ID, tag.ID, file)
	if err == nil && missing > 0 {
		c.found(Finding{
			Severity: Damage, File: file, What: fmt.Sprintf("%d keys of its rows are not in the catalog's set of keys", missing),
			Affected: "repetitions of these rows would be stored again; " + c.rows(f), Fix: c.fix("the directory " + catalogDir),
		})
	}
	return err
}

// missingKeys counts the values of a tag that the catalog does not remember.
func (c *checker) missingKeys(table schema.TableID, tag schema.ColumnID, file string) (missing int, err error) {
	r, err := persist.Open(c.plain, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for rec, err := range r.Records(tag) {
		if err != nil {
			return missing, err
		}
		values := rec.Column(0).(*array.Dictionary).Dictionary().(*array.String)
		for i := range values.Len() {
			key := hashKey(table, []byte(values.Value(i)))
			seen, err := c.catalog.Seen(key.table, key.hash)
			if err != nil {
				return missing, err
			}
			if !seen {
				missing++
			}
		}
	}
	return missing, nil
}
