package persist

import (
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/parquet"

	"github.com/siltstone-db/siltstone/schema"
)

// series finds the wanted series, by row group.
func (f *Finder) series(w *Wanted) ([][]span, *Found, error) {
	sets, some := f.sets(w)
	spans := make([][]span, len(f.groups))
	found := &Found{}
	for _, t := range f.tags {
		found.Tags = append(found.Tags, FoundTag{ID: t.id})
	}
	if !some || w.Time.IsEmpty() {
		return spans, found, nil
	}
	places := make([]map[uint32]uint32, len(f.tags)) // by index in the file: position in the answer, plus 1
	for i := range places {
		places[i] = make(map[uint32]uint32)
	}
	rows := 0
	for g := range f.groups {
		if !f.groups[g].time.Overlaps(w.Time) {
			continue
		}
		spans[g] = f.groupSpans(g, sets, func(indices []uint32) {
			for i, index := range indices {
				found.Tags[i].add(index, f.tags[i].values, places[i])
			}
		})
		for i := range spans[g] {
			spans[g][i].series = uint32(found.Series + i)
		}
		found.Series += len(spans[g])
		if rows += countSpans(spans[g]); rows > w.MaxSeriesRows {
			return nil, nil, fmt.Errorf("%w: the series have more than %d rows", ErrNotSupported, w.MaxSeriesRows)
		}
	}
	return spans, found, nil
}

// groupSpans returns the rows of the wanted series of a row group, which are numbered from 0. It calls add
// with the tags of each.
func (f *Finder) groupSpans(g int, sets []tagSet, add func(indices []uint32)) (spans []span) {
	group := &f.groups[g]
	for s := group.first; s < group.next; s++ {
		indices := f.indices[s*len(f.tags) : (s+1)*len(f.tags)]
		if !meets(indices, sets) {
			continue
		}
		one := span{int(f.starts[s]), group.rows, uint32(len(spans))}
		if s+1 < group.next {
			one.to = int(f.starts[s+1])
		}
		spans = append(spans, one)
		add(indices)
	}
	return spans
}

func (t *FoundTag) add(index uint32, values []string, places map[uint32]uint32) {
	if index == 0 {
		t.Indices = append(t.Indices, 0)
		return
	}
	place, ok := places[index]
	if !ok {
		t.Values = append(t.Values, values[index-1])
		place = uint32(len(t.Values))
		places[index] = place
	}
	t.Indices = append(t.Indices, place)
}

// tagSet are the wanted values of the tag at a position, by index; 0, null, is never wanted.
type tagSet struct {
	tag    int
	wanted []bool
}

// sets translates the wanted values; some is false if none of a tag's occurs in the file.
func (f *Finder) sets(w *Wanted) (sets []tagSet, some bool) {
	for id, values := range w.Tags {
		tag := slices.IndexFunc(f.tags, func(t tagValues) bool { return t.id == id })
		if tag < 0 {
			return nil, false
		}
		set := tagSet{tag, make([]bool, len(f.tags[tag].values)+1)}
		wanted := make(map[string]bool, len(values))
		for _, v := range values {
			wanted[v] = true
		}
		any := false
		for i, v := range f.tags[tag].values {
			set.wanted[i+1] = wanted[v]
			any = any || wanted[v]
		}
		if !any {
			return nil, false
		}
		sets = append(sets, set)
	}
	return sets, true
}

func meets(indices []uint32, sets []tagSet) bool {
	for i := range sets {
		if !sets[i].wanted[indices[sets[i].tag]] {
			return false
		}
	}
	return true
}

// fields returns the named columns that the file has and that are no tags.
func (f *Finder) fields(ids []schema.ColumnID) []schema.Column {
	var fields []schema.Column
	for _, id := range ids {
		i := slices.IndexFunc(f.columns, func(c schema.Column) bool { return c.ID == id })
		if i >= 0 && f.columns[i].Type != schema.Tag {
			fields = append(fields, f.columns[i])
		}
	}
	return fields
}

// place returns a field's column chunk in a row group: tags, time and fields are in this order.
func (f *Finder) place(g *finderGroup, field schema.Column) *chunkPlace {
	_, fields := split(f.columns)
	return &g.chunks[len(f.tags)+1+slices.Index(fields, field)]
}

