package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

const (
	// refreshRows is how many rows of the source are aggregated at once, about: what is committed stays, also
	// if the refresh is ended in the middle.
	refreshRows = 4 << 20
	// refreshGap is how far intervals of one file may lie from each other: what a file covers lies in the way.
	refreshGap = schema.NanosPerDay
	// refreshInterval is how long a refresh that failed is not tried again.
	refreshInterval = time.Minute
	// rollupPatience is how long refreshes fail at the same intervals, while the engine is open, until the source's expired
	// rows wait no longer for them: a file that cannot be read, say, must not fill the disk.
	rollupPatience = 24 * time.Hour
)

// errNoAggregator: nobody has called ServeRollups.
var errNoAggregator = errors.New("nothing here computes rollups")

// rollups refreshes rollups, one at a time.
type rollups struct {
	e       *Engine
	turn    chan struct{} // is full while something is refreshed
	kicked  chan struct{}
	ctx     context.Context // ends with the engine
	cancel  context.CancelFunc
	stopped sync.WaitGroup

	// What is refreshed since a view was made, and what was marked of it since then; guarded by flusher.mu.
	refreshing schema.TableID
	marked     []schema.StaleRange

	mu struct {
		sync.Mutex
		aggregator Aggregator
		last       map[schema.TableID]refreshed
	}
}

// refreshed says how the last refresh of a rollup ended.
type refreshed struct {
	at  time.Time
	err error
	// failing is since when the refreshes fail at the intervals from first on, by Options.Elapsed. It is nothing without err.
	failing time.Duration
	first   int64
}

func newRollups(e *Engine) *rollups {
	r := &rollups{e: e, turn: make(chan struct{}, 1), kicked: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.mu.last = make(map[schema.TableID]refreshed)
	return r
}

func (r *rollups) kick() { send(r.kicked) }

// mark notes what has become stale of a rollup while it is refreshed. The caller holds flusher.mu.
func (r *rollups) mark(id schema.TableID, ranges []schema.StaleRange) {
	if r.refreshing == id {
		r.marked = append(r.marked, ranges...)
	}
}

// stop ends refreshes and waits for them.
func (r *rollups) stop() {
	r.cancel()
	r.stopped.Wait()
	r.turn <- struct{}{} // what somebody waits for ends too
	<-r.turn
}

func (r *rollups) describe(id schema.TableID, info *RollupInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.mu.last[id]
	info.Refreshed = last.at
	if last.err != nil {
		info.Error = last.err.Error()
	}
}

// ServeRollups gives the engine what computes rollups, and begins to refresh them in the background. It is called
// once at most; without it queries compute what is stale. What it returns ends that, and waits for the Aggregator to return; Close
// does the same.
func (e *Engine) ServeRollups(a Aggregator) (stop func()) {
	r := e.rollups
	r.mu.Lock()
	r.mu.aggregator = a
	r.mu.Unlock()
	r.stopped.Add(1)
	go r.run()
	return r.stop
}

func (r *rollups) run() {
	defer r.stopped.Done()
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		r.refreshAll()
		select {
		case <-r.ctx.Done():
			return
		case <-r.kicked:
		case <-ticker.C:
		}
	}
}

// refreshAll refreshes what is stale. What failed a moment ago is left for later.
func (r *rollups) refreshAll() {
	for _, def := range r.e.catalog.Schema().Rollups(0) {
		state := r.e.catalog.RollupState(def.ID)
		isRestored := schema.IsInternalName(r.e.catalog.Schema().DatabaseName(def.Database)) // and not complete
		if state == nil || len(state.Stale) == 0 || isRestored || r.hasJustFailed(def.ID) {
			continue
		}
		err := r.refresh(r.ctx, def, func(RollupProgress) {})
		if err != nil && r.ctx.Err() == nil {
			r.e.opts.Logger.Error("refreshing a rollup failed; queries compute what is stale, and it is tried again in a minute",
				"database", r.e.catalog.Schema().DatabaseName(def.Database), "rollup", def.Name, "error", err)
		}
	}
}

func (r *rollups) hasJustFailed(id schema.TableID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.mu.last[id]
	since := r.e.opts.Now().Sub(last.at)
	return last.err != nil && since >= 0 && since < refreshInterval
}

