package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Finding is damage that a check found in a catalog.
type Finding struct {
	// File is the path of the damaged file, or of the catalog where the fault is in a
	// record, which may be in any of its files.
	File string
	// Key is that of the damaged record, as stored; nil where it is not one record.
	Key []byte
	// What is one sentence without an end.
	What string
}

// CheckReport is what a check read and found.
type CheckReport struct {
	Tables   int   // of Pebble
	Bytes    int64 // of them
	Records  int   // event ids among them
	Events   int
	Findings []Finding
}

// maxFindings bounds what is said about records: one fault may be in millions.
const maxFindings = 100

// Check opens a catalog that nobody has open, to be read only, and checks it all: the
// checksum of each block, the order of the keys, the checksum and contents of each value,
// and what they say of each other. The catalog is returned unless the findings say why it
// cannot be opened; its changes fail. The errors are ErrNoCatalog, *VersionError, and
// those of reading.
func Check(ctx context.Context, o Options) (*Catalog, CheckReport, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, CheckReport{}, err
	}
	var report CheckReport
	s, err := openReadOnly(&o)
	if err != nil {
		if !isDamage(err) {
			return nil, report, err
		}
		report.Findings = append(report.Findings, Finding{File: o.Dir, What: err.Error()})
		return nil, report, nil
	}
	if report, err = s.check(ctx, ctx.Err); err != nil {
		return nil, report, errors.Join(err, s.close())
	}
	l, err := loadChecked(s, o.Dir)
	if err == nil && l.empty {
		err = fmt.Errorf("%w in %s: it has no record", ErrNoCatalog, o.Dir)
	}
	if err == nil {
		err = compareAcknowledged(o.Dir, l.commits, lastAcknowledged(o.FS, o.Dir))
	}
	if err == nil {
		return newCatalog(s, &o, l), report, nil
	}
	err = errors.Join(report.addFault(o.Dir, err), s.close())
	return nil, report, err
}

// Check checks the open catalog: as the function of that name, save what the values say
// of each other, which Open has checked and every change keeps. Nothing waits for it but
// Close; a Reopen meanwhile is refused. The errors are those of reading, ErrFailed and ErrClosed.
func (c *Catalog) Check(ctx context.Context) (CheckReport, error) {
	c.checking.RLock() // keeps the store open
	defer c.checking.RUnlock()
	s, err := c.usableStore()
	if err != nil {
		return CheckReport{}, err
	}
	report, err := s.check(ctx, func() error { return cmp.Or(ctx.Err(), s.fence.err()) })
	if failed := s.fence.err(); failed != nil { // behind a closed fence Pebble reads what is not on the disk
		return CheckReport{}, failed
	}
	return report, err
}

func (c *Catalog) usableStore() (*store, error) {
	c.events.RLock()
	defer c.events.RUnlock()
	return c.store, c.usableLocked()
}

// isDamage tells a catalog that is damaged from one that cannot be read or understood.
func isDamage(err error) bool {
	var newer *VersionError
	return !errors.Is(err, ErrNoCatalog) && !errors.As(err, &newer) && !errors.Is(err, fs.ErrPermission) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// loadChecked is load for a store in which anything may be wrong.
func loadChecked(s *store, dir string) (l *loader, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("read catalog %s: %v", dir, v)
		}
	}()
	if l, err = load(s, dir); err == nil {
		err = errors.Join(s.fence.err(), compareAcknowledged(dir, l.commits, lastAcknowledged(s.fs, dir)))
	}
	return l, err
}

// addFault adds what load refused, unless a finding says it already.
func (r *CheckReport) addFault(dir string, err error) error {
	if !isDamage(err) {
		return err
	}
	if len(r.Findings) > 0 {
		return nil
	}
	f := Finding{File: dir, What: err.Error()}
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		f.Key, f.What = corrupt.Key, describeKey(corrupt.Key)+": "+corrupt.Err.Error()
	}
	r.Findings = append(r.Findings, f)
	return nil
}

// check reads every block and every value. It stops when ended returns an error.
func (s *store) check(ctx context.Context, ended func() error) (CheckReport, error) {
	var report CheckReport
	if err := s.checkTables(ctx, ended, &report); err != nil {
		return report, err
	}
	if err := s.checkRecords(ctx, ended, &report); err != nil {
		return report, err
	}
	if err := ended(); err != nil {
		return report, err
	}
	if len(report.Findings) > 0 {
		return report, nil // and Pebble would find the same
	}
	var stats pebble.CheckLevelsStats
	if err := s.db.CheckLevels(&stats); err != nil {
		report.Findings = append(report.Findings, Finding{File: s.dir, What: fmt.Sprintf("its keys are not in order: %v", err)})
	}
	return report, nil
}

