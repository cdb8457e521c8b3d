package engine

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Files are read by others, who do not look at checksums, so what they are about to read
// is verified first: the footer and the column chunks in question (persist/sums.go).
//
// What was verified is remembered, so that a query pays one stat for each file that it
// reads. The memory of a file holds as long as its inode, size and times do: who
// changes or replaces it in place causes it to be verified anew. A disk that gives other bytes for
// an unchanged file later in the process's life is for `siltstone check` to find.
//
// No lock is held during I/O. Of the queries that want the same file verified one does it
// and the others wait; a query that is cancelled stops, and one of those that wait goes on.

// FileError says that a file which a query needs cannot be used: it is not what was written, or
// it is missing, or it could not be read. Nothing was read from it.
type FileError struct {
	Path            string // below the data directory
	Database, Table string
	Rows            uint64
	Time            schema.TimeRange
	IsDamaged       bool // and matches ErrDamaged
	Err             error
}

func (e *FileError) Error() string {
	affected := fmt.Sprintf("%s, which has %d rows of table %q in database %q from %s to %s",
		e.Path, e.Rows, e.Table, e.Database, showTime(e.Time.Min), showTime(e.Time.Max))
	if e.IsDamaged {
		return fmt.Sprintf("the file %s, is damaged: %v; `siltstone check` looks for more of it: restore the file from a backup, or let `siltstone recover --salvage` keep what can be read",
			affected, e.Err)
	}
	return fmt.Sprintf("the file %s, could not be read: %v", affected, e.Err)
}

// Unwrap returns the cause, and ErrDamaged where that is what it comes to.
func (e *FileError) Unwrap() []error {
	if e.IsDamaged {
		return []error{ErrDamaged, e.Err}
	}
	return []error{e.Err}
}

func showTime(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// fileState tells a file from one that was changed or put in its place.
type fileState struct {
	inode, device  uint64
	size           int64
	written, moved int64 // its content; its inode. Nanoseconds; 0 where not known.
}

// verifier remembers which parts of which files are as they were written.
type verifier struct {
	fs      vfs.FS
	metrics *metrics
	mu      struct {
		sync.Mutex
		files map[schema.FileID]*verifiedFile
	}
}

// verifiedFile is what is known about one file.
type verifiedFile struct {
	mu struct {
		sync.Mutex
		state   fileState
		known   bool              // state is set
		whole   bool              // every byte is verified
		columns []schema.ColumnID // verified, ascending; 0 is time
		busy    chan struct{}     // closed when the one who verifies is done; nil: nobody does
		fault   string            // that was reported last, of this state
	}
}

func newVerifier(fs vfs.FS, m *metrics) *verifier {
	v := &verifier{fs: fs, metrics: m}
	v.mu.files = make(map[schema.FileID]*verifiedFile)
	return v
}

// file returns what is known about a file.
func (v *verifier) file(id schema.FileID) *verifiedFile {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.mu.files[id]
	if f == nil {
		f = &verifiedFile{}
		v.mu.files[id] = f
	}
	return f
}

// forget drops what is known about files that are removed.
func (v *verifier) forget(files []*schema.File) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range files {
		delete(v.mu.files, f.ID)
	}
}

