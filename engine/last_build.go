package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// The newest rows are read from files in two steps. The first reads tags and time alone. A file
// is in order of tags and time, and what is known of where its series begin (persist.Finder) says which row of each is
// the last. The newest files come first, so that of older ones no times are decoded where a newer row of
// each series is known. Files of which that is not known are decoded from end to end. The second step reads the fields of the
// row groups in which a newest row lies, of most files none.

// errLastTooLarge says that the newest rows of a table need more memory than they may have.
var errLastTooLarge = errors.New("the newest rows of the table need too much memory")

// lastPlace is where a row is.
type lastPlace struct{ file, group, row int }

// lastBuild collects the newest rows of some files.
type lastBuild struct {
	fs    vfs.FS
	files []FileRef // by Order
	limit int64     // bytes
	rows  *lastRows

	newest []int64                // by series
	places []lastPlace            // by series: of a row with that time
	others map[uint32][]lastPlace // further ones with it, in the order of files
	key    []byte
}

// lastPlaceBytes is what the build needs for a series besides its row.
const lastPlaceBytes = 8 + 24

// buildLast returns the newest row of each series in the files of a view. The errors are
// those of reading, errLastTooLarge, and that of ctx.
func buildLast(ctx context.Context, fs vfs.FS, t *TableView, limit int64) (*lastRows, error) {
	b := &lastBuild{fs: fs, files: t.Files, limit: limit, rows: newLastRows(), others: make(map[uint32][]lastPlace)}
	if err := t.verifyIdentity(ctx, t.Files); err != nil {
		return nil, err
	}
	for _, i := range newestFirst(b.files) {
		isDone, err := b.findSeries(ctx, t, i)
		if !isDone && err == nil {
			err = b.find(ctx, i)
		}
		if err != nil {
			return nil, err
		}
	}
	return b.rows, b.fetch(ctx, t)
}

// newestFirst returns the places of files, by their last times.
func newestFirst(files []FileRef) []int {
	order := make([]int, len(files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(files[j].Time.Max, files[i].Time.Max) })
	return order
}

// findSeries is find for a file of which is known where its series are; isDone is false for others.
func (b *lastBuild) findSeries(ctx context.Context, t *TableView, file int) (isDone bool, err error) {
	s, err := t.OpenSeries(ctx, b.files[file])
	if err != nil {
		return false, context.Cause(ctx)
	}
	defer func() { _ = s.Close() }() // it was only read
	if s.CheckNumbers(0) != nil {
		return false, nil
	}
	tags := s.Tags()
	for group := range s.Groups() {
		if err = cmp.Or(b.findInGroup(s, tags, file, group), context.Cause(ctx)); err != nil {
			return true, err
		}
		if b.tooLarge() {
			return true, errLastTooLarge
		}
	}
	return true, nil
}

// findInGroup looks at the last row of each series in a row group of which no newer one is known.
func (b *lastBuild) findInGroup(s *SeriesFile, tags []persist.FinderTag, file, group int) error {
	var last []persist.Rows
	var series []uint32
	for indices, rows := range s.Series(group) {
		b.key = b.key[:0]
		for i, index := range indices {
			if index > 0 {
				b.key = partition.AppendTag(b.key, tags[i].ID, []byte(tags[i].Values[index-1]))
			}
		}
		n := b.rows.number(b.key)
		if int(n) < len(b.newest) && b.newest[n] > s.GroupTime(group).Max {
			continue
		}
		last, series = append(last, persist.Rows{From: rows.To - 1, To: rows.To}), append(series, n)
	}
	if len(last) == 0 {
		return nil
	}
	var times persist.Numbers
	if err := s.ReadNumbers(group, 0, last, &times); err != nil {
		return err
	}
	for i, n := range series {
		b.offer(n, times.Ints[i], lastPlace{file, group, last[i].From})
	}
	return nil
}

// tooLarge reports whether the newest rows need more memory than they may have.
func (b *lastBuild) tooLarge() bool {
	return b.rows.bytes+int64(len(b.places))*lastPlaceBytes > b.limit
}

// open opens a file and calls f.
func (b *lastBuild) open(file int, f func(*persist.Reader) error) error {
	r, err := persist.Open(b.fs, b.files[file].Path)
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.Close())
}

