package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Compaction
//
// The compactor merges files of a table into fewer that do not overlap; which ones is in
// compact_policy.go. It reads files that no query loses meanwhile, since it has the table
// pinned as a view has, and writes others, without any lock, at no more than a rate. It waits
// while buffers are nearly full and while the disk is. Then, with flusher.mu held, so that
// nothing else changes the files, one commit of the catalog removes the inputs and adds their
// merge, and the table swaps them under the lock under which views are made. Before the
// commit the new files are durable under their names. The inputs go when the last view that
// may read them ends; a start removes what a crash has left of either.
//
// A row that is written or flushed meanwhile is later than all of the inputs, and stays in
// front of their merge, which has the greatest Order of them. If an input is gone when the merge
// is to be committed, because its table was purged or rejected points were trimmed, or if rows that it
// left out are kept again, as a longer period was set, the merge is thrown away.

const (
	// coldAfter is how long no file may be added to a day that is written as a whole.
	coldAfter = time.Hour
	// oldAfter is how long a small file may overlap with one that is much larger.
	oldAfter = 24 * time.Hour
	// compactInterval is how often the compactor looks, if no flush tells it to.
	compactInterval = time.Minute
	// compactPause is how long a merge waits before it looks again whether it may go on.
	compactPause = 100 * time.Millisecond
	// restStep is how often a merge that rests looks whether queries still run.
	restStep = 5 * time.Millisecond
	// keptCompactions is how many of the last merges are remembered.
	keptCompactions = 1000
	// mergeShare is the part of the persisters' memory that is for reading; the rest is
	// for writing.
	mergeShare = 2
)

// compactor merges files, one merge at a time.
type compactor struct {
	e       *Engine
	merging sync.Mutex // held during a merge
	kicked  chan struct{}
	ctx     context.Context // ends with the engine
	cancel  context.CancelFunc
	stopped sync.WaitGroup
	begin   time.Duration // of the engine, by Options.Elapsed

	mu struct {
		sync.Mutex
		asked   []CompactOptions // to be done without anybody waiting
		marks   []coldMark       // ascending
		refused map[schema.FileID]bool
		last    []Compaction // the newest last
		running *merging     // nil while there is none
	}
}

// coldMark says that the files up to an Order were there at a time.
type coldMark struct {
	at    time.Duration
	order uint64
}

// errOutdated: a file was removed while it was merged, or is to keep more of its rows. Nothing has failed.
var errOutdated = errors.New("a file was removed, or a longer retention period was set, while it was merged")

func newCompactor(e *Engine) *compactor {
	c := &compactor{e: e, kicked: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.refused = make(map[schema.FileID]bool)
	return c
}

func (c *compactor) kick() { send(c.kicked) }

func (c *compactor) start() {
	c.begin = c.e.opts.Elapsed()
	c.mark(c.begin - oldAfter)
	c.stopped.Add(1)
	go c.run()
}

func (c *compactor) stop() {
	c.cancel()
	c.stopped.Wait()
	c.merging.Lock() // what somebody waits for ends too
	defer c.merging.Unlock()
}

func (c *compactor) run() {
	defer c.stopped.Done()
	var tick <-chan time.Time
	if c.e.opts.Compaction {
		ticker := time.NewTicker(compactInterval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.kicked:
		case <-tick:
		}
		for _, asked := range c.takeAsked() {
			if _, err := c.e.Compact(c.ctx, asked); err != nil && c.ctx.Err() == nil {
				c.e.opts.Logger.Error("the compaction that was asked for failed", "database", asked.Database, "table", asked.Table, "error", err)
			}
		}
		if c.e.opts.Compaction {
			c.mark(c.e.opts.Elapsed())
			c.sweep()
		}
	}
}

func (c *compactor) takeAsked() []CompactOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.mu.asked
	c.mu.asked = nil
	return asked
}

// sweep merges what the policy finds in any table, until it finds nothing.
func (c *compactor) sweep() {
	for _, d := range c.e.catalog.Schema().Databases() {
		for _, def := range d.Tables() {
			err := c.compactTable(c.ctx, def, compactRun{rests: c.rests, maySweep: c.isSettled}, func(Compaction) {})
			if err != nil && c.ctx.Err() == nil {
				c.e.opts.Logger.Error("compacting a table failed; its files stay as they are, and it is tried again in a minute",
					"database", d.Name, "table", def.Name, "error", err)
			}
		}
	}
}

