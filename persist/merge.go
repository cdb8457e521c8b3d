package persist

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Merging files
//
// Files of one table become fewer files without their points being sorted again: each is in
// the order of tags and time, so that the next row is always the least of those that the
// inputs are at. What makes this cheap is that rows are not moved one by one. A series of
// one input stays in front until its time, or its tags, reach those of the next input; all
// rows up to there are one stretch, and are copied column by column.
//
// Tags are compared by numbers. Each input has dictionaries of its own, one for each row
// group; their values are numbered in one dictionary for the whole merge as they are met,
// so that equal values have equal numbers, and strings are compared only where numbers
// differ, once for a stretch. That dictionary is begun anew when it has grown too large: a
// tag may have as many values as there are rows.
//
// A point that several inputs have becomes one row: of each field the last value that is
// not null, in the order of the inputs, as queries see it. Rows of an input that were deleted
// are left out: which these are is decided for each series once, as ranges of time.
//
// In memory are, for each input, a batch of rows and one row group as it lies on disk, and the
// record that is being made.

// MergeInput is a file to be merged.
type MergeInput struct {
	Path string
	File *schema.File
	// Drop says which rows are left out. Of the tombstones only time and predicate count: that they
	// are about this file is up to the caller.
	Drop []*schema.Tombstone
}

// MergeSpec says what is merged.
type MergeSpec struct {
	// FS is the file system. Required.
	FS vfs.FS
	// Inputs are files of one table. Of two that hold the same point the fields of the later
	// one win. At least one is required.
	Inputs []MergeInput
	// Columns are those of the table, in id order; all columns of the inputs are among them.
	Columns []schema.Column
	// BatchRows is how many rows of an input are held; 0 is DefaultMergeBatchRows.
	BatchRows int
	// Latest leaves out all but the newest row of each series; nil leaves all in.
	Latest *MergeLatest
	// Pace is told how many bytes of the inputs are about to be decoded, before each row
	// group and, with 0, before an input is verified. An error of it ends the merge. nil goes on.
	Pace func(bytes int64) error
}

const (
	// DefaultMergeBatchRows are four of DuckDB's vectors. With 2,048 rows a merge of 16 files
	// takes a tenth longer, with 32,768 as long.
	DefaultMergeBatchRows = 8192
	// mergeRecordRows are the rows of a record that a merge makes.
	mergeRecordRows = 8192
	// mergeRecordText ends a record of fewer rows.
	mergeRecordText = 4 << 20
)

// Merger is a merge of files that are open and verified. It is for one goroutine at a time.
type Merger struct {
	spec    MergeSpec
	inputs  []*mergeInput
	columns []schema.Column
	// rowsBefore are rows of the inputs before the range at hand.
	rowsBefore uint64
}

// mergeInput is an input that is open.
type mergeInput struct {
	MergeInput
	r *Reader
}

// OpenMerge opens the inputs and compares every byte of them with their checksums. The
// errors are those of Verify, a *ChunkError, and that of ctx. Close the result.
func OpenMerge(ctx context.Context, spec MergeSpec) (m *Merger, err error) {
	if spec.BatchRows == 0 {
		spec.BatchRows = DefaultMergeBatchRows
	}
	m = &Merger{spec: spec}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	for _, in := range spec.Inputs {
		r, err := openVerified(ctx, spec, in)
		if err != nil {
			return m, err
		}
		m.inputs = append(m.inputs, &mergeInput{in, r})
	}
	return m, m.chooseColumns()
}

// openVerified reads through the same open file that was verified.
func openVerified(ctx context.Context, spec MergeSpec, in MergeInput) (*Reader, error) {
	src, err := openSource(spec.FS, in.Path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: in.Path, source: src, batchRows: spec.BatchRows}
	if err := r.verifyAll(ctx, in.File, spec.Pace); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	if err := r.readFooter(); err != nil {
		return nil, errors.Join(r.diagnose(err), src.Close())
	}
	if err := compare(r, in.File); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return r, nil
}