// find looks through one file for newer rows.
func (b *lastBuild) find(ctx context.Context, file int) error {
	return b.open(file, func(r *persist.Reader) error {
		tags := slices.DeleteFunc(slices.Clone(r.Columns()), func(c schema.Column) bool { return c.Type != schema.Tag })
		for group := range r.RowGroups() {
			place := lastPlace{file: file, group: group}
			for rec, err := range r.RowGroup(group, tags) {
				if err = cmp.Or(err, context.Cause(ctx)); err != nil {
					return err
				}
				if err := b.findIn(rec, tags, place, b.files[file].Hidden); err != nil {
					return err
				}
				place.row += int(rec.NumRows())
			}
		}
		return nil
	})
}

// findIn looks at the last row of each series in a record, whose first row is at the place and of
// which some are hidden.
func (b *lastBuild) findIn(rec arrow.RecordBatch, tags []schema.Column, place lastPlace, hidden []*schema.Tombstone) error {
	columns := make([]tagReader, len(tags))
	for i, c := range tags {
		var ok bool
		if columns[i], ok = newTagReader(c.ID, rec.Column(i)); !ok {
			return fmt.Errorf("column %q is not a dictionary of strings", c.Name)
		}
	}
	times, ok := rec.Column(len(tags)).(*array.Timestamp)
	if !ok {
		return errors.New("the time column is not one of instants")
	}
	first := place.row
	for begin, rows := 0, int(rec.NumRows()); begin < rows; {
		last := endOfRun(columns, begin, rows)
		seen := last
		for seen >= begin && isHidden(columns, tags, seen, int64(times.Value(seen)), hidden) {
			seen--
		}
		if seen >= begin {
			b.key = b.key[:0]
			for i := range columns {
				b.key = columns[i].appendTo(b.key, seen)
			}
			place.row = first + seen
			b.offer(b.rows.number(b.key), int64(times.Value(seen)), place)
		}
		begin = last + 1
	}
	if b.tooLarge() {
		return errLastTooLarge
	}
	return nil
}

// isHidden reports whether a row was deleted.
func isHidden(columns []tagReader, tags []schema.Column, row int, at int64, hidden []*schema.Tombstone) bool {
	return slices.ContainsFunc(hidden, func(d *schema.Tombstone) bool {
		return d.Time.Contains(at) && d.Where.Holds(func(tag string) string {
			i := slices.IndexFunc(tags, func(c schema.Column) bool { return c.Name == tag })
			if i < 0 || columns[i].nulls && columns[i].column.IsNull(row) {
				return ""
			}
			return columns[i].values.Value(int(columns[i].indices[row]))
		})
	})
}

// offer notes a row if none that is newer is known.
func (b *lastBuild) offer(series uint32, at int64, place lastPlace) {
	if int(series) == len(b.places) {
		b.newest, b.places = append(b.newest, at), append(b.places, place)
		return
	}
	switch {
	case at > b.newest[series]:
		b.newest[series], b.places[series] = at, place
		delete(b.others, series)
	case at == b.newest[series]:
		b.others[series] = append(b.others[series], place)
	}
}

// tagReader reads a tag column of a record.
type tagReader struct {
	id      schema.ColumnID
	column  *array.Dictionary
	indices []int32
	values  *array.String
	nulls   bool
}

func newTagReader(id schema.ColumnID, column arrow.Array) (t tagReader, ok bool) {
	t.id = id
	if t.column, ok = column.(*array.Dictionary); !ok {
		return t, false
	}
	indices, ok := t.column.Indices().(*array.Int32)
	if !ok {
		return t, false
	}
	t.indices, t.nulls = indices.Int32Values(), t.column.NullN() > 0
	t.values, ok = t.column.Dictionary().(*array.String)
	return t, ok
}

// same reports whether two rows have the same value.
func (t *tagReader) same(a, b int) bool {
	if t.nulls && (t.column.IsNull(a) || t.column.IsNull(b)) {
		return t.column.IsNull(a) == t.column.IsNull(b)
	}
	return t.indices[a] == t.indices[b]
}

// appendTo adds the value of a row to a canonical key.
func (t *tagReader) appendTo(key []byte, row int) []byte {
	if t.nulls && t.column.IsNull(row) {
		return key
	}
	return partition.AppendTag(key, t.id, []byte(t.values.Value(int(t.indices[row]))))
}

// endOfRun returns the last of the rows from begin on that have the same tags. They follow one
// another, so that steps that grow and then shrink find it.
func endOfRun(columns []tagReader, begin, rows int) int {
	same := func(row int) bool {
		for i := range columns {
			if !columns[i].same(begin, row) {
				return false
			}
		}
		return true
	}
	step := 1
	for begin+step < rows && same(begin+step) {
		step *= 2
	}
	low, high := begin+step/2, min(begin+step, rows) // the same at low, another one at high
	return low + sort.Search(high-low-1, func(i int) bool { return !same(low + 1 + i) })
}