// readTimes reads the times of spans, and returns what of both lies in a range.
func (f *Finder) readTimes(g *finderGroup, src io.ReaderAt, spans []span, r schema.TimeRange, room *SelectionBuffers) ([]span, []int64, error) {
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	words := room.take(countSpans(spans))
	c := &g.chunks[len(f.tags)]
	if err := c.readWords(src, spans, words, nil, buffers); err != nil {
		return nil, nil, fmt.Errorf("time: %w", err)
	}
	all := castNumbers[int64](words)
	wanted, trimmed := all[:0], spans[:0:0]
	for _, s := range spans {
		own := all[:s.to-s.from]
		all = all[s.to-s.from:]
		from := sort.Search(len(own), func(i int) bool { return own[i] >= r.Min })
		to := from + sort.Search(len(own)-from, func(i int) bool { return own[from+i] > r.Max })
		if from < to {
			trimmed = append(trimmed, span{s.from + from, s.from + to, s.series})
			wanted = append(wanted, own[from:to]...)
		}
	}
	return trimmed, wanted, nil
}

// place notes the times of the rows in spans, and of which series they are, for which there is room.
func (p *FoundPiece) place(spans []span, times []int64) {
	p.Times, p.Range = times, schema.EmptyTimeRange
	at := 0
	for _, s := range spans {
		end := at + s.to - s.from
		for i := at; i < end; i++ {
			p.Series[i] = s.series
		}
		p.Range = p.Range.Include(times[at]).Include(times[end-1])
		at = end
	}
}

func countSpans(spans []span) (rows int) {
	for _, s := range spans {
		rows += s.to - s.from
	}
	return rows
}

// readField reads a field of the rows in spans.
func (f *Finder) readField(g *finderGroup, src io.ReaderAt, spans []span, column schema.Column, into *FoundField, room *SelectionBuffers) error {
	rows := countSpans(spans)
	into.Column = column
	if rows == 0 {
		return nil
	}
	buffers := pagePool.Get().(*pageBuffers)
	defer pagePool.Put(buffers)
	c := f.place(g, column)
	valid := room.zeros((rows + 63) / 64)
	var err error
	switch column.Type {
	case schema.Bool:
		into.Bools = make([]uint8, rows)
		err = c.readBools(src, spans, into.Bools, valid, buffers)
	case schema.String:
		into.Offsets = make([]uint32, 1, rows+1)
		err = c.readTexts(src, spans, into, valid, buffers)
	default:
		into.Words = room.take(rows)
		err = c.readWords(src, spans, into.Words, valid, buffers)
	}
	if err != nil {
		return fmt.Errorf("column %q: %w", column.Name, err)
	}
	for i := range rows {
		if valid[i/64]>>(i%64)&1 == 0 {
			into.Valid = valid
			break
		}
	}
	return nil
}

// pageVisit is called for the part of a span that lies in a page: rows from to to of the page
// become the rows from out on of the answer.
type pageVisit func(p *page, present *presence, values []byte, from, to, out int) error

// visit goes through the pages in which spans lie, in order; begin is called before a page.
func (c *chunkPlace) visit(src io.ReaderAt, spans []span, buffers *pageBuffers, begin func(p *page, values []byte, count int) error, part pageVisit) error {
	if err := c.scan(src); err != nil {
		return err
	}
	out, k := 0, 0
	var open *page
	var present presence
	var values []byte
	for _, s := range spans {
		for k < len(c.pages) && c.pages[k].first+c.pages[k].rows <= s.from {
			k++
		}
		for row := s.from; row < s.to; {
			if k >= len(c.pages) {
				return errShort
			}
			p := &c.pages[k]
			if p != open {
				body, err := buffers.read(src, p)
				if err != nil {
					return err
				}
				if present, values, err = c.split(body, p.rows); err != nil {
					return err
				}
				if err := begin(p, values, present.rank(p.rows)); err != nil {
					return err
				}
				open = p
			}
			to := min(s.to, p.first+p.rows)
			if err := part(p, &present, values, row-p.first, to-p.first, out); err != nil {
				return err
			}
			out += to - row
			if row = to; row < s.to {
				k++
			}
		}
	}
	return nil
}

// setRange sets bits from, from+1, … to-1.
func setRange(set []uint64, from, to int) {
	for from < to && from%64 != 0 {
		set[from/64] |= 1 << (from % 64)
		from++
	}
	for ; from+64 <= to; from += 64 {
		set[from/64] = ^uint64(0)
	}
	for ; from < to; from++ {
		set[from/64] |= 1 << (from % 64)
	}
}

// wordVisit is called for the part of a span that lies in a page, with a reader of its values, of which there are so many: rows
// from to to of the page become the rows from out on of the answer.
type wordVisit func(w words, present *presence, count, from, to, out int) error

