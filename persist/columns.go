package persist

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Columns is what is known of a file before its rows are read. It does not change, and any
// number of goroutines may use it.
type Columns struct {
	fs     vfs.FS
	path   string
	meta   *metadata.FileMetaData
	footer footer
}

// OpenColumns reads the footer of a file.
func OpenColumns(fs vfs.FS, path string) (c *Columns, err error) {
	src, err := openSource(fs, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	defer recoverTo(&err, path)
	c = &Columns{fs: fs, path: path}
	if c.meta, err = src.readMetadata(); err != nil {
		return nil, &CorruptError{Path: path, Err: err}
	}
	if c.footer, err = parseFooter(c.meta, src.Size()); err != nil {
		return nil, &CorruptError{Path: path, Err: err}
	}
	return c, nil
}

// Groups is the number of row groups, GroupRows that of the rows of one.
func (c *Columns) Groups() int { return len(c.footer.groupRows) }

// GroupRows is the number of rows of a row group.
func (c *Columns) GroupRows(group int) int { return int(c.footer.groupRows[group]) }

// GroupTime is the range of the times of a row group.
func (c *Columns) GroupTime(group int) schema.TimeRange { return c.footer.groupTimes[group] }

// Has reports whether the file has a column.
func (c *Columns) Has(id schema.ColumnID) bool { return c.at(id) >= 0 }

// at returns where a column, 0 for time, is in the file, or -1.
func (c *Columns) at(id schema.ColumnID) int {
	tags, fields := split(c.footer.columns)
	if id == 0 {
		return len(tags)
	}
	has := func(column schema.Column) bool { return column.ID == id }
	if i := slices.IndexFunc(tags, has); i >= 0 {
		return i
	}
	if i := slices.IndexFunc(fields, has); i >= 0 {
		return len(tags) + 1 + i
	}
	return -1
}

// ColumnReader reads single column chunks of a file, which it does not verify. It decodes what
// Write writes, for one goroutine, at a nanosecond a value or so, which is several times faster
// than records: tags are returned as runs, and no level is looked at twice.
type ColumnReader struct {
	columns *Columns
	source  *source
	file    *file.Reader
	runs    []run // to work in
}

// NewReader opens the file for reading. The caller must close the reader.
func (c *Columns) NewReader() (r *ColumnReader, err error) {
	src, err := openSource(c.fs, c.path)
	if err != nil {
		return nil, err
	}
	defer recoverTo(&err, c.path)
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	pf, err := file.NewParquetReader(src, file.WithReadProps(props), file.WithMetadata(c.meta))
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return &ColumnReader{columns: c, source: src, file: pf}, nil
}

// Close closes the file.
func (r *ColumnReader) Close() error { return r.source.Close() }

// Numbers are the values of a row group's column: 64-bit integers, of either sign, or floats.
type Numbers struct {
	Ints   []int64
	Floats []float64
	// Valid says by row whether there is a value; nil where all rows have one.
	Valid []bool

	words []uint64 // of either
	bits  []uint64 // to work in, as what follows
	valid []bool
}

// Runs are the values of a tag of a row group, as runs of equal ones.
type Runs struct {
	Values  []string // the dictionary
	Index   []int32  // by run: an index of Values; -1 is null
	Lengths []int32  // by run: its rows
}

// ReadNumbers replaces dst by an int64, uint64, float64 or time column of a row group. An
// error may be ErrNotSupported.
func (r *ColumnReader) ReadNumbers(group int, id schema.ColumnID, dst *Numbers) (err error) {
	defer recoverTo(&err, r.columns.path)
	at := r.columns.at(id)
	if at < 0 {
		return fmt.Errorf("persist: %s has no column with id %d", r.columns.path, id)
	}
	n := r.columns.GroupRows(group)
	d := numberDecoder{n: n, out: dst, nullable: id != 0}
	dst.words = slices.Grow(dst.words[:0], n)[:n]
	dst.Ints, dst.Floats, dst.Valid = nil, nil, nil
	switch r.columns.meta.Schema.Column(at).PhysicalType() {
	case parquet.Types.Int64:
		dst.Ints = castNumbers[int64](dst.words)
	case parquet.Types.Double:
		dst.Floats, d.floats = castNumbers[float64](dst.words), true
	default:
		return ErrNotSupported
	}
	if err := r.pages(group, at, d.dictionary, func(p *file.DataPageV1) error { return d.page(r, p) }); err != nil {
		return err
	}
	if d.done != n {
		return fmt.Errorf("persist: %s: column %d of row group %d has %d values for %d rows", r.columns.path, at, group, d.done, n)
	}
	return nil
}

// pages visits the pages of a column chunk.
func (r *ColumnReader) pages(group, at int, dictionary func([]byte, int) error, page func(*file.DataPageV1) error) error {
	pages, err := r.file.RowGroup(group).GetColumnPageReader(at)
	if err != nil {
		return err
	}
	defer pages.Close()
	for pages.Next() {
		switch p := pages.Page().(type) {
		case *file.DictionaryPage:
			err = dictionary(p.Data(), int(p.NumValues()))
		case *file.DataPageV1:
			err = page(p)
		default:
			err = ErrNotSupported
		}
		if err != nil {
			return err
		}
	}
	return pages.Err()
}

// numberDecoder reads the pages of a column of numbers.
type numberDecoder struct {
	n, done  int
	floats   bool
	nullable bool
	out      *Numbers
	known    []uint64 // the dictionary
}

func (d *numberDecoder) dictionary(data []byte, n int) (err error) {
	d.known, err = wordsOf(data, n)
	return err
}

func (d *numberDecoder) page(r *ColumnReader, p *file.DataPageV1) error {
	n, data := int(p.NumValues()), p.Data()
	if n > d.n-d.done {
		return errLong
	}
	present := n
	if d.nullable {
		var err error
		if r.runs, data, err = levelRuns(r.runs[:0], data, n); err != nil {
			return err
		}
		present = 0
		for _, run := range r.runs {
			present += int(run.value) * int(run.length)
		}
	}
	if err := d.values(parquet.Encoding(p.Encoding()), data, present); err != nil {
		return err
	}
	d.place(r.runs, n, present)
	d.done += n
	return nil
}

// values reads the values that are there, one behind the other.
func (d *numberDecoder) values(e parquet.Encoding, data []byte, present int) error {
	reader, err := newWords(e, d.floats, data, present, d.known)
	if err != nil {
		return err
	}
	return reader.read(d.out.words[d.done : d.done+present])
}

// place moves the values of a page to their rows and notes which rows have none.
func (d *numberDecoder) place(levels []run, n, present int) {
	if present == n {
		if d.out.Valid != nil {
			for i := range n {
				d.out.Valid[d.done+i] = true
			}
		}
		return
	}
	if d.out.Valid == nil {
		d.out.valid = slices.Grow(d.out.valid[:0], d.n)[:d.n]
		d.out.Valid = d.out.valid
		for i := range d.done {
			d.out.Valid[i] = true
		}
	}
	row, from := n, present
	for i := len(levels) - 1; i >= 0; i-- { // from behind: values move backwards
		length := int(levels[i].length)
		row -= length
		valid := d.out.Valid[d.done+row : d.done+row+length]
		for k := range valid {
			valid[k] = levels[i].value != 0
		}
		if levels[i].value == 0 {
			continue
		}
		from -= length
		copy(d.out.words[d.done+row:], d.out.words[d.done+from:d.done+from+length])
	}
}

// ReadRuns replaces dst by a tag of a row group. An error may be ErrNotSupported.
func (r *ColumnReader) ReadRuns(group int, id schema.ColumnID, dst *Runs) (err error) {
	defer recoverTo(&err, r.columns.path)
	at := r.columns.at(id)
	if at < 0 {
		return fmt.Errorf("persist: %s has no column with id %d", r.columns.path, id)
	}
	dst.Values, dst.Index, dst.Lengths = nil, dst.Index[:0], dst.Lengths[:0]
	rows := 0
	var codes []run
	dictionary := func(data []byte, n int) error {
		texts, err := textsOf(data, n)
		for _, text := range texts {
			dst.Values = append(dst.Values, string(text))
		}
		return err
	}
	page := func(p *file.DataPageV1) error {
		n, data := int(p.NumValues()), p.Data()
		if r.runs, data, err = levelRuns(r.runs[:0], data, n); err != nil {
			return err
		}
		present := 0
		for _, run := range r.runs {
			present += int(run.value) * int(run.length)
		}
		if present > 0 {
			if !isDictionary(parquet.Encoding(p.Encoding())) {
				return ErrNotSupported
			}
			if codes, err = codeRuns(codes[:0], data, present, len(dst.Values)); err != nil {
				return err
			}
		}
		rows += n
		return dst.join(r.runs, codes)
	}
	if err := r.pages(group, at, dictionary, page); err != nil {
		return err
	}
	if rows != r.columns.GroupRows(group) {
		return fmt.Errorf("persist: %s: column %d of row group %d has %d values for %d rows", r.columns.path, at, group, rows, r.columns.GroupRows(group))
	}
	return nil
}

// join adds the runs of a page.
func (dst *Runs) join(levels, codes []run) error {
	for _, level := range levels {
		if level.value == 0 {
			dst.add(-1, level.length)
			continue
		}
		for left := level.length; left > 0; {
			if len(codes) == 0 {
				return errShort
			}
			n := min(left, codes[0].length)
			dst.add(int32(codes[0].value), n)
			left -= n
			if codes[0].length -= n; codes[0].length == 0 {
				codes = codes[1:]
			}
		}
	}
	return nil
}

func (dst *Runs) add(index, n int32) {
	if last := len(dst.Index) - 1; last >= 0 && dst.Index[last] == index {
		dst.Lengths[last] += n
		return
	}
	dst.Index, dst.Lengths = append(dst.Index, index), append(dst.Lengths, n)
}