// placedSeries is a row that is wanted.
type placedSeries struct {
	lastPlace
	series uint32
}

// fetch reads the rows that were found, file by file, so that later files win.
func (b *lastBuild) fetch(ctx context.Context, t *TableView) error {
	var wanted []placedSeries
	for n, place := range b.places {
		wanted = append(wanted, placedSeries{place, uint32(n)})
		for _, other := range b.others[uint32(n)] {
			wanted = append(wanted, placedSeries{other, uint32(n)})
		}
	}
	slices.SortFunc(wanted, func(x, y placedSeries) int {
		return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.group, y.group), cmp.Compare(x.row, y.row))
	})
	var files []FileRef
	for i, w := range wanted {
		if i == 0 || w.file != wanted[i-1].file {
			files = append(files, b.files[w.file])
		}
	}
	var fields []schema.ColumnID
	for _, c := range t.Table.Columns {
		if c.Type != schema.Tag {
			fields = append(fields, c.ID)
		}
	}
	if err := t.Verify(ctx, files, fields); err != nil {
		return err
	}
	for len(wanted) > 0 {
		n := sort.Search(len(wanted), func(i int) bool { return wanted[i].file > wanted[0].file })
		if err := b.fetchFile(ctx, wanted[:n]); err != nil {
			return err
		}
		wanted = wanted[n:]
	}
	return nil
}

// fetchFile reads rows of one file.
func (b *lastBuild) fetchFile(ctx context.Context, wanted []placedSeries) error {
	return b.open(wanted[0].file, func(r *persist.Reader) error {
		fields := slices.DeleteFunc(slices.Clone(r.Columns()), func(c schema.Column) bool { return c.Type == schema.Tag })
		for len(wanted) > 0 {
			n := sort.Search(len(wanted), func(i int) bool { return wanted[i].group > wanted[0].group })
			base, left := 0, wanted[:n]
			for rec, err := range r.RowGroup(wanted[0].group, fields) {
				if err = cmp.Or(err, context.Cause(ctx)); err != nil {
					return err
				}
				base, left = b.takeFrom(rec, fields, base, left)
			}
			wanted = wanted[n:]
			if b.rows.bytes > b.limit {
				return errLastTooLarge
			}
		}
		return nil
	})
}

// takeFrom takes the wanted rows that lie in a record, and returns the others with the number of the
// row behind the record.
func (b *lastBuild) takeFrom(rec arrow.RecordBatch, fields []schema.Column, base int, wanted []placedSeries) (int, []placedSeries) {
	end := base + int(rec.NumRows())
	n := sort.Search(len(wanted), func(i int) bool { return wanted[i].row >= end })
	rows, numbers := make([]int, n), make([]uint32, n)
	c := partition.Chunk{Rows: n, Time: make([]int64, n), Series: make([]uint32, n)}
	for i, w := range wanted[:n] {
		rows[i], numbers[i] = w.row-base, w.series
		c.Time[i], c.Series[i] = b.newest[w.series], uint32(i)
	}
	for i, f := range fields {
		c.Fields = append(c.Fields, gather(rec.Column(i+1), f, rows))
	}
	b.rows.take(&c, 0, n, numbers)
	return end, wanted[n:]
}

// gather copies some rows of a field. persist has made sure that the array has its type.
func gather(a arrow.Array, column schema.Column, rows []int) partition.Field {
	f := partition.Field{ID: column.ID, Type: column.Type, Valid: make([]uint64, (len(rows)+63)/64)}
	for i, r := range rows {
		if a.IsValid(r) {
			f.Valid[i>>6] |= 1 << (i & 63)
		}
	}
	switch a := a.(type) {
	case *array.Int64:
		for _, r := range rows {
			f.Int64 = append(f.Int64, a.Value(r))
		}
	case *array.Uint64:
		for _, r := range rows {
			f.Uint64 = append(f.Uint64, a.Value(r))
		}
	case *array.Float64:
		for _, r := range rows {
			f.Float64 = append(f.Float64, a.Value(r))
		}
	case *array.Boolean:
		for _, r := range rows {
			value := uint8(0)
			if a.IsValid(r) && a.Value(r) {
				value = 1
			}
			f.Bool = append(f.Bool, value)
		}
	case *array.String:
		f.Offsets = append(f.Offsets, 0)
		for _, r := range rows {
			if a.IsValid(r) {
				f.Data = append(f.Data, a.Value(r)...)
			}
			f.Offsets = append(f.Offsets, uint32(len(f.Data)))
		}
	}
	return f
}
