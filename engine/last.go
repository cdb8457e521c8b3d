package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// Many queries ask for the newest row of each series. Finding it means looking through all
// rows, so the newest rows of a table that was asked for them are kept.
//
// Writers do nothing for that. The first question reads the files (last_build.go); each one
// reads the buffered rows that came since the one before, at a comparison a row. A flush reads
// those of the buffers that it takes away, and goes on with the same rows: a file has the rows
// of its buffers. Any other change of the files makes the next question read them again.
//
// What is kept must be what the view of the query holds, not more and not less. So it is
// brought to a view's state, and how far each buffer was read tells whether the view is older:
// then the query has to take another one, which costs microseconds. What a query gets
// is a copy, of which blocks of series that did not change are shared with the one before.
//
// Refused: keeping the rows up to date while batches are appended. It costs a comparison a row
// too, but on the way of every write, to tables that nobody asks.

// ErrNoNewest says that the newest rows of a table are not kept: it needs too much memory, its rows
// are versions of records, or its files cannot be read. All queries can be answered without.
var ErrNoNewest = errors.New("the newest rows of the table are not kept")

// ErrViewPassed says that the newest rows have been brought to a later moment than that of the
// view. A new view will do.
var ErrViewPassed = errors.New("the newest rows are later than the view")

// lastPercent of the buffers' share is what the newest rows of all tables may hold of it: they
// are useful only while most of it is left to writes. Beyond it the tables that were not
// asked for longest are forgotten.
const lastPercent = 12

// lasts bounds the newest rows of all tables.
type lasts struct {
	fs      vfs.FS
	buffers *share
	limit   int64
	mu      struct {
		sync.Mutex
		used  int64
		clock uint64
		held  map[*lastIndex]lastHeld
	}
}

// lastHeld is what an index holds, and when it was asked last.
type lastHeld struct {
	bytes int64
	asked uint64
}

func newLasts(fs vfs.FS, buffers *share) *lasts {
	l := &lasts{fs: fs, buffers: buffers, limit: buffers.limit / 100 * lastPercent}
	l.mu.held = make(map[*lastIndex]lastHeld)
	return l
}

// hold accounts for what an index holds, whose lock the caller has. Others are forgotten to make
// room; it reports whether that was enough.
func (l *lasts) hold(index *lastIndex, bytes int64) bool {
	for {
		oldest, fits := l.tryHold(index, bytes)
		switch {
		case fits:
			return true
		case oldest == nil || !oldest.mu.TryLock(): // who is in use makes no room: two could wait for each other
			l.release(index)
			return false
		}
		oldest.forgetLocked()
		oldest.mu.Unlock()
	}
}

// tryHold accounts for an index if there is room, and returns the one to forget if not.
func (l *lasts) tryHold(index *lastIndex, bytes int64) (oldest *lastIndex, fits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := l.mu.held[index].bytes
	if l.mu.used-had+bytes > l.limit {
		for other, held := range l.mu.held {
			if other != index && (oldest == nil || held.asked < l.mu.held[oldest].asked) {
				oldest = other
			}
		}
		return oldest, false
	}
	l.mu.clock++
	l.mu.held[index] = lastHeld{bytes, l.mu.clock}
	l.mu.used += bytes - had
	l.buffers.add(bytes - had)
	return nil, true
}

func (l *lasts) release(index *lastIndex) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := l.mu.held[index].bytes
	delete(l.mu.held, index)
	l.mu.used -= had
	l.buffers.release(had)
}

// lastIndex keeps the newest rows of one table. Its lock is taken before the table's, and is held
// while buffered rows are read, not while files are.
type lastIndex struct {
	shelf *lasts
	mu    struct {
		sync.Mutex
		rows      *lastRows              // nil: not known
		files     []*schema.File         // that are in rows
		from      int64                  // views that keep rows before it are not to use rows
		gone      []*schema.Tombstone    // whose rows are not
		read      map[bufferID]*lastRead // how far buffers are
		building  chan struct{}          // closed when the one who reads the files is done; nil: nobody does
		tooLarge  bool                   // until the next start
		questions uint64                 // that were not worth reading the files
	}
}

