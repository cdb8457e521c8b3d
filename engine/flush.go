package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// flusher persists buffers: every Gen1Duration, under memory pressure, when asked,
// and at the end.
type flusher struct {
	e       *Engine
	mu      sync.Mutex // one flush at a time
	kicked  chan struct{}
	quit    chan struct{}
	stopped sync.WaitGroup
	// doubt is what a commit was to make visible whose outcome is unknown; guarded by mu.
	doubt *inDoubt
	// deletions are the notes of them that are on disk; guarded by mu.
	deletions []*deletionNote
	all       chan struct{} // asks for a flush of everything
}

// flushMode says which buffers a flush takes.
type flushMode uint8

const (
	flushAll flushMode = iota
	// flushLargest takes the largest until memory is no longer tight, so that many
	// small tables do not become many small files each time a large one fills up.
	flushLargest
)

func newFlusher(e *Engine) *flusher {
	return &flusher{e: e, kicked: make(chan struct{}, 1), all: make(chan struct{}, 1), quit: make(chan struct{})}
}

// kickAll asks for a flush of everything, soon.
func (f *flusher) kickAll() {
	select {
	case f.all <- struct{}{}:
	default:
	}
}

// kick asks for a flush under memory pressure, soon.
func (f *flusher) kick() {
	select {
	case f.kicked <- struct{}{}:
	default:
	}
}

func (f *flusher) start() {
	f.stopped.Add(1)
	go f.run()
}

func (f *flusher) stop() {
	close(f.quit)
	f.stopped.Wait()
}

func (f *flusher) run() {
	defer f.stopped.Done()
	var tick <-chan time.Time
	if d := f.e.opts.Gen1Duration; d > 0 {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		tick = ticker.C
	}
	purge := time.NewTicker(purgeInterval)
	defer purge.Stop()
	for {
		f.e.removeDue()
		mode := flushAll
		select {
		case <-f.quit:
			return
		case <-purge.C:
			continue
		case <-tick:
		case <-f.all:
		case <-f.kicked:
			mode = flushLargest
		}
		err := f.flush(context.Background(), mode)
		f.e.healer.flushed(err)
		if err != nil {
			f.e.opts.Logger.Error("persisting the buffers failed; their rows stay in memory and in the log, the next flush tries again", "error", err)
		}
	}
}

// flush persists buffers and trims the log. Rows whose flush fails stay buffered.
func (f *flusher) flush(ctx context.Context, mode flushMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.e.catalog.Err(); err != nil {
		return err // nothing could be committed
	}
	begin := time.Now()
	units := f.e.plan()
	if mode == flushLargest {
		units = f.e.largest(units)
	}
	for _, u := range units {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.e.persist(u); err != nil {
			f.e.metrics.flushErrors.Inc()
			return fmt.Errorf("persisting table %d, %s to %s: %w", u.table.id, u.first, u.last, err)
		}
	}
	if err := f.e.advance(); err != nil {
		return err
	}
	f.e.retireDeletions()
	if err := f.e.trimRejected(); err != nil {
		return err
	}
	if len(units) > 0 {
		f.e.metrics.flushSeconds.Observe(time.Since(begin).Seconds())
		f.e.compactor.kick()
		f.e.rollups.kick()
	}
	return nil
}

// unit is what becomes one file: the buffers of consecutive days of a table. Sparse
// days are taken together, so that three years of one daily value are one file.
type unit struct {
	table       *table
	first, last schema.Day
	rows        int
	bytes       int64
	isSparse    bool // every day has few rows
}

// unitRows ends a unit: a file of a million rows is large enough to be read
// efficiently, and small enough to be rewritten.
const unitRows = 1 << 20

// sparseDayRows is up to how many rows a day shares a file with another one that does not follow it. A file
// lies in the way of all that its range of time covers: of history that comes in any order
// one file would overlap with all others.
const sparseDayRows = 2048

// plan cuts everything that is buffered into units.
func (e *Engine) plan() []unit {
	var units []unit
	for _, t := range e.tables.all() {
		units = append(units, planTable(t)...)
	}
	return units
}

func planTable(t *table) []unit {
	var units []unit
	for _, d := range t.days() {
		n := len(units)
		isSparse := d.rows <= sparseDayRows
		if n == 0 || !units[n-1].takes(d.day, d.rows, isSparse) {
			units = append(units, unit{table: t, first: d.day, isSparse: true})
			n++
		}
		u := &units[n-1]
		u.last = d.day
		u.isSparse = u.isSparse && isSparse
		u.rows += d.rows
		u.bytes += d.bytes
	}
	return units
}

