package persist

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"

	"github.com/siltstone-db/siltstone/schema"
)

// Selection says which rows of a file are wanted, by their values, and what of them.
type Selection struct {
	Time   schema.TimeRange
	Tags   []TagTest
	Fields []FieldTest // at most one for a column
	// Columns are those that are wanted besides time: tags and fields.
	Columns []schema.ColumnID
}

// TagTest accepts some values of a tag; of null ok is false.
type TagTest struct {
	Column  schema.ColumnID
	Accepts func(value string, ok bool) bool
}

// FieldTest accepts some values of a field. Keep clears the bits of the rows that it does not accept;
// Null says whether it accepts null, which is what a field is that a file has not.
type FieldTest struct {
	Column schema.ColumnID
	Keep   func(f *FoundField, keep []uint64)
	Null   bool
}

// Selector reads the wanted rows of a file, one row group after the other: times first, then the fields
// that are tested, and of the others only the pages in which a row is left. It may be used
// concurrently.
type Selector struct {
	finder    *Finder
	selection *Selection
	sets      []tagSet
	tests     []fieldTest
	tags      []int           // positions of those that are wanted
	fields    []schema.Column // that are wanted
	nothing   bool            // no row is wanted
	partRows  int             // how many are read at a time
}

type fieldTest struct {
	column schema.Column
	keep   func(f *FoundField, keep []uint64)
}

