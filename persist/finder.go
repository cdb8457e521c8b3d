package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// A file is sorted by tags and time, so the rows of a series are neighbours. A Finder knows
// where each series begins, and reads the rows of a few of them without looking at the rest:
// of each column the pages in which they lie. To know it costs 4 bytes for each tag of a
// series in a row group, and reading all tag columns once: they are a few runs of
// equal numbers each.
//
// It is made for files that were verified, and for what Write writes: whatever else it meets is
// ErrNotSupported, and the file is to be read in another way.

// ErrNotSupported says that a Finder is not for this file or question: the file is coded in a
// way that Write does not choose, it has too many series for its rows, or too many rows are wanted.
var ErrNotSupported = errors.New("persist: not for a finder")

// Finder finds rows of one file. It may be used concurrently; it holds no file open.
type Finder struct {
	columns []schema.Column // in id order
	tags    []tagValues     // in id order
	groups  []finderGroup
	starts  []uint32 // of each series in its row group: its first row
	indices []uint32 // for each of starts, by tag: 0 for null, else 1 + the position in values
}

// tagValues are the values of one tag in a file.
type tagValues struct {
	id     schema.ColumnID
	values []string
	known  map[string]uint32 // position in values
}

type finderGroup struct {
	rows        int
	time        schema.TimeRange
	first, next int // its series are starts[first:next]
	chunks      []chunkPlace
}

// A row group may have so many series, or more if they have minRowsPerSeries rows on average: of
// shorter ones a Finder needs more memory than it saves time.
const (
	maxShortSeries   = 1024
	minRowsPerSeries = 8
)