// RefreshRollup stores what is stale, but for what is written meanwhile. progress may be nil. The errors are
// ErrDatabaseNotFound, *TableNotFoundError, ErrUnavailable, those of the Aggregator and that of ctx.
func (e *Engine) RefreshRollup(ctx context.Context, database, name string, progress func(RollupProgress)) error {
	def, err := e.Rollup(database, name)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(RollupProgress) {}
	}
	return e.catalogError(e.noSpace(e.rollups.refresh(ctx, def, progress)))
}

// refresh computes what is stale of a rollup, piece by piece.
func (r *rollups) refresh(ctx context.Context, def *schema.Table, progress func(RollupProgress)) error {
	if err := r.begins(ctx); err != nil {
		return err
	}
	defer r.ends()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	r.mu.Lock()
	aggregator := r.mu.aggregator
	r.mu.Unlock()
	if aggregator == nil {
		return errNoAggregator
	}
	first, err := r.refreshPieces(ctx, def, aggregator, progress)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := refreshed{at: r.e.opts.Now(), err: err, failing: r.e.opts.Elapsed(), first: first}
	if last := r.mu.last[def.ID]; last.err != nil && last.first == first {
		now.failing = last.failing
	}
	r.mu.last[def.ID] = now
	return err
}

// isHopeless reports whether the refreshes of a rollup have failed for so long that nothing waits for them.
func (r *rollups) isHopeless(id schema.TableID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.mu.last[id]
	return last.err != nil && r.e.opts.Elapsed()-last.failing >= rollupPatience
}

// begins waits for the turn to change what is stored of rollups, which ends gives back.
func (r *rollups) begins(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.ctx.Done():
		return ErrUnavailable
	}
}

func (r *rollups) ends() { <-r.turn }

// refreshPieces returns the begin of what it was computing when it failed.
func (r *rollups) refreshPieces(ctx context.Context, def *schema.Table, a Aggregator, progress func(RollupProgress)) (first int64, err error) {
	first = math.MinInt64
	var done RollupProgress
	end, ok := schema.MaxTimeRange.Max, true // what becomes stale behind it is for the next refresh
	for ok {
		if err := r.e.compactor.wait(ctx); err != nil {
			return first, err
		}
		if err := r.e.makeRoom(ctx, []*schema.Table{def}); err != nil {
			return first, err
		}
		p, err := r.begin(def)
		if p == nil || err != nil {
			return first, err
		}
		if len(p.ranges) > 0 {
			first = p.ranges[0].Min
		}
		if done.Total == 0 {
			done.Total = p.total
		}
		ok = len(p.ranges) > 0 && p.done.Max < end
		if err = p.run(ctx, a); err == nil {
			err = p.commit()
		}
		p.end()
		if err != nil {
			return first, err
		}
		done.Done, done.Total = done.Done+p.rows, max(done.Total, done.Done+p.rows)
		for _, f := range p.files {
			done.Rows += f.Rows
		}
		progress(done)
	}
	return first, nil
}

// piece is what of a rollup is computed at once.
type piece struct {
	r       *rollups
	def     *schema.Table
	view    *TableView
	state   *schema.RollupState
	release func()

	kept      int64              // the first interval that the rollup keeps
	ranges    []schema.TimeRange // to be computed; none if there is nothing in what is stale
	done      schema.TimeRange   // holds them, and nothing else in it must be computed
	isShrunk  bool
	rows      uint64 // of the source in ranges, about
	total     uint64 // likewise, in all that is stale
	files     []*schema.File
	tombstone uint64 // its place, in front of the files
}

// begin chooses what is computed next, and pins what it is computed from; nil if nothing is stale.
func (r *rollups) begin(def *schema.Table) (*piece, error) {
	e := r.e
	e.flusher.mu.Lock() // from here on nothing is marked unseen
	defer e.flusher.mu.Unlock()
	if err := e.catalog.Err(); err != nil {
		return nil, err
	}
	now, ok := e.catalog.Schema().TableByID(def.ID)
	if !ok || now.Deleted != nil {
		return nil, &TableNotFoundError{def.Name}
	}
	state := e.catalog.RollupState(def.ID)
	if len(state.Stale) == 0 {
		return nil, nil
	}
	p := &piece{r: r, state: state}
	p.view, p.release = e.rollupView(now)
	p.def = p.view.Table
	p.kept = now.Rollup.Start(e.floorNow(now))
	p.choose()
	r.refreshing, r.marked = def.ID, nil
	return p, nil
}