// mark notes which files are there at a time.
func (c *compactor) mark(at time.Duration) {
	order := uint64(0)
	for _, f := range c.e.catalog.Files() {
		order = max(order, f.Order)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.mu.marks); n > 0 && at-c.mu.marks[n-1].at < compactInterval {
		return
	}
	c.mu.marks = append(c.mu.marks, coldMark{at, order})
	for len(c.mu.marks) > 1 && at-c.mu.marks[1].at >= oldAfter {
		c.mu.marks = c.mu.marks[1:]
	}
}

// resting tells how long files have been there.
type resting func(f *schema.File, d time.Duration) bool

// forEver is what is said to one who does not want to wait.
func forEver(*schema.File, time.Duration) bool { return true }

// rests reports whether a file has been there for some time, oldAfter at most. Nobody knows that of those that
// were there at the start: those of today are taken for young.
func (c *compactor) rests(f *schema.File, d time.Duration) bool {
	now := c.e.opts.Elapsed()
	if now-c.begin < d && f.DayMax >= schema.DayOf(c.e.opts.Now().UnixNano()) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _ := slices.BinarySearchFunc(c.mu.marks, now-d, func(m coldMark, at time.Duration) int {
		if m.at <= at {
			return -1
		}
		return 1
	})
	return n > 0 && f.Order <= c.mu.marks[n-1].order
}

// compactRun says how files are merged: by the background, or because somebody asked.
type compactRun struct {
	rests    resting
	maySweep sweepRule
	progress func(Compaction) // nil: nobody wants to know
}

// compactTable merges files of a table until the policy finds nothing more to do.
func (c *compactor) compactTable(ctx context.Context, def *schema.Table, how compactRun, done func(Compaction)) error {
	t := c.e.tables.find(def.ID)
	if t == nil || c.e.catalog.Schema().DatabaseName(def.Database) == InternalDatabase {
		return nil // rejected points are trimmed by files
	}
	for {
		if err := c.wait(ctx); err != nil {
			return err
		}
		compaction, more, err := c.compactOnce(ctx, t, def, how)
		if !more || err != nil {
			return err
		}
		done(compaction)
	}
}

// compactOnce makes the next merge of a table; more is false if there is none.
func (c *compactor) compactOnce(ctx context.Context, t *table, def *schema.Table, how compactRun) (done Compaction, more bool, err error) {
	c.merging.Lock()
	defer c.merging.Unlock()
	files, tombstones, held := t.pinFiles()
	defer func() { c.e.removeDoomed(t.unpin(held)) }()
	now, ok := c.e.catalog.Schema().TableByID(def.ID) // which has the columns of all files
	if !ok || now.Deleted != nil || c.ctx.Err() != nil {
		return done, false, c.ctx.Err()
	}
	if err := c.exhume(t); err != nil {
		return done, false, err
	}
	p := c.policy(how.rests)
	p.expiry = c.e.expiryNow(now, t)
	p.hasDeleted = func(f *schema.File) bool { return how.maySweep(tombstones) && len(hiding(now, f, tombstones)) > 0 }
	chosen := p.choose(files)
	if chosen == nil || !c.hasSpace(chosen) {
		return done, false, nil
	}
	m := &merging{
		c: c, table: t, def: now, chosen: chosen, tombstones: tombstones, latest: c.e.latestOf(now, t, chosen.inputs),
		begin: c.e.opts.Now(), told: how.progress,
	}
	c.show(m)
	err = m.run(ctx)
	c.show(nil)
	done = m.summary(err)
	c.note(&done)
	if errors.Is(err, errOutdated) {
		return done, true, nil // what is there now is another choice
	}
	if err != nil {
		return done, false, c.judge(chosen, err)
	}
	return done, true, nil
}

// policy is the policy of now, but for what depends on the table.
func (c *compactor) policy(rests resting) *policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &policy{
		rests: rests, flushed: c.e.catalog.Position(), refused: maps.Clone(c.mu.refused),
		fits: func(inputs []*schema.File) bool {
			return inputBytes(inputs, minMergeBatchRows) <= c.e.persisting.limit/mergeShare
		},
	}
}

// hasSpace reports whether the disk has room for a merge, besides what writes leave free.
func (c *compactor) hasSpace(chosen *compaction) bool {
	free := c.e.space.free.Load()
	return free == 0 || free-chosen.bytes() >= c.e.space.reserve.Load()
}

func (c *compaction) bytes() int64 { return int64(sizeOf(c.inputs)) }

// What an input takes: a row group as it lies on disk and the pages that are being decoded,
// and two batches of rows, with their strings.
const (
	expansionOfGroup = 6
	batchesOfInput   = 2
	expansionOfText  = 16
)