// bufferID tells the buffers of a table apart: no two of a day begin with the same record.
type bufferID struct {
	day   schema.Day
	first schema.Seq
}

func idOf(s *partition.Snapshot) bufferID { return bufferID{s.Key.Day, s.Seq.Min} }

// lastRead is how far a buffer was read.
type lastRead struct {
	rows       int
	chunk, row int      // the next one
	numbers    []uint32 // by series of the buffer: its number in the index
}

// Newest returns the newest row of each series of the table, as one buffer: of the rows of the
// view with the tags of the series the one with the greatest time. It may read files
// the first time. The errors are ErrNoNewest, ErrViewPassed and that of ctx.
func (t *TableView) Newest(ctx context.Context) (*partition.Snapshot, error) {
	if t.table == nil || t.Table.Key.Rule == schema.LatestByTag {
		return nil, ErrNoNewest
	}
	l := &t.table.last
	for {
		s, wait, err := l.at(t)
		if s != nil || err != nil {
			return s, err
		}
		if wait == nil {
			if err := l.build(ctx, t); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// rowsPerQuestion is how many rows of files are read at once for one question that could be answered
// from less. So what reading them costs stays in proportion to the questions.
const rowsPerQuestion = 1 << 20

// WantNewest reports whether Newest is worth calling for a question. One that is dear, as its answer
// needs the whole table otherwise, is worth reading the files once; others are together.
func (t *TableView) WantNewest(isDear bool) bool {
	if t.table == nil {
		return false
	}
	l := &t.table.last
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.rows != nil || isDear || l.mu.tooLarge {
		return !l.mu.tooLarge
	}
	rows := uint64(0)
	for _, f := range t.files {
		rows += f.Rows
	}
	l.mu.questions++
	return rows <= l.mu.questions*rowsPerQuestion
}

// HasNewest reports whether the newest rows are there already.
func (t *TableView) HasNewest() bool {
	if t.table == nil {
		return false
	}
	l := &t.table.last
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.rows != nil
}

// at returns the newest rows of a view. If the files have to be read first it returns none, and
// what to wait for if somebody else does that; the caller has to call build otherwise.
func (l *lastIndex) at(t *TableView) (s *partition.Snapshot, wait <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.tooLarge {
		return nil, nil, ErrNoNewest
	}
	if l.mu.rows != nil && !l.isOfLocked(t.files, t.tombstones) {
		if !slices.Equal(t.table.allFiles(), t.files) || !slices.Equal(t.table.allTombstones(), t.tombstones) {
			return nil, nil, ErrViewPassed
		}
		l.forgetLocked()
	}
	if l.mu.rows != nil && t.Kept().Min < l.mu.from {
		l.forgetLocked()
	}
	if l.mu.rows == nil {
		wait = l.mu.building
		if wait == nil {
			l.mu.building = make(chan struct{})
		}
		return nil, wait, nil
	}
	if l.isLaterLocked(t.Buffers) {
		return nil, nil, ErrViewPassed
	}
	for _, b := range t.Buffers {
		l.takeLocked(b)
	}
	bytes := l.bytesLocked()
	if !l.shelf.hold(l, bytes) {
		l.forgetLocked()
		l.mu.tooLarge = bytes > l.shelf.limit && l.mu.from == math.MinInt64 // else it has series of which nothing is left
		return nil, nil, ErrNoNewest
	}
	return l.mu.rows.snapshot(schema.PartitionKey{Table: t.Table.ID}), nil, nil
}

// isOfLocked reports whether the newest rows are those of some files.
func (l *lastIndex) isOfLocked(files []*schema.File, gone []*schema.Tombstone) bool {
	return slices.Equal(l.mu.files, files) && slices.Equal(l.mu.gone, gone)
}

// build reads the files of a view.
func (l *lastIndex) build(ctx context.Context, t *TableView) (err error) {
	var rows *lastRows
	err = errors.New("panicked")
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.mu.building)
		l.mu.building = nil
		if err == nil {
			l.mu.rows, l.mu.files, l.mu.gone, l.mu.read = rows, t.files, t.tombstones, make(map[bufferID]*lastRead)
			l.mu.from = math.MinInt64
		}
		l.mu.tooLarge = errors.Is(err, errLastTooLarge)
	}()
	rows, err = buildLast(ctx, l.shelf.fs, t, l.shelf.limit)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrNoNewest, err)
}

