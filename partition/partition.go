package partition

import (
	"slices"
	"sort"
	"sync"
	"unsafe"

	"github.com/siltstone-db/siltstone/internal/textindex"
	"github.com/siltstone-db/siltstone/schema"
)

// Partition is the rows of one table on one UTC day. Append is called by one
// goroutine at a time (the log's order); Snapshot and Bytes by any.
//
// A writer only ever writes behind the rows that a snapshot covers, so that the two
// share memory without sharing words. The exception is validity: its words hold 64
// rows each, so that a snapshot copies those of the last chunk, which is the only one
// that still grows.
type Partition struct {
	key schema.PartitionKey

	mu struct {
		sync.Mutex
		rows  int
		time  schema.TimeRange
		seq   schema.SeqRange
		bytes int64
		// reported is what bytes was when Append last told its caller: snapshots may
		// make it grow in between.
		reported int64
		series   textindex.Index // of keys
		keys     []string        // by series: canonical keys
		texts    textindex.Texts // of keys
		next     []uint32        // by series: the one that came behind it last time
		tags     []tagColumn
		chunks   []Chunk  // all but the last are full
		room     int      // rows that the last chunk has memory for
		values   int      // field values in the last chunk, nulls not counted
		remap    []uint32 // by series of the current batch: its number here
		ahead    lookAhead
		place    []int // by column of the current batch: see placeLocked
		frozen   bool
	}
}

// tagColumn is a TagColumn under construction.
type tagColumn struct {
	TagColumn
	index textindex.Index // of Values, which are parts of the keys that brought them
}

// Chunk sizes. A chunk has room for twice the rows of the one before, within these
// bounds, so that a table of few rows takes little and a large one is cut into even
// pieces; a chunk that was cut short is followed by a short one.
const (
	minChunkRows = 16
	maxChunkRows = 64 << 10
	// maxChunkText bounds the bytes of one string column of a chunk, whose offsets
	// have 32 bits.
	maxChunkText = 64 << 20
)

// Estimates of what the Go runtime needs beside the bytes themselves.
const (
	seriesOverhead   = 28 // string header and successor of a series, and room for more
	tagValueOverhead = 22 // string header of a tag value, and room for more
	indexOverhead    = 16 // place in an index
	chunkOverhead    = 256
	baseBytes        = 1024 // an empty partition
	fieldHeaderBytes = int64(unsafe.Sizeof(Field{}))
)

// New returns an empty partition.
func New(key schema.PartitionKey) *Partition {
	p := &Partition{key: key}
	p.mu.time = schema.EmptyTimeRange
	p.mu.bytes, p.mu.reported = baseBytes, baseBytes
	return p
}

// Key returns the partition's identity.
func (p *Partition) Key() schema.PartitionKey { return p.key }

// Append adds a complete batch of the partition's key, whose log position is seq. The
// batch is copied. It returns by how many bytes the partition has grown since the
// append before, and panics when the partition is frozen: such rows would be lost.
func (p *Partition) Append(b *Batch, seq schema.Seq) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.frozen || b.Key != p.key {
		panic("partition: append to a frozen or foreign partition")
	}
	p.numberSeriesLocked(b)
	values := b.valuesIn(0, len(b.Time))
	for from := 0; from < len(b.Time); {
		to := p.roomLocked(b, from, values)
		p.appendRowsLocked(b, from, to)
		from = to
	}
	p.mu.rows += len(b.Time)
	p.mu.time = p.mu.time.Union(b.Range)
	p.mu.seq = p.mu.seq.Include(seq)
	grown := p.mu.bytes - p.mu.reported
	p.mu.reported = p.mu.bytes
	return grown
}

// numberSeriesLocked maps the batch's series to the partition's numbers in mu.remap. Most
// come in the same order each time, and to compare a key with the one that is due
// costs a fifth of looking it up among many.
func (p *Partition) numberSeriesLocked(b *Batch) {
	p.mu.remap = p.mu.remap[:0]
	for i, key := range b.Series {
		if i > 0 {
			if due := p.mu.next[p.mu.remap[i-1]]; int(due) < len(p.mu.keys) && p.mu.keys[due] == string(key) {
				p.mu.remap = append(p.mu.remap, due)
				continue
			}
		}
		n := p.findSeriesLocked(b, i)
		if i > 0 {
			p.mu.next[p.mu.remap[i-1]] = n
		}
		p.mu.remap = append(p.mu.remap, n)
	}
	p.mu.ahead.end = 0
}

// lookAhead holds the hashes of some series of the current batch, whose places in the index have
// been touched: where one has to be looked up, so have most behind it.
type lookAhead struct {
	begin, end int // positions in Series
	hashes     [16]uint64
	touched    uint64 // has the compiler leave the touching in
}