// takes reports whether a later day, or another buffer of the last one, goes into the unit.
func (u *unit) takes(day schema.Day, rows int, isSparse bool) bool {
	if u.last == day {
		return true
	}
	return u.rows+rows <= unitRows && (u.last+1 == day || u.isSparse && isSparse)
}

// largest keeps the units that must go to bring memory to half of where pressure begins.
func (e *Engine) largest(units []unit) []unit {
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(b.bytes, a.bytes) })
	excess := e.buffers.used.Load() - e.buffers.limit/100*pressurePercent/2
	for i, u := range units {
		if excess <= 0 {
			return units[:i]
		}
		excess -= u.bytes
	}
	return units
}

// persist writes a unit's rows to files and swaps them for the buffers.
func (e *Engine) persist(u unit) error {
	e.applying.Lock()
	buffers := u.table.freeze(u.first, u.last)
	e.applying.Unlock()
	return e.persistFrozen(u, buffers)
}

// persistFrozen is persist for buffers of the unit that do not grow any more.
func (e *Engine) persistFrozen(u unit, buffers []*buffer) error {
	var snapshots []*partition.Snapshot
	flushed := make(map[schema.PartitionKey]schema.Seq)
	for _, b := range buffers {
		s := b.partition.Snapshot()
		snapshots = append(snapshots, s)
		flushed[s.Key] = max(flushed[s.Key], s.Seq.Max)
	}
	if len(snapshots) == 0 {
		return nil
	}
	files, err := e.writeRuns(u, snapshots)
	if err != nil {
		return err
	}
	edit := catalog.Edit{Add: files, Flushed: flushed}
	e.markFlushed(&edit, u.table.id, snapshots)
	if err := e.catalog.Commit(edit); err != nil {
		if errors.Is(err, catalog.ErrFailed) {
			e.flusher.doubt = &inDoubt{table: u.table, buffers: buffers, files: files}
		} else {
			err = errors.Join(err, e.removeFiles(files))
		}
		return fmt.Errorf("committing %d files: %w", len(files), err)
	}
	e.showRollups(edit.Rollups...)
	u.table.replace(buffers, files)
	return nil
}

