package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Queries for a few series need a few pages of a file, which persist.Finder finds. What it knows
// of a file is kept, so that the next query reads nothing but those pages; the files
// that were not asked for longest go first when that becomes too much.

// maxFinderBytes bounds what is kept of all files: a file of three million rows of 400 series
// takes a tenth of a MiB, one of 40,000 series with ten tags about two.
const maxFinderBytes = 24 << 20

// Wanted says which rows TableView.Find finds.
type Wanted = persist.Wanted

// ErrNotFound says that TableView.Find is not for this file or question, and that the file is to be
// read in another way. It says nothing about rows.
var ErrNotFound = persist.ErrNotSupported

// finders keeps what is known of files.
type finders struct {
	fs vfs.FS
	mu struct {
		sync.Mutex
		files map[schema.FileID]*knownFinder
		bytes int64
		uses  uint64
	}
}

// knownFinder is a Finder of a file in some state, or why there is none.
type knownFinder struct {
	state  fileState
	made   chan struct{} // closed when what follows is set
	finder *persist.Finder
	err    error

	bytes, used int64 // guarded by finders.mu
}

func newFinders(fs vfs.FS) *finders {
	f := &finders{fs: fs}
	f.mu.files = make(map[schema.FileID]*knownFinder)
	return f
}

// forget drops what is known about files that are removed.
func (f *finders) forget(files []*schema.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range files {
		f.dropLocked(file.ID)
	}
}

func (f *finders) dropLocked(id schema.FileID) {
	if known := f.mu.files[id]; known != nil {
		f.mu.bytes -= known.bytes
		delete(f.mu.files, id)
	}
}