func (r *Reader) verifyAll(ctx context.Context, want *schema.File, pace func(int64) error) error {
	if have := uint64(r.source.Size()); have != want.Bytes {
		return mismatch(r.path, "size", want.Bytes, have)
	}
	if pace != nil {
		if err := pace(0); err != nil {
			return err
		}
	}
	all := []schema.ColumnID{0}
	for _, c := range want.Columns {
		all = append(all, c.Column)
	}
	_, err := VerifyColumns(ctx, r.source, r.path, want, all)
	return err
}

// chooseColumns finds the columns of the result: all tags of the inputs, and the fields
// that have a value in one of them.
func (m *Merger) chooseColumns() error {
	has := make(map[schema.ColumnID]bool)
	for _, in := range m.inputs {
		stats := make(map[schema.ColumnID]schema.ColumnStats, len(in.File.Columns))
		for _, s := range in.File.Columns {
			stats[s.Column] = s
		}
		for _, c := range in.r.Columns() {
			i := slices.IndexFunc(m.spec.Columns, func(t schema.Column) bool { return t.ID == c.ID })
			if i < 0 || m.spec.Columns[i].Type != c.Type {
				return mismatch(in.Path, "column", "one of the table", fmt.Sprintf("%q with id %d", c.Name, c.ID))
			}
			if c.Type == schema.Tag || stats[c.ID].Nulls < in.File.Rows {
				has[c.ID] = true
			}
		}
	}
	for _, c := range m.spec.Columns {
		if has[c.ID] {
			m.columns = append(m.columns, c)
		}
	}
	return nil
}

// Columns returns the columns of the result, in id order: all tags of the inputs, and the
// fields that have a value in one of them.
func (m *Merger) Columns() []schema.Column { return m.columns }

// Close closes the inputs.
func (m *Merger) Close() error {
	var errs []error
	for _, in := range m.inputs {
		errs = append(errs, in.r.Close())
	}
	m.inputs = nil
	return errors.Join(errs...)
}

// Records yields the points whose times lie in a range, in the order in which Write takes
// them and in the layout of Columns. It may be called again, for another range. The errors
// are those of reading, a *CorruptError, and that of MergeSpec.Pace.
func (m *Merger) Records(within schema.TimeRange) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		m.rowsBefore = 0
		run := newMergeRun(m, within)
		defer run.close()
		if err := run.merge(yield); err != nil && !errors.Is(err, errMergeEnded) {
			yield(nil, err)
		}
	}
}

// RowsBefore returns how many rows of the inputs lie before the range whose records were yielded last, to their end.
func (m *Merger) RowsBefore() uint64 { return m.rowsBefore }

// errMergeEnded: nobody wants another record.
var errMergeEnded = errors.New("persist: the merge has been ended")

// mergeRun is one pass over the inputs.
type mergeRun struct {
	m       *Merger
	tags    []*mergedTag
	tagAt   map[string]int // the places of tags in tags, by name
	cursors []*mergeCursor // all of them, in the order of the inputs
	heap    []*mergeCursor // those that have a row, the least in front
	equal   []*mergeCursor // that have the point at hand
	point   []version      // their rows
	out     *mergeRecord
	latest  *latestRow // nil where all rows count
	within  schema.TimeRange
	yield   func(arrow.RecordBatch, error) bool
}

func newMergeRun(m *Merger, within schema.TimeRange) *mergeRun {
	run := &mergeRun{m: m, within: within, tagAt: make(map[string]int)}
	tags, _ := split(m.columns)
	for i, c := range tags {
		run.tags, run.tagAt[c.Name] = append(run.tags, newMergedTag()), i
	}
	run.out = newMergeRecord(m.columns, run.tags)
	run.latest = newLatestRow(m.spec.Latest, m.columns)
	for rank, in := range m.inputs {
		run.cursors = append(run.cursors, newMergeCursor(run, in, rank))
	}
	return run
}

func (run *mergeRun) close() {
	for _, c := range run.cursors {
		c.stop()
	}
}