// minMergeBatchRows is how many rows of an input are held at once where memory is small: to merge fewer files at once, and
// so each row more often, costs more than a tenth.
const minMergeBatchRows = persist.DefaultMergeBatchRows / 4

// batchRows returns how many rows of each input of a merge there is memory for.
func (c *compactor) batchRows(inputs []*schema.File) int64 {
	rows := int64(persist.DefaultMergeBatchRows)
	for rows > minMergeBatchRows && inputBytes(inputs, rows) > c.e.persisting.limit/mergeShare {
		rows /= 2
	}
	return rows
}

// inputBytes estimates the memory of reading the inputs of a merge in batches of some rows.
func inputBytes(inputs []*schema.File, batchRows int64) int64 {
	total := int64(0)
	for _, f := range inputs {
		rows := int64(max(f.Rows, 1))
		group := int64(f.Bytes) * min(rows, persist.DefaultRowGroupRows) / rows
		batch := min(rows, batchRows)
		text := min(int64(f.Bytes)*expansionOfText/rows*batch, persist.DefaultRowGroupBytes)
		total += group*expansionOfGroup + batchesOfInput*(batch*int64(len(f.Columns)+1)*encodeBytesPerCell+text)
	}
	return total
}

// judge decides what follows from an error: a file that is damaged is not tried again.
func (c *compactor) judge(chosen *compaction, err error) error {
	path := damagedPath(err)
	if path == "" {
		return c.e.noSpace(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range chosen.inputs {
		if c.e.path(filePath(f)) == path {
			c.mu.refused[f.ID] = true
		}
	}
	c.e.metrics.fileFaults.Inc()
	return fmt.Errorf("%w: %w; it is left out of compactions; `siltstone check` looks for more", ErrDamaged, err)
}

// damagedPath returns the file that an error of a merge says is damaged, "" for others.
func damagedPath(err error) string {
	var chunk *persist.ChunkError
	var mismatch *persist.MismatchError
	var corrupt *persist.CorruptError
	switch {
	case errors.As(err, &chunk):
		return chunk.Path
	case errors.As(err, &mismatch):
		return mismatch.Path
	case errors.As(err, &corrupt):
		return corrupt.Path
	}
	return ""
}

// wait returns when a merge may begin or go on: not while writes need the memory or the disk.
func (c *compactor) wait(ctx context.Context) error {
	for {
		if err := errors.Join(ctx.Err(), c.ctx.Err()); err != nil {
			return err
		}
		if !c.e.buffers.isUnderPressure() && !c.e.space.isLow.Load() {
			return nil
		}
		if err := sleep(ctx, compactPause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// merging is a merge under way.
type merging struct {
	c      *compactor
	table  *table
	def    *schema.Table
	chosen *compaction
	files  []*schema.File // that it made

	tombstones []*schema.Tombstone  // of the table, by Order
	latest     *persist.MergeLatest // nil where all rows count

	begin time.Time
	paced time.Time
	// expired are rows of the inputs that were left out because they have expired.
	expired uint64
	done    atomic.Uint64 // rows that were merged
	told    func(Compaction)
}

// run writes the files and commits them in the place of the inputs.
func (m *merging) run(ctx context.Context) error {
	e := m.c.e
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(m.c.ctx, cancel)()
	defer cancel()
	batch := m.c.batchRows(m.chosen.inputs)
	held := min(inputBytes(m.chosen.inputs, batch), e.persisting.limit/mergeShare) + e.persisting.limit/mergeShare
	if err := e.persisting.await(ctx, held); err != nil {
		return err
	}
	defer e.persisting.release(held)
	err := m.write(ctx, int(batch))
	if err == nil {
		err = m.commit()
	} else {
		err = errors.Join(err, e.removeFiles(m.files))
	}
	return err
}

// write writes the files. Nothing refers to them yet.
func (m *merging) write(ctx context.Context, batchRows int) (err error) {
	spec := persist.MergeSpec{
		FS: m.c.e.opts.FS, Columns: m.def.Columns, Latest: m.latest, BatchRows: batchRows,
		Pace: func(n int64) error { return m.pace(ctx, n) },
	}
	for _, f := range m.chosen.inputs {
		spec.Inputs = append(spec.Inputs, persist.MergeInput{Path: m.c.e.path(filePath(f)), File: f, Drop: hiding(m.def, f, m.tombstones)})
	}
	merger, err := persist.OpenMerge(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, merger.Close()) }()
	for i, piece := range m.chosen.pieces {
		if err := m.writePiece(ctx, merger, piece); err != nil && !errors.Is(err, persist.ErrNoRows) {
			return err
		}
		if i == 0 && m.chosen.before > math.MinInt64 { // it begins there
			m.expired = merger.RowsBefore()
		}
	}
	return nil
}

// writePiece writes one file. It takes the last of the inputs' places.
func (m *merging) writePiece(ctx context.Context, merger *persist.Merger, within schema.TimeRange) error {
	e, inputs := m.c.e, m.chosen.inputs
	seq := inputs[0].Seq
	for _, f := range inputs {
		seq = schema.SeqRange{Min: min(seq.Min, f.Seq.Min), Max: max(seq.Max, f.Seq.Max)}
	}
	budget := newRunBudget(e.persisting.limit/mergeShare, len(merger.Columns()))
	file, err := e.writeFile(newFile{m.def, merger.Columns(), inputs[len(inputs)-1].Order, seq, budget}, m.giveWay(ctx, merger.Records(within)))
	if err != nil {
		return err
	}
	if n := len(m.tombstones); n > 0 {
		file.Swept = m.tombstones[n-1].Order
	}
	if len(inputs) == 1 && file.Seq.Max > e.catalog.Position() { // days that have no rows left may be flushed further than the others
		file.DayMin, file.DayMax = inputs[0].DayMin, inputs[0].DayMax
	}
	m.files = append(m.files, file)
	return nil
}

// giveWay passes on the records of a merge. While queries run it rests for as long as each of them took: what
// a merge needs most is a processor, and the rate does not bound that.
func (m *merging) giveWay(ctx context.Context, records iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		begin := time.Now()
		for record, err := range records {
			if !yield(record, err) {
				return
			}
			if err == nil {
				m.advance(uint64(record.NumRows()))
			}
			took := time.Since(begin)
			for rested := time.Duration(0); rested < took && m.c.e.reading.Load() > 0; rested += restStep {
				if sleep(ctx, restStep) != nil {
					break // the records end with the context, too
				}
			}
			begin = time.Now()
		}
	}
}

// pace is called before bytes of the inputs are read. It keeps to the rate, and waits while
// others need what there is.
func (m *merging) pace(ctx context.Context, n int64) error {
	if err := m.c.wait(ctx); err != nil {
		return err
	}
	rate := m.c.e.opts.CompactionBandwidth
	if rate <= 0 {
		return nil
	}
	now := time.Now()
	if m.paced.Before(now) {
		m.paced = now
	}
	wait := m.paced.Sub(now)
	m.paced = m.paced.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	if wait < compactPause {
		return nil
	}
	return sleep(ctx, wait)
}

// commit puts the files in the place of the inputs. After an error that leaves the outcome
// open they stay, and healing, or the next start, finds out.
func (m *merging) commit() error {
	e := m.c.e
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	err := e.catalog.Err()
	now := m.table.allFiles()
	var ids []schema.FileID
	for _, f := range m.chosen.inputs {
		if err == nil && !slices.Contains(now, f) {
			err = errOutdated
		}
		ids = append(ids, f.ID)
	}
	if err == nil && m.chosen.before > math.MinInt64 && m.chosen.before > e.keepsRollups(m.table, e.floorNow(m.def)) {
		err = errOutdated
	}
	mayBeEmpty := len(m.tombstones) > 0 || m.chosen.before > math.MinInt64 || m.latest != nil
	if err == nil && len(m.files) == 0 && !mayBeEmpty {
		err = fmt.Errorf("%w: the merge of %d files has no rows", ErrDamaged, len(ids))
	}
	if err != nil {
		return errors.Join(err, e.removeFiles(m.files))
	}
	needless := m.needless(now)
	edit := catalog.Edit{Add: m.files, Remove: ids, Exhume: needless}
	if m.chosen.before > math.MinInt64 {
		e.freezeRollups(&edit, m.def.ID, m.chosen.before-1)
	}
	if err := e.catalog.Commit(edit); err != nil {
		if errors.Is(err, catalog.ErrFailed) {
			e.flusher.doubt = &inDoubt{
				table: m.table, merged: m.chosen.inputs, files: m.files, needless: needless, removed: ids[0], before: m.chosen.before,
			}
		} else {
			err = errors.Join(err, e.removeFiles(m.files))
		}
		return fmt.Errorf("committing the merge of %d files: %w", len(ids), err)
	}
	e.metrics.expiredRows.Add(float64(m.expired))
	e.showRollups(edit.Rollups...)
	e.removeDoomed(m.table.replaceFiles(m.chosen.inputs, m.files, needless, m.chosen.before))
	return nil
}

// note remembers a merge and counts it.
func (c *compactor) note(done *Compaction) {
	m := c.e.metrics
	switch {
	case done.Error == "":
		m.compactions.Inc()
		m.compactedFiles.Add(float64(done.Inputs))
		m.compactedRead.Add(float64(done.InputBytes))
		m.compactedWritten.Add(float64(done.OutputBytes))
		m.compactSeconds.Observe(done.Took.Seconds())
	default:
		m.compactErrors.Inc()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.last = append(c.mu.last, *done)
	if n := len(c.mu.last) - keptCompactions; n > 0 {
		c.mu.last = slices.Delete(c.mu.last, 0, n)
	}
}

// CompactOptions say what is compacted now.
type CompactOptions struct {
	// Database is the only one; "" is all.
	Database string
	// Table is the only one of Database; "" is all.
	Table string
	// Done is called after each merge; nil is not.
	Done func(Compaction)
	// Progress is called during a merge after each some thousand rows; nil is not.
	Progress func(Compaction)
}

// CompactReport sums up what was done.
type CompactReport struct {
	Merges      int           `json:"merges"`
	InputFiles  int           `json:"input_files"`
	InputBytes  int64         `json:"input_bytes"`
	OutputFiles int           `json:"output_files"`
	OutputBytes int64         `json:"output_bytes"`
	Files       int           `json:"files"` // that the tables have now
	Took        time.Duration `json:"nanoseconds"`
}

// Compact merges files until there is nothing to merge, as if no day had been written to for
// long. Buffered rows stay where they are. A table that fails does not keep the others from
// being compacted. The errors are ErrDatabaseNotFound, *TableNotFoundError, ErrDamaged for an
// input that is not what was written, *NoSpaceError, that of ctx, and those of I/O.
func (e *Engine) Compact(ctx context.Context, opts CompactOptions) (CompactReport, error) {
	begin := time.Now()
	defs, err := e.compactable(opts)
	if err != nil {
		return CompactReport{}, err
	}
	var report CompactReport
	var errs []error
	for _, def := range defs {
		how := compactRun{rests: forEver, maySweep: rightNow, progress: opts.Progress}
		errs = append(errs, e.compactor.compactTable(ctx, def, how, func(c Compaction) {
			if c.Error != "" {
				return
			}
			report.Merges++
			report.InputFiles, report.InputBytes = report.InputFiles+c.Inputs, report.InputBytes+c.InputBytes
			report.OutputFiles, report.OutputBytes = report.OutputFiles+c.Outputs, report.OutputBytes+c.OutputBytes
			if opts.Done != nil {
				opts.Done(c)
			}
		}))
		if t := e.tables.find(def.ID); t != nil {
			report.Files += len(t.allFiles())
		}
		if ctx.Err() != nil {
			break
		}
	}
	report.Took = time.Since(begin)
	return report, errors.Join(errs...)
}

// CompactDue makes the merges that the background makes by itself and returns when none is due. It is for those
// whose clock runs faster than the machine's. A merge that fails is in Compactions.
func (e *Engine) CompactDue() {
	e.compactor.mark(e.opts.Elapsed())
	e.compactor.sweep()
}

// RequestCompaction has Compact done in the background. The errors are ErrDatabaseNotFound and
// *TableNotFoundError; others are in the log and in Compactions.
func (e *Engine) RequestCompaction(opts CompactOptions) error {
	if _, err := e.compactable(opts); err != nil {
		return err
	}
	c := e.compactor
	c.mu.Lock()
	if !slices.ContainsFunc(c.mu.asked, func(a CompactOptions) bool { return a.Database == opts.Database && a.Table == opts.Table }) {
		c.mu.asked = append(c.mu.asked, CompactOptions{Database: opts.Database, Table: opts.Table})
	}
	c.mu.Unlock()
	c.kick()
	return nil
}

// compactable returns the tables that the options name.
func (e *Engine) compactable(opts CompactOptions) ([]*schema.Table, error) {
	snapshot := e.catalog.Schema()
	if opts.Database == "" {
		var defs []*schema.Table
		for _, d := range snapshot.Databases() {
			defs = append(defs, d.Tables()...)
		}
		slices.SortFunc(defs, func(a, b *schema.Table) int { return cmp.Compare(a.ID, b.ID) })
		return defs, nil
	}
	db, ok := snapshot.Database(opts.Database)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrDatabaseNotFound, opts.Database)
	}
	if opts.Table == "" {
		return db.Tables(), nil
	}
	return tableDefs(db, []string{opts.Table})
}