// get returns the Finder of a file in the given state, which one of those who ask for it makes.
func (f *finders) get(ctx context.Context, file FileRef, state fileState) (*persist.Finder, error) {
	f.mu.Lock()
	f.mu.uses++
	known := f.mu.files[file.ID]
	isNew := known == nil || known.state != state
	if isNew {
		f.dropLocked(file.ID)
		known = &knownFinder{state: state, made: make(chan struct{})}
		f.mu.files[file.ID] = known
	}
	known.used = int64(f.mu.uses)
	f.mu.Unlock()
	if isNew {
		defer close(known.made)
		known.finder, known.err = persist.NewFinder(f.fs, file.Path)
		f.made(file.ID, known)
		return known.finder, known.err
	}
	select {
	case <-known.made:
		return known.finder, known.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// made accounts for a new Finder, and makes room for it.
func (f *finders) made(id schema.FileID, known *knownFinder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.files[id] != known {
		return
	}
	if known.err != nil && !errors.Is(known.err, ErrNotFound) { // it may be read next time
		delete(f.mu.files, id)
		return
	}
	known.bytes = 200
	if known.err == nil {
		known.bytes += known.finder.Bytes()
	}
	f.mu.bytes += known.bytes
	for f.mu.bytes > maxFinderBytes {
		oldest, last := schema.FileID(0), int64(math.MaxInt64)
		for id, k := range f.mu.files {
			if k.bytes > 0 && k.used < last {
				oldest, last = id, k.used
			}
		}
		f.dropLocked(oldest)
	}
}

// Find reads the wanted rows of a file in the view, after making sure that what it reads of it is as
// it was written. Rows are in file order; of rows without an order nothing is said. The errors are
// ErrNotFound, a *FileError, and that of ctx; others mean that the file is to be read in another way too.
func (t *TableView) Find(ctx context.Context, file FileRef, w *Wanted) (*partition.Snapshot, error) {
	if t.find == nil || len(file.Hidden) > 0 {
		return nil, ErrNotFound
	}
	return t.find(ctx, t.Table, file, w)
}

// findRows is what Find does.
func (e *Engine) findRows(ctx context.Context, table *schema.Table, file FileRef, w *Wanted) (*partition.Snapshot, error) {
	columns := []schema.ColumnID{0} // time
	for _, c := range table.Tags() {
		columns = append(columns, c.ID)
	}
	if err := e.verifyFile(ctx, file, append(columns, w.Columns...)); err != nil {
		return nil, err
	}
	src, err := e.opts.FS.Open(file.Path, vfs.RandomReadsOption)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", file.Path, err)
	}
	defer func() { _ = src.Close() }() // it was only read
	info, err := src.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", file.Path, err)
	}
	finder, err := e.finders.get(ctx, file, stateOf(info))
	if err != nil {
		return nil, err
	}
	found, err := finder.Find(ctx, src, w, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	return snapshotOf(found), nil
}

// SeriesFile reads numbers of a file by their series. It is open, for any number of goroutines.
type SeriesFile struct {
	*persist.Finder

	src vfs.File
}

// ReadNumbers is the Finder's.
func (s *SeriesFile) ReadNumbers(group int, id schema.ColumnID, rows []persist.Rows, dst *persist.Numbers) error {
	return s.Finder.ReadNumbers(s.src, group, id, rows, dst)
}

// ReadTimes is the Finder's.
func (s *SeriesFile) ReadTimes(group int, rows []persist.Rows, within schema.TimeRange, dst *persist.Numbers) error {
	return s.Finder.ReadTimes(s.src, group, rows, within, dst)
}

// SumIntegers is the Finder's.
func (s *SeriesFile) SumIntegers(group int, id schema.ColumnID, rows []persist.Rows, dst *persist.Sums) error {
	return s.Finder.SumIntegers(s.src, group, id, rows, dst)
}

// CheckNumbers is the Finder's.
func (s *SeriesFile) CheckNumbers(id schema.ColumnID) error { return s.Finder.CheckNumbers(s.src, id) }

// Close closes the file.
func (s *SeriesFile) Close() error { return s.src.Close() }

// OpenSeries opens a file in the view, of which the columns that will be read, and all tags, were verified. The
// error is ErrNotFound, ErrHidden, that of ctx, or that of reading: the file is to be read in another way then.
func (t *TableView) OpenSeries(ctx context.Context, file FileRef) (s *SeriesFile, err error) {
	if len(file.Hidden) > 0 {
		return nil, ErrHidden
	}
	fs := t.filesystem()
	src, err := fs.Open(file.Path, vfs.RandomReadsOption)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", file.Path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, src.Close())
		}
	}()
	s = &SeriesFile{src: src}
	if t.finders == nil {
		s.Finder, err = persist.NewFinder(fs, file.Path)
		return s, err
	}
	info, err := src.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", file.Path, err)
	}
	s.Finder, err = t.finders.get(ctx, file, stateOf(info))
	return s, err
}

// snapshotOf gives rows of a file the form of buffered ones.
func snapshotOf(found *persist.Found) *partition.Snapshot {
	s := &partition.Snapshot{Time: schema.EmptyTimeRange, SeriesCount: found.Series}
	for _, t := range found.Tags {
		s.Tags = append(s.Tags, partition.TagColumn{ID: t.ID, Index: t.Indices, Values: t.Values})
	}
	for _, p := range found.Pieces {
		chunk := partition.Chunk{Rows: len(p.Times), Time: p.Times, Series: p.Series, Range: p.Range}
		for i := range p.Fields {
			chunk.Fields = append(chunk.Fields, FieldOf(&p.Fields[i]))
		}
		s.Rows += chunk.Rows
		s.Time = s.Time.Union(chunk.Range)
		s.Chunks = append(s.Chunks, chunk)
	}
	return s
}

// FieldOf gives a field of a file the form of a buffered one.
func FieldOf(f *persist.FoundField) partition.Field {
	field := partition.Field{ID: f.Column.ID, Type: f.Column.Type, Valid: f.Valid, Bool: f.Bools, Offsets: f.Offsets, Data: f.Data}
	switch f.Column.Type {
	case schema.Int64:
		field.Int64 = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(f.Words))), len(f.Words))
	case schema.Float64:
		field.Float64 = unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(f.Words))), len(f.Words))
	case schema.Uint64:
		field.Uint64 = f.Words
	}
	return field
}