// merge makes all records.
func (run *mergeRun) merge(yield func(arrow.RecordBatch, error) bool) error {
	run.yield = yield
	for _, c := range run.cursors {
		more, err := c.settle()
		if err != nil {
			return err
		}
		if more {
			run.push(c)
		}
	}
	for len(run.heap) > 0 {
		if err := run.step(); err != nil {
			return err
		}
	}
	if err := run.letGo(); err != nil {
		return err
	}
	return run.emit()
}

// step takes the next stretch of rows, or the next point that several inputs have.
func (run *mergeRun) step() error {
	least := run.heap[0]
	next := run.second()
	order := -1
	if next != nil {
		order = least.compare(next)
	}
	if order == 0 {
		return run.takePoint()
	}
	end := least.stretch(next)
	if err := run.take(least, end); err != nil {
		return err
	}
	return run.moved(least)
}

// take notes rows of one cursor, up to end, all of them of one series.
func (run *mergeRun) take(c *mergeCursor, end int) error {
	if run.latest != nil {
		c.at = end - 1
		err := run.hold([]*mergeCursor{c})
		c.at = end
		return err
	}
	for c.at < end {
		c.at = run.out.add(c.batch, c.at, end)
		if run.out.isFull() {
			if err := run.emit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// takePoint makes one row of a point that several cursors are at.
func (run *mergeRun) takePoint() error {
	run.equal = run.equal[:0]
	for len(run.heap) > 0 && (len(run.equal) == 0 || run.equal[0].compare(run.heap[0]) == 0) {
		run.equal = append(run.equal, run.heap[0]) // in the order of the inputs
		run.pop()
	}
	if err := run.takeEqual(); err != nil {
		return err
	}
	for _, c := range run.equal {
		c.at++
		more, err := c.settle()
		if err != nil {
			return err
		}
		if more {
			run.push(c)
		}
	}
	if run.out.isFull() {
		return run.emit()
	}
	return nil
}

// takeEqual notes the point that several cursors are at.
func (run *mergeRun) takeEqual() error {
	if run.latest != nil {
		return run.hold(run.equal)
	}
	run.point = run.point[:0]
	for _, c := range run.equal {
		run.point = append(run.point, version{c.batch, c.at})
	}
	run.out.addPoint(run.point)
	return nil
}

// moved puts the foremost cursor, which has moved on, where it belongs.
func (run *mergeRun) moved(c *mergeCursor) error {
	more, err := c.settle()
	switch {
	case err != nil:
		return err
	case more:
		run.down(0)
	default:
		run.pop()
	}
	return nil
}

// emit yields what has been collected, and renews the dictionaries where they have grown
// too large.
func (run *mergeRun) emit() error {
	if run.out.rows > 0 {
		rec := run.out.record()
		more := run.yield(rec, nil)
		rec.Release()
		if !more {
			return errMergeEnded
		}
	}
	for i, tag := range run.tags {
		if tag.isLarge() {
			tag.reset()
			for _, c := range run.cursors {
				c.forget(i)
			}
			run.latest.forget(i)
		}
	}
	return nil
}

// The heap. Its order is that of points, and of the inputs where points are the same.

func (run *mergeRun) less(i, j int) bool {
	order := run.heap[i].compare(run.heap[j])
	return order < 0 || order == 0 && run.heap[i].rank < run.heap[j].rank
}

// second returns the cursor behind the least, nil if there is none.
func (run *mergeRun) second() *mergeCursor {
	switch {
	case len(run.heap) < 2:
		return nil
	case len(run.heap) == 2 || run.less(1, 2):
		return run.heap[1]
	}
	return run.heap[2]
}

func (run *mergeRun) push(c *mergeCursor) {
	run.heap = append(run.heap, c)
	for i := len(run.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !run.less(i, parent) {
			return
		}
		run.heap[i], run.heap[parent] = run.heap[parent], run.heap[i]
		i = parent
	}
}

func (run *mergeRun) pop() {
	last := len(run.heap) - 1
	run.heap[0] = run.heap[last]
	run.heap[last] = nil
	run.heap = run.heap[:last]
	run.down(0)
}

func (run *mergeRun) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(run.heap); child++ {
			if run.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		run.heap[i], run.heap[least] = run.heap[least], run.heap[i]
		i = least
	}
}