// end unpins what the piece was computed from.
func (p *piece) end() {
	p.r.e.flusher.mu.Lock()
	p.r.refreshing, p.r.marked = 0, nil
	p.r.e.flusher.mu.Unlock()
	p.release()
}

// isPassedOver reports whether intervals are stale that are not computed because the rollup does not keep them. They are
// frozen then, so that a longer period shows what is stored, and nobody takes them for computed.
func (p *piece) isPassedOver() bool {
	return len(p.state.Stale) > 0 && p.state.Stale[0].Time.Min < p.kept
}

// choose takes the first stale intervals that have rows, few enough to be computed at once.
func (p *piece) choose() {
	all := p.needed()
	for _, r := range all {
		p.total += p.rowsIn(r.Time)
	}
	p.take(all)
	p.ranges = schema.JoinRanges(p.ranges)
	if p.isShrunk { // what is stored in between is hidden, too
		p.ranges = []schema.TimeRange{{Min: p.ranges[0].Min, Max: p.done.Max}}
	}
	if len(all) == 0 || p.done.Max == all[len(all)-1].Time.Max {
		p.done.Max = schema.MaxTimeRange.Max // nothing is left behind it
	}
}

// take takes the first of some ranges.
func (p *piece) take(all []schema.StaleRange) {
	p.done = schema.MaxTimeRange
	for i, r := range all {
		rows, limit := p.rowsIn(r.Time), uint64(refreshRows)
		switch {
		case i > 0 && (p.rows+rows > limit || uint64(r.Time.Min)-uint64(p.done.Max) > uint64(refreshGap)):
			return
		case rows > limit:
			r.Time = p.cut(r.Time, float64(limit)/float64(rows))
			rows = limit
		}
		p.ranges, p.rows, p.isShrunk = append(p.ranges, r.Time), p.rows+rows, p.isShrunk || r.Shrunk
		p.done.Max = r.Time.Max
		if rows == limit {
			return
		}
	}
}

// cut returns the beginning of a range, whole intervals and one at least.
func (p *piece) cut(r schema.TimeRange, part float64) schema.TimeRange {
	length := min(float64(uint64(r.Max)-uint64(r.Min))*part, 1<<62)
	at := p.def.Rollup.Covering(schema.TimeRange{Min: r.Min, Max: r.Min + int64(length)})
	return at.Intersect(r)
}

// needed returns the stale intervals in which the source has rows, or the rollup rows that may have to go; ascending.
func (p *piece) needed() (all []schema.StaleRange) {
	def := p.def.Rollup
	var data, stored []schema.TimeRange
	for _, f := range p.view.Rollup.Source.Files {
		data = append(data, def.Covering(f.Time))
	}
	for _, s := range p.view.Rollup.Source.Buffers {
		if s.Rows > 0 {
			data = append(data, def.Covering(s.Time))
		}
	}
	for _, f := range p.view.Files {
		stored = append(stored, def.Covering(f.Time))
	}
	data = schema.JoinRanges(data)
	stored = schema.JoinRanges(append(stored, data...))
	for _, r := range p.state.Stale {
		in := data
		if r.Shrunk {
			in = stored
		}
		r.Time.Min = max(r.Time.Min, p.kept)
		for _, d := range in {
			if part := d.Intersect(r.Time); !part.IsEmpty() {
				all = append(all, schema.StaleRange{Time: part, Shrunk: r.Shrunk})
			}
		}
	}
	return all
}

// rowsIn estimates the rows of the source in a range of time.
func (p *piece) rowsIn(r schema.TimeRange) uint64 {
	rows := 0.0
	add := func(n uint64, t schema.TimeRange) {
		if in := t.Intersect(r); !in.IsEmpty() {
			rows += float64(n) * (float64(uint64(in.Max)-uint64(in.Min)) + 1) / (float64(uint64(t.Max)-uint64(t.Min)) + 1)
		}
	}
	for _, f := range p.view.Rollup.Source.Files {
		add(f.Rows, f.Time)
	}
	for _, s := range p.view.Rollup.Source.Buffers {
		add(uint64(s.Rows), s.Time)
	}
	return uint64(rows)
}