// hash returns the hash of the i-th series of a batch.
func (a *lookAhead) hash(b *Batch, i int, x *textindex.Index) uint64 {
	if i < a.begin || i >= a.end {
		a.begin, a.end = i, min(i+len(a.hashes), len(b.Series))
		for k, key := range b.Series[a.begin:a.end] {
			a.hashes[k] = textindex.Hash(key)
			a.touched += x.Touch(a.hashes[k])
		}
	}
	return a.hashes[i-a.begin]
}

// findSeriesLocked returns the number of a batch's i-th series, which is added if need be.
func (p *Partition) findSeriesLocked(b *Batch, i int) uint32 {
	key := b.Series[i]
	hash := p.mu.ahead.hash(b, i, &p.mu.series)
	n, ok := p.mu.series.Find(hash, func(n uint32) bool { return p.mu.keys[n] == string(key) })
	if !ok {
		n = p.addSeriesLocked(hash, key)
	}
	return n
}

func (p *Partition) addSeriesLocked(hash uint64, key []byte) uint32 {
	n := uint32(len(p.mu.keys))
	before := p.mu.series.Bytes()
	p.mu.series.Add(hash, n)
	owned, allocated := p.mu.texts.AddString(key)
	p.mu.keys, p.mu.next = append(p.mu.keys, owned), append(p.mu.next, n+1)
	p.mu.bytes += p.mu.series.Bytes() - before + int64(allocated) + seriesOverhead
	for i := 0; len(key) > 0; i++ {
		id, value, rest, ok := nextTag(key)
		if !ok {
			panic("partition: series key is not canonical")
		}
		end := len(owned) - len(rest)
		p.tagLocked(id, i).add(n, owned[end-len(value):end], &p.mu.bytes)
		key = rest
	}
	return n
}

// tagLocked returns the column of a tag, made if need be. Mostly it is at position due.
func (p *Partition) tagLocked(id schema.ColumnID, due int) *tagColumn {
	if due < len(p.mu.tags) && p.mu.tags[due].ID == id {
		return &p.mu.tags[due]
	}
	i := slices.IndexFunc(p.mu.tags, func(t tagColumn) bool { return t.ID == id })
	if i < 0 {
		i = len(p.mu.tags)
		p.mu.tags = append(p.mu.tags, tagColumn{TagColumn: TagColumn{ID: id}})
	}
	return &p.mu.tags[i]
}

// add sets the tag of a series, which comes after all that have it, and counts the bytes that
// this takes. Many tags have the value that they had in the series before.
func (t *tagColumn) add(series uint32, value string, bytes *int64) {
	v := uint32(0)
	if n := len(t.Index); n > 0 {
		v = t.Index[n-1]
	}
	if v == 0 || t.Values[v-1] != value {
		v = t.find(value, bytes)
	}
	for len(t.Index) < int(series) {
		t.Index = append(t.Index, 0)
		*bytes += 4
	}
	t.Index = append(t.Index, v)
	*bytes += 4
}

// find returns 1 + the position of a value, which is added if need be.
func (t *tagColumn) find(value string, bytes *int64) uint32 {
	hash := textindex.HashString(value)
	n, ok := t.index.Find(hash, func(n uint32) bool { return t.Values[n] == value })
	if !ok {
		before := t.index.Bytes()
		n = uint32(len(t.Values))
		t.index.Add(hash, n)
		t.Values = append(t.Values, value)
		*bytes += t.index.Bytes() - before + tagValueOverhead
	}
	return n + 1
}

// roomLocked makes sure that the last chunk can take rows of b, and returns up to
// which row. values is the number of values in b.
func (p *Partition) roomLocked(b *Batch, from, values int) (to int) {
	size := minChunkRows
	if n := len(p.mu.chunks); n > 0 {
		last := &p.mu.chunks[n-1]
		missing := p.placeLocked(last, b)
		to = min(len(b.Time), from+p.mu.room-last.Rows)
		if !p.wouldBeSparseLocked(last, b, missing, values) {
			to = p.fitTextLocked(last, b, from, to)
			if to > from {
				return to
			}
		}
		p.padLocked(last)
		size = max(size, 2*last.Rows)
	}
	size = min(max(size, len(b.Time)-from), maxChunkRows)
	p.mu.chunks = append(p.mu.chunks, Chunk{
		Time: make([]int64, 0, size), Series: make([]uint32, 0, size), Range: schema.EmptyTimeRange,
	})
	p.mu.room, p.mu.values = size, 0
	p.mu.bytes += int64(size)*12 + chunkOverhead
	last := &p.mu.chunks[len(p.mu.chunks)-1]
	p.placeLocked(last, b)
	return p.fitTextLocked(last, b, from, min(len(b.Time), from+size))
}

// placeLocked fills mu.place with the positions that the batch's columns have in the
// chunk, -1 for none, and returns the number of those. Columns mostly come in the same
// order, so that each is looked for behind the one before.
func (p *Partition) placeLocked(c *Chunk, b *Batch) (missing int) {
	p.mu.place = p.mu.place[:0]
	next := 0
	for i := range b.Fields {
		at := indexField(c.Fields, b.Fields[i].ID, next)
		if at < 0 {
			missing++
		} else {
			next = at + 1
		}
		p.mu.place = append(p.mu.place, at)
	}
	return missing
}