// checkTables checks the checksum of each block of the tables that are in use.
func (s *store) checkTables(ctx context.Context, ended func() error, report *CheckReport) error {
	names, err := s.tables()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ended(); err != nil {
			return err
		}
		path := s.fs.PathJoin(s.dir, name)
		bytes, err := checkTable(ctx, s.fs, path)
		if err != nil {
			if still, listErr := s.tables(); listErr == nil && !slices.Contains(still, name) {
				continue // a compaction has replaced it
			}
			if !isDamage(err) {
				return err
			}
			report.Findings = append(report.Findings, Finding{File: path, What: err.Error()})
		}
		report.Tables++
		report.Bytes += bytes
	}
	return nil
}

// tables returns the names of the tables in use, in order.
func (s *store) tables() ([]string, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, fmt.Errorf("list the tables of catalog %s: %w", s.dir, err)
	}
	var names []string
	for _, level := range levels {
		for _, t := range level {
			names = append(names, fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// checkTable checks the checksum of each block of one table.
func checkTable(ctx context.Context, fs vfs.FS, path string) (bytes int64, err error) {
	defer func() {
		if v := recover(); v != nil { // Pebble, over what it does not expect
			err = fmt.Errorf("the table is damaged: %v", v)
		}
	}()
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	bytes = readable.Size()
	r, err := sstable.NewReader(ctx, readable, readerOptions())
	if err != nil {
		return bytes, errors.Join(err, readable.Close())
	}
	return bytes, errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// readerOptions are those of tables that pebbleOptions made.
func readerOptions() sstable.ReaderOptions {
	var opts pebble.Options
	opts.EnsureDefaults()
	o := opts.MakeReaderOptions()
	filter := bloom.FilterPolicy(filterBits)
	o.Filters = map[string]pebble.FilterPolicy{filter.Name(): filter}
	return o
}

// checkRecords decodes every record.
func (s *store) checkRecords(ctx context.Context, ended func() error, report *CheckReport) error {
	it, err := s.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return fmt.Errorf("read catalog %s: %w", s.dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		if report.Records++; report.Records%4096 == 0 {
			if err := ended(); err != nil {
				return errors.Join(err, it.Close())
			}
		}
		key := it.Key()
		isEvent := len(key) > 0 && kind(key[0]) == kindEvent
		if isEvent {
			report.Events++
		}
		if fault := checkRecord(key, it.Value(), isEvent); fault != nil && len(report.Findings) < maxFindings {
			report.Findings = append(report.Findings, Finding{
				File: s.dir, Key: slices.Clone(key), What: describeKey(key) + ": " + fault.Error(),
			})
		}
	}
	if err := it.Close(); err != nil { // reports a failed read too
		if !isDamage(err) {
			return err
		}
		if len(report.Findings) == 0 { // else its table was named
			report.Findings = append(report.Findings, Finding{File: s.dir, What: err.Error()})
		}
	}
	return nil
}

// checkRecord checks one record by itself.
func checkRecord(key, stored []byte, isEvent bool) error {
	if isEvent {
		if len(key) != len(eventPrefix(0))+eventIDBytes {
			return errBadKey
		}
		return checkEvent(key, stored)
	}
	_, err := unseal(key, stored)
	return err
}

// describeKey says what a record is about.
func describeKey(key []byte) string {
	if len(key) == 0 {
		return "a record without a key"
	}
	names := map[kind]string{
		kindHeader: "header", kindRun: "run", kindPosition: "position", kindLastToken: "last token", kindCommits: "number of commits",
		kindDatabase: "database", kindTable: "table", kindColumn: "column", kindDatabaseState: "state of database",
		kindTableState: "state of table", kindFile: "file", kindTombstone: "deletion of rows of table", kindRollup: "rollup of table",
		kindRollupState: "state of rollup of table", kindCache: "cache of table", kindFlushed: "flushed position of partition",
		kindClock: "clock", kindToken: "token", kindDatasource: "datasource", kindEvent: "event id of table",
	}
	name, ok := names[kind(key[0])]
	if !ok {
		name = "record of an unknown kind"
	}
	return fmt.Sprintf("%s, key %x", name, key)
}