// NewFinder looks at a file's footer and tags. The errors are those of Open, and ErrNotSupported.
func NewFinder(fs vfs.FS, path string) (f *Finder, err error) {
	r, err := Open(fs, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	defer recoverTo(&err, path)
	f = &Finder{columns: r.footer.columns}
	tags, _ := split(f.columns)
	for _, c := range tags {
		f.tags = append(f.tags, tagValues{id: c.ID, known: make(map[string]uint32)})
	}
	meta := r.arrow.ParquetReader().MetaData()
	for g := range r.footer.groupRows {
		if err := f.addGroup(meta.RowGroup(g), r.footer.groupTimes[g], r.source, len(tags)); err != nil {
			return nil, fmt.Errorf("%s, row group %d: %w", path, g, err)
		}
	}
	for i := range f.tags {
		f.tags[i].known = nil
	}
	return f, nil
}

// Bytes is about what a Finder holds in memory, at most: pages are found when they are needed.
func (f *Finder) Bytes() int64 {
	n := int64(4 * (len(f.starts) + len(f.indices)))
	for _, t := range f.tags {
		for _, v := range t.values {
			n += int64(len(v)) + 16
		}
	}
	for i := range f.groups {
		for k := range f.groups[i].chunks {
			n += 200 + f.groups[i].chunks[k].length/(64<<10)*48
		}
	}
	return n
}

func (f *Finder) addGroup(meta *metadata.RowGroupMetaData, time schema.TimeRange, src io.ReaderAt, tags int) error {
	g := finderGroup{rows: int(meta.NumRows()), time: time, first: len(f.starts), chunks: make([]chunkPlace, meta.NumColumns())}
	for i := range g.chunks {
		m, err := meta.ColumnChunk(i)
		if err != nil {
			return err
		}
		if m.Compression() != compress.Codecs.Zstd {
			return fmt.Errorf("%w: compressed by %v", ErrNotSupported, m.Compression())
		}
		c := &g.chunks[i]
		c.offset, c.length, c.values, c.optional = m.DataPageOffset(), m.TotalCompressedSize(), g.rows, i != tags
		c.floats = m.Type() == parquet.Types.Double
		if m.HasDictionaryPage() {
			c.offset = min(c.offset, m.DictionaryPageOffset())
		}
	}
	if err := f.addSeries(&g, src); err != nil {
		return err
	}
	g.next = len(f.starts)
	f.groups = append(f.groups, g)
	return nil
}

// change is a row from which on a tag has another value.
type change struct {
	row   int
	index uint32
}

// addSeries finds where the series of a row group begin.
func (f *Finder) addSeries(g *finderGroup, src io.ReaderAt) error {
	limit := max(maxShortSeries, g.rows/minRowsPerSeries)
	changes := make([][]change, len(f.tags))
	begins := []int{0}
	for i := range f.tags {
		var err error
		if changes[i], err = f.tags[i].changes(&g.chunks[i], src, limit); err != nil {
			return err
		}
		for _, c := range changes[i] {
			begins = append(begins, c.row)
		}
	}
	slices.Sort(begins)
	begins = slices.Compact(begins)
	if len(begins) > limit {
		return fmt.Errorf("%w: %d series in %d rows", ErrNotSupported, len(begins), g.rows)
	}
	for _, row := range begins {
		f.starts = append(f.starts, uint32(row))
		for i := range changes {
			for len(changes[i]) > 1 && changes[i][1].row <= row {
				changes[i] = changes[i][1:]
			}
			f.indices = append(f.indices, changes[i][0].index)
		}
	}
	return nil
}

// changes reads a tag's column of a row group.
func (t *tagValues) changes(c *chunkPlace, src io.ReaderAt, limit int) ([]change, error) {
	if err := c.scan(src); err != nil {
		return nil, err
	}
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	texts, err := c.texts(src, buffers)
	if err != nil {
		return nil, err
	}
	indices := make([]uint32, len(texts))
	for i, text := range texts {
		indices[i] = t.index(text)
	}
	var all []change
	note := func(row int, index uint32) {
		if n := len(all); n == 0 || all[n-1].index != index {
			all = append(all, change{row, index})
		}
	}
	for i := range c.pages {
		p := &c.pages[i]
		if !isDictionary(p.encoding) {
			return nil, fmt.Errorf("%w: tags in encoding %v", ErrNotSupported, p.encoding)
		}
		body, err := buffers.read(src, p)
		if err != nil {
			return nil, err
		}
		present, values, err := c.split(body, p.rows)
		if err != nil {
			return nil, err
		}
		h, err := newIndices(values)
		if err != nil {
			return nil, err
		}
		for row := 0; row < p.rows; {
			if len(all) > limit {
				return nil, fmt.Errorf("%w: too many series", ErrNotSupported)
			}
			if !present.has(row) {
				note(p.first+row, 0)
				row++
				continue
			}
			end := present.endOfValues(row, p.rows)
			k, n, err := h.run(end - row)
			if err != nil {
				return nil, err
			}
			if int(k) >= len(indices) {
				return nil, errCode
			}
			note(p.first+row, indices[k]+1)
			row += n
		}
	}
	return all, nil
}

// endOfValues returns the first row from a given one on that has no value.
func (p *presence) endOfValues(row, rows int) int {
	if p.all {
		return rows
	}
	return row + sort.Search(rows-row, func(n int) bool { return int(p.ranks[row+n+1]-p.ranks[row]) < n+1 })
}

// index returns the position of a value, which is added if it is new.
func (t *tagValues) index(text []byte) uint32 {
	if i, ok := t.known[string(text)]; ok {
		return i
	}
	i := uint32(len(t.values))
	t.values = append(t.values, string(text))
	t.known[t.values[i]] = i
	return i
}

// texts reads the dictionary of a column of texts; it is valid as long as the buffers are not used.
func (c *chunkPlace) texts(src io.ReaderAt, buffers *pageBuffers) ([][]byte, error) {
	if c.dict == nil {
		return nil, nil
	}
	body, err := buffers.read(src, c.dict)
	if err != nil {
		return nil, err
	}
	return textsOf(body, c.dict.rows)
}

// Wanted says which rows a Finder finds: those of the range of time whose tags, as far as they
// are named, have one of the values given. A tag that the file has not is null in all its rows.
type Wanted struct {
	Time schema.TimeRange
	Tags map[schema.ColumnID][]string
	// Columns are those that are wanted besides time and all tags.
	Columns []schema.ColumnID
	// MaxRows bounds the rows that are found, and MaxSeriesRows those that the series have at all times.
	MaxRows, MaxSeriesRows int
}

// Found are rows in file order, in pieces.
type Found struct {
	Series int // that occur, numbered from 0
	Tags   []FoundTag
	Pieces []FoundPiece
}

// FoundTag is one tag of the series.
type FoundTag struct {
	ID      schema.ColumnID
	Indices []uint32 // by series: 0 for null, else 1 + the position in Values
	Values  []string
}

// FoundPiece are rows of one row group.
type FoundPiece struct {
	Times  []int64
	Series []uint32
	Range  schema.TimeRange
	Fields []FoundField // in the order of Wanted.Columns, without those that the file has not
}

// FoundField is one field in a piece. Of the slices one is set, by Type, as in Arrow; a bool is a byte.
type FoundField struct {
	Column  schema.Column
	Valid   []uint64 // a bit for each row; nil: all rows have a value
	Words   []uint64 // Int64, Uint64, and the bits of Float64
	Bools   []uint8
	Offsets []uint32
	Data    []byte
}

// span are rows from, from+1, … to-1 of a row group, of one series.
type span struct {
	from, to int
	series   uint32
}

// Find reads rows, on up to as many goroutines as workers says. It returns ErrNotSupported where
// there are more than wanted, and other errors if the file cannot be read or is not what was written.
func (f *Finder) Find(ctx context.Context, src io.ReaderAt, w *Wanted, workers int) (*Found, error) {
	spans, found, err := f.series(w)
	if err != nil {
		return nil, err
	}
	var tasks []int
	for g := range spans {
		if len(spans[g]) > 0 {
			tasks = append(tasks, g)
		}
	}
	pieces := make([]FoundPiece, len(f.groups))
	var rows atomic.Int64
	err = share(ctx, workers, len(tasks), func(i int) error {
		g := tasks[i]
		trimmed, times, err := f.readTimes(&f.groups[g], src, spans[g], w.Time, nil)
		if err == nil && rows.Add(int64(len(times))) > int64(w.MaxRows) {
			return fmt.Errorf("%w: more than %d rows are wanted", ErrNotSupported, w.MaxRows)
		}
		spans[g] = trimmed
		pieces[g].Series = make([]uint32, len(times))
		pieces[g].place(trimmed, times)
		return err
	})
	if err != nil {
		return nil, err
	}
	fields := f.fields(w.Columns)
	for _, g := range tasks {
		pieces[g].Fields = make([]FoundField, len(fields))
	}
	err = share(ctx, workers, len(tasks)*len(fields), func(i int) error {
		g, k := tasks[i/len(fields)], i%len(fields)
		return f.readField(&f.groups[g], src, spans[g], fields[k], &pieces[g].Fields[k], nil)
	})
	if err != nil {
		return nil, err
	}
	for _, g := range tasks {
		if len(pieces[g].Times) > 0 {
			found.Pieces = append(found.Pieces, pieces[g])
		}
	}
	return found, nil
}

// share does n pieces of work on up to as many goroutines as workers says, which include the caller's.
func share(ctx context.Context, workers, n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	workers = max(1, min(workers, n))
	errs := make([]error, workers)
	work := func(w int) {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			if err := ctx.Err(); err != nil {
				errs[w] = err
			} else {
				errs[w] = guarded(do, i)
			}
			if errs[w] != nil {
				next.Store(int64(n))
				return
			}
		}
	}
	for w := 1; w < workers; w++ {
		wg.Go(func() { work(w) })
	}
	work(0)
	wg.Wait()
	return errors.Join(errs...)
}

// guarded turns a panic over a broken file into an error.
func guarded(do func(i int) error, i int) (err error) {
	defer recoverTo(&err, "column chunk")
	return do(i)
}