// indexField finds a column, looking from position first on and then before it.
func indexField(fields []Field, id schema.ColumnID, first int) int {
	for i := first; i < len(fields); i++ {
		if fields[i].ID == id {
			return i
		}
	}
	for i := range first {
		if fields[i].ID == id {
			return i
		}
	}
	return -1
}

// fitTextLocked returns how many of the rows [from, to) fit into the chunk without any
// string column outgrowing maxChunkText. An empty chunk takes at least one row.
func (p *Partition) fitTextLocked(c *Chunk, b *Batch, from, to int) int {
	for i, at := range p.mu.place {
		src := &b.Fields[i]
		if src.Type != schema.String || from == to {
			continue
		}
		room := maxChunkText
		if at >= 0 {
			room -= len(c.Fields[at].Data)
		}
		begin := src.Offsets[from]
		to = from + sort.Search(to-from, func(n int) bool { return int(src.Offsets[from+n+1]-begin) > room })
	}
	if c.Rows == 0 {
		to = max(to, from+1)
	}
	return to
}

// padLocked gives all columns of the last chunk the chunk's number of rows: those that
// the latest batches lack are shorter. Only rows behind those of any snapshot are
// written.
func (p *Partition) padLocked(c *Chunk) {
	for i := range c.Fields {
		f := &c.Fields[i]
		if f.Len() == c.Rows {
			continue
		}
		before := f.capBytes()
		f.reserve(c.Rows, p.mu.room)
		f.Pad(c.Rows)
		p.mu.bytes += f.capBytes() - before
	}
}

// wouldBeSparseLocked reports whether the columns of b, of which the last chunk lacks
// some, and of the chunk are so different that appending would mostly add nulls.
func (p *Partition) wouldBeSparseLocked(last *Chunk, b *Batch, missing, values int) bool {
	if missing == 0 && len(last.Fields) == len(b.Fields) {
		return false
	}
	cells := (len(last.Fields) + missing) * (last.Rows + len(b.Time))
	return isSparse(cells, p.mu.values+values)
}

// appendRowsLocked copies rows [from, to) of b, for which roomLocked made room, into
// the last chunk.
func (p *Partition) appendRowsLocked(b *Batch, from, to int) {
	c := &p.mu.chunks[len(p.mu.chunks)-1]
	c.Time = append(c.Time, b.Time[from:to]...)
	for _, s := range b.Index[from:to] {
		c.Series = append(c.Series, p.mu.remap[s])
	}
	for _, t := range b.Time[from:to] {
		c.Range = c.Range.Include(t)
	}
	headers := cap(c.Fields)
	for i, at := range p.mu.place {
		src := &b.Fields[i]
		if at < 0 {
			at = len(c.Fields)
			c.Fields = append(c.Fields, Field{ID: src.ID, Type: src.Type})
		}
		f := &c.Fields[at]
		before := f.capBytes()
		f.reserve(c.Rows+to-from, p.mu.room)
		f.Pad(c.Rows)
		f.appendRange(src, from, to)
		p.mu.bytes += f.capBytes() - before
	}
	p.mu.bytes += int64(cap(c.Fields)-headers) * fieldHeaderBytes
	c.Rows += to - from
	p.mu.values += b.valuesIn(from, to)
}

// Freeze ends the partition's life as a target of writes and returns what it holds.
func (p *Partition) Freeze() *Snapshot {
	p.mu.Lock()
	p.mu.frozen = true
	p.mu.Unlock()
	return p.Snapshot()
}

// Snapshot returns a picture of the rows appended so far. Its cost depends on the
// number of columns and chunks; of the rows, it copies their validity in one chunk.
func (p *Partition) Snapshot() *Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.chunks); n > 0 {
		p.padLocked(&p.mu.chunks[n-1])
	}
	s := &Snapshot{
		Key: p.key, Rows: p.mu.rows, Time: p.mu.time, Seq: p.mu.seq,
		SeriesCount: len(p.mu.keys),
		Tags:        make([]TagColumn, len(p.mu.tags)),
		Chunks:      slices.Clone(p.mu.chunks),
	}
	for i := range p.mu.tags {
		s.Tags[i] = p.mu.tags[i].TagColumn
	}
	if n := len(s.Chunks); n > 0 {
		s.Chunks[n-1] = snapshotLast(s.Chunks[n-1])
	}
	return s
}

// snapshotLast copies what later appends change in place in the chunk that still
// grows: the field headers, and the validity words.
func snapshotLast(c Chunk) Chunk {
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		c.Fields[i].Valid = slices.Clone(c.Fields[i].Valid)
	}
	return c
}

// Bytes returns the memory that the partition holds.
func (p *Partition) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.bytes
}

// Rows returns the number of rows.
func (p *Partition) Rows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.rows
}

// Seq returns the range of log positions of the rows.
func (p *Partition) Seq() schema.SeqRange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.seq
}