// visitWords goes through the numbers of spans.
func (c *chunkPlace) visitWords(src io.ReaderAt, spans []span, buffers *pageBuffers, part wordVisit) error {
	dictionary, err := c.dictionaryWords(src, buffers)
	if err != nil {
		return err
	}
	var reader words
	done := 0 // values of the page that were passed or read
	begin := func(p *page, values []byte, count int) error {
		done = 0
		reader, err = newWords(p.encoding, c.floats, values, count, dictionary)
		return err
	}
	return c.visit(src, spans, buffers, begin, func(_ *page, present *presence, _ []byte, from, to, out int) error {
		first, last := present.rank(from), present.rank(to)
		if err := reader.skip(first - done); err != nil {
			return err
		}
		done = last
		return part(reader, present, last-first, from, to, out)
	})
}

// readWords reads numbers; valid is nil for a column that is not optional.
func (c *chunkPlace) readWords(src io.ReaderAt, spans []span, dst, valid []uint64, buffers *pageBuffers) error {
	return c.visitWords(src, spans, buffers, func(w words, present *presence, count, from, to, out int) error {
		if err := w.read(dst[out : out+count]); err != nil {
			return err
		}
		if valid == nil {
			return nil
		}
		if count == to-from {
			setRange(valid, out, out+to-from)
			return nil
		}
		// Move the values to their rows, from the end.
		for i, v := to-from-1, out+count; i >= 0; i-- {
			if present.has(from + i) {
				v--
				dst[out+i] = dst[v]
				valid[(out+i)/64] |= 1 << ((out + i) % 64)
			} else {
				dst[out+i] = 0
			}
		}
		return nil
	})
}

// dictionaryWords reads the dictionary of a column of numbers.
func (c *chunkPlace) dictionaryWords(src io.ReaderAt, buffers *pageBuffers) ([]uint64, error) {
	if err := c.scan(src); err != nil || c.dict == nil {
		return nil, err
	}
	body, err := buffers.read(src, c.dict)
	if err != nil {
		return nil, err
	}
	return wordsOf(body, c.dict.rows)
}

func (c *chunkPlace) readBools(src io.ReaderAt, spans []span, dst []uint8, valid []uint64, buffers *pageBuffers) error {
	begin := func(p *page, _ []byte, _ int) error {
		if p.encoding != parquet.Encodings.Plain {
			return fmt.Errorf("%w: booleans in encoding %v", ErrNotSupported, p.encoding)
		}
		return nil
	}
	return c.visit(src, spans, buffers, begin, func(_ *page, present *presence, values []byte, from, to, out int) error {
		for row := from; row < to; row++ {
			if !present.has(row) {
				continue
			}
			bit, err := bitAt(values, present.rank(row))
			if err != nil {
				return err
			}
			at := out + row - from
			dst[at] = bit
			valid[at/64] |= 1 << (at % 64)
		}
		return nil
	})
}

func (c *chunkPlace) readTexts(src io.ReaderAt, spans []span, into *FoundField, valid []uint64, buffers *pageBuffers) error {
	if err := c.scan(src); err != nil {
		return err
	}
	own := pagePool.Get().(*pageBuffers) // the dictionary's
	defer pagePool.Put(own)
	dictionary, err := c.texts(src, own)
	if err != nil {
		return err
	}
	var next func() ([]byte, error)
	done := 0
	begin := func(p *page, values []byte, _ int) error {
		done = 0
		next, err = textReader(p.encoding, values, dictionary)
		return err
	}
	return c.visit(src, spans, buffers, begin, func(_ *page, present *presence, _ []byte, from, to, out int) error {
		for ; done < present.rank(from); done++ {
			if _, err := next(); err != nil {
				return err
			}
		}
		for row := from; row < to; row++ {
			if present.has(row) {
				text, err := next()
				if err != nil {
					return err
				}
				done++
				into.Data = append(into.Data, text...)
				at := out + row - from
				valid[at/64] |= 1 << (at % 64)
			}
			into.Offsets = append(into.Offsets, uint32(len(into.Data)))
		}
		return nil
	})
}

// textReader returns a function that gives the texts of a page, one after the other.
func textReader(encoding parquet.Encoding, values []byte, dictionary [][]byte) (func() ([]byte, error), error) {
	switch {
	case encoding == parquet.Encodings.Plain:
		return func() (text []byte, err error) {
			text, values, err = nextText(values)
			return text, err
		}, nil
	case isDictionary(encoding):
		h, err := newIndices(values)
		return func() ([]byte, error) {
			k, _, err := h.run(1)
			if err == nil && int(k) >= len(dictionary) {
				err = errCode
			}
			if err != nil {
				return nil, err
			}
			return dictionary[k], nil
		}, err
	}
	return nil, fmt.Errorf("%w: texts in encoding %v", ErrNotSupported, encoding)
}
