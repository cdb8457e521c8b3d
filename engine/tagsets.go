package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Which values tags have is asked more often than anything else of them: dashboards fill their lists with it. Rows need not be read
// for that. What is known of a file (persist.Finder) lists its series with their values, and a buffer numbers its own.
// Times decide only where a range of time ends within a row group.

// maxTagSetBytes bounds the memory of the sets of a query, which the pool does not count: a million sets of one tag, about.
const maxTagSetBytes = 32 << 20

// What a set takes beside a number for each tag: while a source is looked through its place in a map, and behind that its rows.
const (
	tagSetMapBytes = 64
	tagSetRowBytes = 12
)

// ErrNoTagSets says that the tag sets of a table follow from its rows only: some were deleted, are versions of records,
// lie in a file of which the series are not known, or there are too many.
var ErrNoTagSets = errors.New("the tag sets are not known without the rows")

// TagSetQuery says which rows TagSets looks at.
type TagSetQuery struct {
	Tags []schema.ColumnID // at least one; only these are told apart
	// Wanted are the times of rows. Sure are those of which one row is as good as all; of others all rows come.
	Wanted, Sure schema.TimeRange
}

// TagSets returns rows of the view, as one buffer for each file and buffer that has some, in which every set of values occurs that the
// tags have in rows with wanted times. They have no fields, and are those of the table but for their times, which may
// be any in the range if that is sure. The errors are ErrNoTagSets, a *FileError, and that of ctx.
func (t *TableView) TagSets(ctx context.Context, q TagSetQuery) ([]*partition.Snapshot, error) {
	isOfRows := func(f FileRef) bool { return len(f.Hidden) > 0 }
	if t.Table.Key.Rule == schema.LatestByTag || slices.ContainsFunc(t.Files, isOfRows) {
		return nil, ErrNoTagSets
	}
	var all []*partition.Snapshot
	left := int64(maxTagSetBytes)
	files := slices.DeleteFunc(slices.Clone(t.Files), func(f FileRef) bool { return !f.Time.Overlaps(q.Wanted) })
	if err := t.verifyIdentity(ctx, files); err != nil {
		return nil, err
	}
	for _, f := range files {
		sets := newTagSets(&q, left)
		err := t.addFileTagSets(ctx, sets, f)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, ErrNoTagSets // which names the fault, if it is one
		}
		all, left = append(all, sets.snapshot(t.Table.ID)), sets.rest()
	}
	for _, b := range t.Buffers {
		if b.Rows > 0 && b.Time.Overlaps(q.Wanted) {
			sets := newTagSets(&q, left)
			if err := sets.addBuffer(b); err != nil {
				return nil, err
			}
			all, left = append(all, sets.snapshot(t.Table.ID)), sets.rest()
		}
	}
	return all, nil
}

// tagSets collects sets of values, each with a row whose time is sure, or with all of its rows.
type tagSets struct {
	query   *TagSetQuery
	numbers map[string]uint32
	isSure  []bool // by number: it has a row whose time is sure
	tags    []partition.TagColumn
	chunk   partition.Chunk
	set     []uint32 // the one at hand: of each tag 0 for null, else 1 + the position in its values
	key     []byte
	left    int64 // bytes; below zero there are too many
}

func newTagSets(q *TagSetQuery, left int64) *tagSets {
	s := &tagSets{
		query: q, numbers: make(map[string]uint32), tags: make([]partition.TagColumn, len(q.Tags)),
		chunk: partition.Chunk{Range: schema.EmptyTimeRange}, set: make([]uint32, len(q.Tags)), left: left,
	}
	for i, id := range q.Tags {
		s.tags[i].ID = id
	}
	return s
}

// number returns the number of the set at hand.
func (s *tagSets) number() uint32 {
	s.key = s.key[:0]
	for _, index := range s.set {
		s.key = binary.LittleEndian.AppendUint32(s.key, index)
	}
	n, ok := s.numbers[string(s.key)]
	if !ok {
		n = uint32(len(s.isSure))
		s.numbers[string(s.key)] = n
		s.isSure = append(s.isSure, false)
		s.left -= tagSetMapBytes + 4*int64(len(s.set))
		for i := range s.tags {
			s.tags[i].Index = append(s.tags[i].Index, s.set[i])
		}
	}
	return n
}