// writeRuns writes snapshots to as many files as the persister's share of memory
// asks for. Later files hold later rows.
func (e *Engine) writeRuns(u unit, snapshots []*partition.Snapshot) (files []*schema.File, err error) {
	def, ok := e.catalog.Schema().TableByID(u.table.id)
	if !ok {
		return nil, fmt.Errorf("%w: table %d is not in the catalog", ErrDamaged, u.table.id)
	}
	budget := newRunBudget(e.persisting.limit, len(partition.Columns(snapshots)))
	defer func() {
		if err != nil {
			err = errors.Join(err, e.removeFiles(files))
			files = nil
		}
	}()
	for _, run := range splitRuns(snapshots, budget.rows) {
		held := budget.bytes(run)
		e.persisting.add(held)
		file, err := e.writeRun(def, run, budget, 0)
		e.persisting.release(held)
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

// runBudget bounds the memory of writing one file: sorting needs 16 bytes a row, a row
// group is held twice while it is encoded, and its strings up to eight times, as tag
// values: in the record, the column, the encoder's dictionary, its page, each with room to grow. What the footer
// says of each column of each row group is held until the end.
type runBudget struct {
	rows, rowGroup, columns int
	text                    int // bytes of strings in a row group
}

const (
	sortBytesPerRow    = 16
	encodeBytesPerCell = 24
	copiesOfText       = 8
	footerBytesPerCell = 300 // a column of a row group
	minRowGroupRows    = 512
	minRowGroupText    = 1 << 20
)

func newRunBudget(bytes int64, columns int) runBudget {
	rowGroup := bytes / 2 / int64(encodeBytesPerCell*(columns+1))
	rowGroup = min(max(rowGroup, minRowGroupRows), persist.DefaultRowGroupRows)
	groups := bytes / 4 / int64(footerBytesPerCell*(columns+1))
	rows := min(bytes/2/sortBytesPerRow, rowGroup*max(groups, 1))
	return runBudget{
		rows: int(max(rows, minRowGroupRows)), rowGroup: int(rowGroup), columns: columns,
		text: int(min(max(bytes/copiesOfText/2, minRowGroupText), persist.DefaultRowGroupBytes)),
	}
}

// bytes estimates what writing a run takes.
func (b runBudget) bytes(run []*partition.Snapshot) int64 {
	rows := 0
	for _, s := range run {
		rows += s.Rows
	}
	return int64(rows)*sortBytesPerRow + int64(min(rows, b.rowGroup)*(b.columns+1))*encodeBytesPerCell + copiesOfText*int64(b.text)
}

// splitRuns cuts snapshots into runs of at most rows rows each, as far as chunks allow.
func splitRuns(snapshots []*partition.Snapshot, rows int) [][]*partition.Snapshot {
	var runs [][]*partition.Snapshot
	filled := rows
	for _, s := range snapshots {
		for _, piece := range s.Runs(rows) {
			if filled+piece.Rows > rows {
				runs = append(runs, nil)
				filled = 0
			}
			runs[len(runs)-1] = append(runs[len(runs)-1], piece)
			filled += piece.Rows
		}
	}
	return runs
}

// writeRun writes one file, which nothing refers to yet. Its place among the files of the
// table is order; 0 puts it behind them all.
func (e *Engine) writeRun(def *schema.Table, run []*partition.Snapshot, budget runBudget, order uint64) (*schema.File, error) {
	present := partition.Columns(run)
	columns := slices.DeleteFunc(slices.Clone(def.Columns), func(c schema.Column) bool { return !present[c.ID] })
	var seq schema.SeqRange
	for _, s := range run {
		seq = seq.Include(s.Seq.Min).Include(s.Seq.Max)
	}
	records := partition.Sorted(run, columns, persist.ArrowSchema(columns), budget.rowGroup, budget.text)
	return e.writeFile(newFile{def, columns, order, seq, budget}, withoutErrors(records))
}

// newFile is what a file that is to be written says of itself, beside its rows.
type newFile struct {
	def     *schema.Table
	columns []schema.Column // that it has
	order   uint64          // its place among the files of the table; 0 for the last
	seq     schema.SeqRange // of the records of the log that its rows are from
	budget  runBudget
}

// writeFile writes and syncs a file, which nothing refers to yet. The error of records is returned as it is, and
// persist.ErrNoRows if there are none.
func (e *Engine) writeFile(n newFile, records iter.Seq2[arrow.RecordBatch, error]) (*schema.File, error) {
	def, id := n.def, e.catalog.AllocateFileID()
	order := cmp.Or(n.order, uint64(id))
	file, err := persist.Write(persist.Spec{
		FS: e.opts.FS, Dir: e.path(tableDir(def.Database, def.ID)), Name: fileName(id),
		Database: e.catalog.Schema().DatabaseName(def.Database), Table: def.Name, Columns: n.columns,
		RowGroupRows: n.budget.rowGroup, RowGroupBytes: n.budget.text, Origin: n.origin(order),
	}, records)
	if err != nil {
		return nil, err
	}
	file.ID, file.Order, file.Database, file.Table, file.Seq = id, order, def.Database, def.ID, n.seq
	file.DayMin, file.DayMax = schema.DayOf(file.Time.Min), schema.DayOf(file.Time.Max)
	return &file, nil
}

// origin is what remains known of the file, should the catalog be lost.
func (n newFile) origin(order uint64) persist.Origin {
	o := persist.Origin{Order: order, Rule: n.def.Key.Rule, Seq: n.seq}
	if tag, ok := n.def.Column(n.def.Key.Tag); ok {
		o.Tag = tag.ID
	}
	present := make(map[schema.ColumnID]bool, len(n.columns)) // of which there may be ten thousand
	for _, c := range n.columns {
		present[c.ID] = true
	}
	for _, c := range n.def.Columns {
		if !present[c.ID] {
			o.Absent = append(o.Absent, c)
		}
	}
	return o
}

// withoutErrors releases each record when it has been taken.
func withoutErrors(records iter.Seq[arrow.RecordBatch]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for r := range records {
			more := yield(r, nil)
			r.Release()
			if !more {
				return
			}
		}
	}
}

// removeFiles takes back files that were not committed. What cannot be removed now is
// removed at the next start.
func (e *Engine) removeFiles(files []*schema.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, e.opts.FS.Remove(e.path(filePath(f))))
	}
	return errors.Join(errs...)
}

// advance moves the catalog's position to the last record that no buffer needs any
// more, and trims the log behind it.
//
// applied is read first: a row of a record up to it is in a buffer or a file by now,
// and if it is in a buffer, that buffer holds the position back.
func (e *Engine) advance() error {
	position := schema.Seq(e.applied.Load())
	for _, t := range e.tables.all() {
		if oldest, ok := t.oldestBuffered(); ok {
			position = min(position, oldest-1)
		}
	}
	if position > e.catalog.Position() {
		if err := e.catalog.Commit(catalog.Edit{Position: position}); err != nil {
			return fmt.Errorf("moving the flushed position: %w", err)
		}
	}
	if e.log == nil { // in the middle of a replay
		return nil
	}
	if err := e.log.Trim(e.catalog.Position()); err != nil {
		return fmt.Errorf("trimming the log: %w", err)
	}
	return nil
}