// verify makes sure that the columns of a file are as they were written. isNew says that
// the error, if it is one of the file, was not returned before.
func (v *verifier) verify(ctx context.Context, f FileRef, columns []schema.ColumnID) (isNew bool, err error) {
	known := v.file(f.ID)
	for {
		info, err := v.fs.Stat(f.Path)
		if err != nil {
			return known.isNew(err), err
		}
		missing, wait := known.begin(stateOf(info), columns)
		switch {
		case len(missing) == 0:
			return false, nil
		case wait == nil:
			return v.read(ctx, f, known, missing)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// begin returns which of the columns are yet to be verified. If somebody is at it, wait is
// closed when they are done; else the caller has to do it, and to call end.
func (f *verifiedFile) begin(now fileState, columns []schema.ColumnID) (missing []schema.ColumnID, wait <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.mu.known || f.mu.state != now {
		f.mu.state, f.mu.known, f.mu.whole, f.mu.columns, f.mu.fault = now, true, false, nil, ""
	}
	if f.mu.whole {
		return nil, nil
	}
	for _, c := range columns {
		if _, ok := slices.BinarySearch(f.mu.columns, c); !ok {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 && f.mu.busy != nil {
		return missing, f.mu.busy
	}
	if len(missing) > 0 {
		f.mu.busy = make(chan struct{})
	}
	return missing, nil
}

// end tells what was verified of the file in the given state.
func (f *verifiedFile) end(state fileState, columns []schema.ColumnID, whole, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.mu.busy)
	f.mu.busy = nil
	if !ok || f.mu.state != state {
		return
	}
	f.mu.whole = f.mu.whole || whole
	f.mu.columns = append(slices.Clone(f.mu.columns), columns...)
	slices.Sort(f.mu.columns)
	f.mu.columns = slices.Compact(f.mu.columns)
}

// isNew reports whether a fault of the file is another than the last one.
func (f *verifiedFile) isNew(fault error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.mu.fault
	f.mu.fault = fault.Error()
	return was != f.mu.fault
}

// read verifies columns, for which begin has given the turn. The state is that of the open
// file before anything of it is read: a change while it is read shows in the next one.
func (v *verifier) read(ctx context.Context, f FileRef, known *verifiedFile, columns []schema.ColumnID) (isNew bool, err error) {
	begin := time.Now()
	var state fileState
	whole := false
	defer func() { known.end(state, columns, whole, err == nil) }()
	src, err := v.fs.Open(f.Path, vfs.SequentialReadsOption)
	if err != nil {
		return known.isNew(err), err
	}
	defer func() { _ = src.Close() }() // it was only read
	info, err := src.Stat()
	if err != nil {
		return known.isNew(err), err
	}
	state = stateOf(info)
	if uint64(state.size) != f.Bytes {
		err = &persist.MismatchError{Path: filePath(f.File), What: "size", Want: fmt.Sprint(f.Bytes), Got: fmt.Sprint(state.size)}
		return known.isNew(err), err
	}
	whole, err = persist.VerifyColumns(ctx, src, filePath(f.File), f.File, columns)
	v.metrics.verifySeconds.Observe(time.Since(begin).Seconds())
	if err != nil && ctx.Err() == nil {
		return known.isNew(err), err
	}
	return false, err
}

// verifyIdentity is Verify for what tells rows apart: tags and time.
func (t *TableView) verifyIdentity(ctx context.Context, files []FileRef) error {
	identity := []schema.ColumnID{0}
	for _, c := range t.Table.Tags() {
		identity = append(identity, c.ID)
	}
	return t.Verify(ctx, files, identity)
}

// Verify makes sure that the given columns of files in the view are as they were written; 0
// stands for time, and columns that a file does not have are passed over. It is called before
// the files are read. The errors are a *FileError, and that of ctx.
func (t *TableView) Verify(ctx context.Context, files []FileRef, columns []schema.ColumnID) error {
	if t.verify == nil || len(files) == 0 {
		return nil
	}
	workers := min(len(files), runtime.GOMAXPROCS(0))
	if workers == 1 {
		return t.verifySome(ctx, files, columns, new(atomic.Int64))
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() { errs[w] = t.verifySome(ctx, files, columns, &next) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// verifySome takes files off the list until it is done or one is damaged.
func (t *TableView) verifySome(ctx context.Context, files []FileRef, columns []schema.ColumnID, next *atomic.Int64) error {
	for {
		i := next.Add(1) - 1
		if i >= int64(len(files)) {
			return nil
		}
		if err := t.verify(ctx, files[i], columns); err != nil {
			next.Store(int64(len(files))) // the others may stop
			return err
		}
	}
}

// verifyFile verifies columns of one file, and reports a fault when it is found.
func (e *Engine) verifyFile(ctx context.Context, f FileRef, columns []schema.ColumnID) error {
	isNew, err := e.verifier.verify(ctx, f, columns)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	fault := &FileError{Path: filePath(f.File), Rows: f.Rows, Time: f.Time, IsDamaged: isDamage(err), Err: err}
	snapshot := e.catalog.Schema()
	fault.Database = snapshot.DatabaseName(f.Database)
	if def, ok := snapshot.TableByID(f.Table); ok {
		fault.Table = def.Name
	}
	if isNew {
		e.metrics.fileFaults.Inc()
		e.opts.Logger.Error("a file cannot be used; queries that need it fail, all others go on", "file", e.path(fault.Path), "error", fault)
	}
	return fault
}

// isDamage reports whether an error says that a file is not what was written.
func isDamage(err error) bool {
	var (
		mismatch *persist.MismatchError
		chunk    *persist.ChunkError
		corrupt  *persist.CorruptError
	)
	return errors.As(err, &mismatch) || errors.As(err, &chunk) || errors.As(err, &corrupt) || errors.Is(err, iofs.ErrNotExist)
}