// isLaterLocked reports whether more was read of the buffers than a view has of them.
func (l *lastIndex) isLaterLocked(buffers []*partition.Snapshot) bool {
	known := 0
	for _, b := range buffers {
		if r := l.mu.read[idOf(b)]; r != nil {
			if r.rows > b.Rows {
				return true
			}
			known++
		}
	}
	return known < len(l.mu.read)
}

// takeLocked reads the rows of a buffer that came since it was read last.
func (l *lastIndex) takeLocked(s *partition.Snapshot) {
	r := l.mu.read[idOf(s)]
	if r == nil {
		r = &lastRead{}
		l.mu.read[idOf(s)] = r
	}
	l.numberLocked(s, r)
	for i := r.chunk; i < len(s.Chunks); i++ {
		from := 0
		if i == r.chunk {
			from = r.row
		}
		l.mu.rows.take(&s.Chunks[i], from, s.Chunks[i].Rows, r.numbers)
		r.chunk, r.row = i, s.Chunks[i].Rows
	}
	r.rows = s.Rows
}

// numberLocked finds the series that are new in a buffer.
func (l *lastIndex) numberLocked(s *partition.Snapshot, r *lastRead) {
	if len(r.numbers) == s.SeriesCount {
		return
	}
	tags := slices.Clone(s.Tags)
	slices.SortFunc(tags, func(a, b partition.TagColumn) int { return int(a.ID) - int(b.ID) })
	var key []byte
	for n := uint32(len(r.numbers)); int(n) < s.SeriesCount; n++ {
		key = key[:0]
		for i := range tags {
			if value, ok := tags[i].Value(n); ok {
				key = partition.AppendTag(key, tags[i].ID, []byte(value))
			}
		}
		r.numbers = append(r.numbers, l.mu.rows.number(key))
	}
}

// bytesLocked is what the index holds.
func (l *lastIndex) bytesLocked() int64 {
	bytes := l.mu.rows.bytes
	for _, r := range l.mu.read {
		bytes += int64(cap(r.numbers)) * 4
	}
	return bytes
}

func (l *lastIndex) forgetLocked() {
	l.mu.rows, l.mu.files, l.mu.gone, l.mu.read = nil, nil, nil, nil
	l.shelf.release(l)
}

// forget gives the newest rows up. The table holds nothing any more.
func (l *lastIndex) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked()
}

// change calls swap, which changes rows of the table, and gives the newest rows up.
func (l *lastIndex) change(swap func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked()
	swap()
}

// keep calls swap, which puts files in the place of the given buffers, or of other files, without
// changing a row of the table, and keeps the newest rows across that. The buffers are frozen.
func (l *lastIndex) keep(t *table, buffers []*buffer, swap func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.mu.rows != nil && l.isOfLocked(t.allFiles(), t.allTombstones())
	if known {
		for _, b := range buffers {
			s := b.partition.Snapshot()
			l.takeLocked(s)
			delete(l.mu.read, idOf(s))
		}
	}
	swap()
	if known {
		l.mu.files, l.mu.gone = t.allFiles(), t.allTombstones()
	}
}

// keepFrom is keep for a change after which rows before an instant may be missing. They are only of
// series whose other rows are older still, and no view sees them that begins at that instant.
func (l *lastIndex) keepFrom(t *table, from int64, swap func()) {
	l.keep(t, nil, func() {
		swap()
		l.mu.from = max(l.mu.from, from)
	})
}