// run writes the file, which nothing refers to yet.
func (p *piece) run(ctx context.Context, a Aggregator) error {
	if len(p.ranges) == 0 {
		return nil
	}
	e, columns := p.r.e, p.def.Columns
	budget := newRunBudget(e.persisting.limit/mergeShare, len(columns))
	held := e.persisting.limit / mergeShare
	if err := e.persisting.await(ctx, held); err != nil {
		return err
	}
	defer e.persisting.release(held)
	p.tombstone = uint64(e.catalog.AllocateFileID())
	position := e.catalog.Position() // no record of the log has these rows
	job := RollupJob{Rollup: p.def, Source: p.view.Rollup.Source, Ranges: p.ranges}
	file, err := e.writeFile(newFile{p.def, columns, 0, schema.SeqRange{Min: position, Max: position}, budget},
		withCodedTags(ctx, a.Aggregate(ctx, job), persist.ArrowSchema(columns)))
	if errors.Is(err, persist.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	p.files = []*schema.File{file}
	return nil
}

// commit makes what was computed visible, in the place of what was stored.
func (p *piece) commit() error {
	e := p.r.e
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	err := e.catalog.Err()
	now, ok := e.catalog.Schema().TableByID(p.def.ID)
	if err == nil && (!ok || now.Deleted != nil) {
		err = &TableNotFoundError{p.def.Name}
	}
	if err != nil {
		return errors.Join(err, e.removeFiles(p.files))
	}
	b := &burial{table: e.tables.findOrCreate(p.def.Database, p.def.ID), def: now, files: p.files}
	b.rollup = e.catalog.RollupState(p.def.ID).Unmark(p.done).Mark(p.r.marked...)
	if p.isPassedOver() {
		b.rollup = b.rollup.Freeze(p.kept)
	}
	edit := catalog.Edit{Add: p.files, Rollups: []*schema.RollupState{b.rollup}}
	if p.isShrunk {
		p.hideStored(b, &edit)
	}
	if err := e.catalog.Commit(edit); err != nil {
		if errors.Is(err, catalog.ErrFailed) {
			e.flusher.doubt = doubtOf([]*burial{b}, &edit)
		} else {
			err = errors.Join(err, e.removeFiles(p.files))
		}
		return fmt.Errorf("committing %d intervals of rollup %q: %w", len(p.ranges), p.def.Name, err)
	}
	e.removeDoomed(b.table.bury(b))
	e.compactor.kick()
	return nil
}

// hideStored deletes what is stored of the intervals that were computed: rows and values of it may be gone.
func (p *piece) hideStored(b *burial, edit *catalog.Edit) {
	e := p.r.e
	hull := schema.TimeRange{Min: p.ranges[0].Min, Max: p.ranges[len(p.ranges)-1].Max}
	b.decide(&schema.Tombstone{
		Table: p.def.ID, Order: p.tombstone, Time: hull, Seq: e.catalog.Position(), Created: e.clock.now(),
	})
	b.put(edit)
}

// withCodedTags gives records the layout of files: tags that are plain strings are dictionary-coded. It releases each record when it
// was taken.
func withCodedTags(ctx context.Context, records iter.Seq2[arrow.RecordBatch, error], layout *arrow.Schema) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for rec, err := range records {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				if rec != nil {
					rec.Release()
				}
				yield(nil, err)
				return
			}
			coded := codeTags(rec, layout)
			rec.Release()
			more := yield(coded, nil)
			coded.Release()
			if !more {
				return
			}
		}
	}
}

// codeTags returns a record of the same rows, to be released.
func codeTags(rec arrow.RecordBatch, layout *arrow.Schema) arrow.RecordBatch {
	columns := slices.Clone(rec.Columns())
	var made []arrow.Array
	fields := slices.Clone(rec.Schema().Fields())
	for i, f := range layout.Fields() {
		if i >= len(columns) || f.Type.ID() != arrow.DICTIONARY {
			continue
		}
		if texts, ok := columns[i].(*array.String); ok {
			columns[i] = codeStrings(texts, f.Type.(*arrow.DictionaryType))
			fields[i].Type = f.Type
			made = append(made, columns[i])
		}
	}
	out := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
	for _, a := range made {
		a.Release()
	}
	return out
}

func codeStrings(texts *array.String, typ *arrow.DictionaryType) arrow.Array {
	b := array.NewDictionaryBuilder(memory.DefaultAllocator, typ).(*array.BinaryDictionaryBuilder)
	defer b.Release()
	for i := range texts.Len() {
		if texts.IsNull(i) {
			b.AppendNull()
		} else if err := b.AppendString(texts.Value(i)); err != nil {
			panic(fmt.Sprintf("engine: coding a tag: %v", err)) // the memory table of strings refuses none
		}
	}
	return b.NewArray()
}