// Selector prepares to read. ErrNotSupported says that the file is to be read in another way; it is
// said here and not later.
func (f *Finder) Selector(src io.ReaderAt, selection *Selection) (s *Selector, err error) {
	defer recoverTo(&err, "column chunk")
	s = &Selector{finder: f, selection: selection, fields: f.fields(selection.Columns)}
	s.partRows = max(1, maxSelectedBytes/(8*(len(s.fields)+2)))
	for i, t := range f.tags {
		if slices.Contains(selection.Columns, t.id) {
			s.tags = append(s.tags, i)
		}
	}
	for _, t := range selection.Tags {
		s.addTagTest(t)
	}
	for _, t := range selection.Fields {
		if found := f.fields([]schema.ColumnID{t.Column}); len(found) > 0 {
			s.tests = append(s.tests, fieldTest{found[0], t.Keep})
		} else if !t.Null {
			s.nothing = true
		}
	}
	for g := range f.groups {
		if s.Wants(g) {
			if err := s.check(&f.groups[g], src); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *Selector) addTagTest(t TagTest) {
	i := slices.IndexFunc(s.finder.tags, func(have tagValues) bool { return have.id == t.Column })
	if i < 0 {
		s.nothing = s.nothing || !t.Accepts("", false)
		return
	}
	values := s.finder.tags[i].values
	set := tagSet{i, make([]bool, len(values)+1)}
	set.wanted[0] = t.Accepts("", false)
	for k, v := range values {
		set.wanted[k+1] = t.Accepts(v, true)
	}
	s.nothing = s.nothing || !slices.Contains(set.wanted, true)
	s.sets = append(s.sets, set)
}

// check finds the pages that may be read, and makes sure that all can be.
func (s *Selector) check(g *finderGroup, src io.ReaderAt) error {
	columns := slices.Clone(s.fields)
	for _, t := range s.tests {
		columns = append(columns, t.column)
	}
	times := &g.chunks[len(s.finder.tags)]
	if err := times.check(src, false); err != nil {
		return err
	}
	for _, column := range columns {
		if err := s.finder.place(g, column).check(src, column.Type == schema.Bool || column.Type == schema.String); err != nil {
			return fmt.Errorf("column %q: %w", column.Name, err)
		}
	}
	return nil
}

// check reports ErrNotSupported for pages of numbers, or of plain values, that cannot be decoded.
func (c *chunkPlace) check(src io.ReaderAt, plain bool) error {
	if err := c.scan(src); err != nil {
		return err
	}
	for i := range c.pages {
		switch e := c.pages[i].encoding; {
		case e == parquet.Encodings.Plain, isDictionary(e) && c.dict != nil:
		case plain:
			return fmt.Errorf("%w: values in encoding %v", ErrNotSupported, e)
		case e == parquet.Encodings.DeltaBinaryPacked && !c.floats, e == parquet.Encodings.ByteStreamSplit && c.floats:
		default:
			return fmt.Errorf("%w: numbers in encoding %v", ErrNotSupported, e)
		}
	}
	return nil
}

// Groups is the number of row groups.
func (s *Selector) Groups() int { return len(s.finder.groups) }

// Wants reports whether a row group may have rows that are wanted.
func (s *Selector) Wants(group int) bool {
	return !s.nothing && s.finder.groups[group].time.Overlaps(s.selection.Time)
}

// maxSelectedBytes bounds the numbers that are held of rows that were selected: of a row group with more
// of them pages may be read more than once.
const maxSelectedBytes = 16 << 20

// Read calls yield with the wanted rows of a row group, in order. They lie in the buffers, which are used again
// when it has returned; without buffers they are its own.
func (s *Selector) Read(src io.ReaderAt, group int, buffers *SelectionBuffers, yield func(*Found) error) error {
	r := groupSelection{Selector: s, src: src, group: &s.finder.groups[group], buffers: buffers}
	buffers.release(0)
	if err := r.find(group); err != nil {
		return err
	}
	for taken := buffers.taken(); len(r.times) > 0; buffers.release(taken) {
		part, err := r.next()
		if err != nil {
			return err
		}
		if err := yield(part); err != nil {
			return err
		}
	}
	return nil
}

// groupSelection are the rows of a row group that are left.
type groupSelection struct {
	*Selector

	src     io.ReaderAt
	group   *finderGroup
	buffers *SelectionBuffers
	found   Found // without rows
	spans   []span
	times   []int64
	tested  []FoundField // nil where they are to be read again
}

// find makes all tests.
func (r *groupSelection) find(group int) (err error) {
	defer recoverTo(&err, "column chunk")
	f := r.finder
	places := make([]map[uint32]uint32, len(r.tags))
	for i, tag := range r.tags {
		r.found.Tags = append(r.found.Tags, FoundTag{ID: f.tags[tag].id})
		places[i] = make(map[uint32]uint32)
	}
	spans := f.groupSpans(group, r.sets, func(indices []uint32) {
		for i, tag := range r.tags {
			r.found.Tags[i].add(indices[tag], f.tags[tag].values, places[i])
		}
	})
	r.found.Series = len(spans)
	if r.spans, r.times, err = f.readTimes(r.group, r.src, spans, r.selection.Time, r.buffers); err != nil {
		return err
	}
	r.tested = make([]FoundField, len(r.tests))
	for i := range r.tests {
		if len(r.times) == 0 {
			return nil
		}
		if err := r.test(i); err != nil {
			return err
		}
	}
	if len(r.times) > r.partRows {
		r.tested = nil
	}
	return nil
}

// test leaves the rows that a test accepts.
func (r *groupSelection) test(i int) error {
	if err := r.finder.readField(r.group, r.src, r.spans, r.tests[i].column, &r.tested[i], r.buffers); err != nil {
		return err
	}
	keep := r.buffers.zeros((len(r.times) + 63) / 64)
	setRange(keep, 0, len(r.times))
	r.tests[i].keep(&r.tested[i], keep)
	r.spans, r.times = pickSpans(r.spans, keep), pickRows(r.times, keep)
	for k := range r.tested[:i+1] {
		r.tested[k].pick(keep, len(r.times))
	}
	return nil
}

// next reads the next rows.
func (r *groupSelection) next() (part *Found, err error) {
	defer recoverTo(&err, "column chunk")
	n := min(r.partRows, len(r.times))
	spans, rest := cutSpans(r.spans, n)
	piece := FoundPiece{Fields: make([]FoundField, len(r.fields)), Series: r.buffers.series(n)}
	piece.place(spans, r.times[:n:n])
	for i, column := range r.fields {
		if k := slices.IndexFunc(r.tested, func(t FoundField) bool { return t.Column.ID == column.ID }); k >= 0 {
			piece.Fields[i] = r.tested[k]
		} else if err := r.finder.readField(r.group, r.src, spans, column, &piece.Fields[i], r.buffers); err != nil {
			return nil, err
		}
	}
	r.spans, r.times = rest, r.times[n:]
	return &Found{Series: r.found.Series, Tags: r.found.Tags, Pieces: []FoundPiece{piece}}, nil
}

// cutSpans divides spans behind n rows.
func cutSpans(spans []span, n int) (head, tail []span) {
	for i, s := range spans {
		switch rows := s.to - s.from; {
		case n >= rows:
			n -= rows
		case n == 0:
			return spans[:i], spans[i:]
		default:
			tail = append([]span{{s.from + n, s.to, s.series}}, spans[i+1:]...)
			return append(slices.Clone(spans[:i]), span{s.from, s.from + n, s.series}), tail
		}
	}
	return spans, nil
}