// add adds a row.
func (s *tagSets) add(n uint32, at int64) {
	if s.isSure[n] || !s.query.Wanted.Contains(at) {
		return
	}
	s.isSure[n] = s.query.Sure.Contains(at)
	s.chunk.Rows++
	s.left -= tagSetRowBytes
	s.chunk.Time, s.chunk.Series = append(s.chunk.Time, at), append(s.chunk.Series, n)
	s.chunk.Range = s.chunk.Range.Union(schema.TimeRange{Min: at, Max: at})
}

// rest is the memory that the sets leave once they are a snapshot.
func (s *tagSets) rest() int64 { return s.left + int64(len(s.isSure))*tagSetMapBytes }

func (s *tagSets) snapshot(table schema.TableID) *partition.Snapshot {
	return &partition.Snapshot{
		Key: schema.PartitionKey{Table: table}, Rows: s.chunk.Rows, Time: s.chunk.Range, SeriesCount: len(s.isSure), Tags: s.tags,
		Chunks: []partition.Chunk{s.chunk},
	}
}

// addFileTagSets adds those of a file.
func (t *TableView) addFileTagSets(ctx context.Context, sets *tagSets, file FileRef) error {
	f, err := t.OpenSeries(ctx, file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	known, columns := f.Tags(), make([]int, len(sets.tags))
	for i, id := range sets.query.Tags {
		columns[i] = slices.IndexFunc(known, func(k persist.FinderTag) bool { return k.ID == id })
		if columns[i] >= 0 {
			sets.tags[i].Values = known[columns[i]].Values
		}
	}
	for group := range f.Groups() {
		if err := cmp.Or(sets.addGroup(f, group, columns), context.Cause(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// addGroup adds the sets of a row group. The columns say which of the file's tags are asked for, -1 for one that it lacks.
func (s *tagSets) addGroup(f *SeriesFile, group int, columns []int) error {
	time := f.GroupTime(group)
	if !time.Overlaps(s.query.Wanted) {
		return nil
	}
	isWhole := s.query.Sure.Contains(time.Min) && s.query.Sure.Contains(time.Max)
	var rows []persist.Rows // whose times must be seen
	var numbers []uint32
	for indices, of := range f.Series(group) {
		for i, column := range columns {
			s.set[i] = 0
			if column >= 0 {
				s.set[i] = indices[column]
			}
		}
		switch n := s.number(); {
		case s.isSure[n]:
		case isWhole:
			s.add(n, time.Min)
		default:
			rows, numbers = append(rows, of), append(numbers, n)
		}
	}
	if s.left < 0 {
		return ErrNoTagSets
	}
	if len(rows) == 0 {
		return nil
	}
	var times persist.Numbers
	if err := f.ReadNumbers(group, 0, rows, &times); err != nil {
		return err
	}
	at := 0
	for i, of := range rows {
		for range of.To - of.From {
			s.add(numbers[i], times.Ints[at])
			at++
		}
	}
	return nil
}

// addBuffer adds those of a buffer.
func (s *tagSets) addBuffer(b *partition.Snapshot) error {
	indices := make([][]uint32, len(s.tags))
	for i, id := range s.query.Tags {
		if k := slices.IndexFunc(b.Tags, func(t partition.TagColumn) bool { return t.ID == id }); k >= 0 {
			indices[i], s.tags[i].Values = b.Tags[k].Index, b.Tags[k].Values
		}
	}
	numbers := make([]uint32, b.SeriesCount)
	const unknown = math.MaxUint32
	for i := range numbers {
		numbers[i] = unknown
	}
	for i := range b.Chunks {
		c := &b.Chunks[i]
		if !c.Range.Overlaps(s.query.Wanted) {
			continue
		}
		if s.left < 0 {
			return ErrNoTagSets
		}
		for row, series := range c.Series[:c.Rows] {
			if numbers[series] == unknown {
				for i, index := range indices {
					s.set[i] = 0
					if int(series) < len(index) {
						s.set[i] = index[series]
					}
				}
				numbers[series] = s.number()
			}
			s.add(numbers[series], c.Time[row])
		}
	}
	return nil
}
