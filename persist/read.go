package persist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// readBatchRows bounds the rows of a record, whatever a file says of its row groups.
const readBatchRows = 1 << 17

// ErrUnknownFormat: the file was written by a version of this package that came later.
var ErrUnknownFormat = errors.New("persist: unknown file format")

// CorruptError says that the bytes of a file are not those of a file that Write
// made. An error of reading them is not a CorruptError.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("persist: %s is corrupt: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Reader reads one file. It may be used by one goroutine at a time.
type Reader struct {
	path   string
	source *source
	arrow  *pqarrow.FileReader
	footer footer
	// batchRows bounds the rows of a record; 0 is readBatchRows.
	batchRows int
}

// Open opens the file and checks its footer. It reads no rows.
func Open(fs vfs.FS, path string) (*Reader, error) {
	src, err := openSource(fs, path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, source: src}
	if err := r.readFooter(); err != nil {
		return nil, errors.Join(r.diagnose(err), src.Close())
	}
	return r, nil
}

// readFooter calls into the Parquet library, which panics over some broken files.
func (r *Reader) readFooter() (err error) {
	defer recoverTo(&err, r.path)
	if err := r.source.checkMagic(); err != nil {
		return err
	}
	meta, err := r.source.readMetadata()
	if err != nil {
		return err
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	pf, err := file.NewParquetReader(r.source, file.WithReadProps(props), file.WithMetadata(meta))
	if err != nil {
		return err
	}
	if r.footer, err = parseFooter(pf.MetaData(), r.source.Size()); err != nil {
		return err
	}
	arrowProps := pqarrow.ArrowReadProperties{BatchSize: int64(cmp.Or(r.batchRows, readBatchRows))}
	tags, _ := split(r.footer.columns)
	for i := range tags {
		arrowProps.SetReadDict(i, true)
	}
	r.arrow, err = pqarrow.NewFileReader(pf, arrowProps, memory.DefaultAllocator)
	return err
}

// diagnose tells a broken file from a file that could not be read.
func (r *Reader) diagnose(err error) error {
	if ioErr := r.source.firstError(); ioErr != nil {
		return fmt.Errorf("persist: reading %s: %w", r.path, ioErr)
	}
	if errors.Is(err, ErrUnknownFormat) {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return &CorruptError{Path: r.path, Err: err}
}

// Columns returns the tags and fields of the file, in id order. They are not to be changed.
func (r *Reader) Columns() []schema.Column { return r.footer.columns }

// Rows returns the number of rows.
func (r *Reader) Rows() uint64 { return uint64(r.footer.rows) }

// Time returns the range of the time column as the footer has it.
func (r *Reader) Time() schema.TimeRange { return r.footer.time }

// Database and Table return the names at the time of writing.
func (r *Reader) Database() string { return r.footer.database }

// Table returns the table's name at the time of writing.
func (r *Reader) Table() string { return r.footer.table }

// Close closes the file.
func (r *Reader) Close() error { return r.source.Close() }

// Records yields the rows in file order, at least one record for each row group. The
// records hold the time and the named columns, or every column if none is named, in
// the layout of ArrowSchema. A record is valid until the next one is asked for,
// unless it is retained. After an error there is no other record.
func (r *Reader) Records(ids ...schema.ColumnID) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		columns, err := r.project(ids)
		if err != nil {
			yield(nil, err)
			return
		}
		for group := range r.footer.groupRows {
			if !r.rowGroup(group, columns, yield) {
				return
			}
		}
	}
}

// project returns the columns with the given ids, all for none, in id order.
func (r *Reader) project(ids []schema.ColumnID) ([]schema.Column, error) {
	if len(ids) == 0 {
		return r.footer.columns, nil
	}
	var columns []schema.Column
	for _, c := range r.footer.columns {
		if slices.Contains(ids, c.ID) {
			columns = append(columns, c)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(columns, func(c schema.Column) bool { return c.ID == id }) {
			return nil, fmt.Errorf("persist: %s has no column with id %d", r.path, id)
		}
	}
	return columns, nil
}

// rowGroup yields the records of one row group; it returns false to end the iteration.
func (r *Reader) rowGroup(group int, columns []schema.Column, yield func(arrow.RecordBatch, error) bool) bool {
	records, err := r.openRowGroup(group, columns)
	if err != nil {
		yield(nil, r.diagnose(err))
		return false
	}
	defer records.Release()
	layout := ArrowSchema(columns)
	for left := r.footer.groupRows[group]; left > 0; {
		rec, err := r.nextRecord(records, layout)
		if err == nil && rec.NumRows() > left {
			rec.Release()
			err = fmt.Errorf("row group %d has more rows than the %d it should have", group, r.footer.groupRows[group])
		}
		if err != nil {
			yield(nil, r.diagnose(err))
			return false
		}
		left -= rec.NumRows()
		more := yield(rec, nil)
		rec.Release()
		if !more {
			return false
		}
	}
	return true
}

func (r *Reader) openRowGroup(group int, columns []schema.Column) (records pqarrow.RecordReader, err error) {
	defer recoverTo(&err, r.path)
	return r.arrow.GetRecordReader(context.Background(), r.footer.positions(columns), []int{group})
}

// nextRecord reads one record of at least one row and gives it the layout. Arrow-go
// says io.EOF where the pages end early.
func (r *Reader) nextRecord(records pqarrow.RecordReader, layout *arrow.Schema) (rec arrow.RecordBatch, err error) {
	defer recoverTo(&err, r.path)
	read, err := records.Read()
	if errors.Is(err, io.EOF) || err == nil && read.NumRows() == 0 {
		return nil, fmt.Errorf("row group has fewer rows than it should have: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	for i, f := range layout.Fields() {
		if got := read.Column(i).DataType(); !arrow.TypeEqual(got, f.Type) {
			return nil, fmt.Errorf("column %q was read as %v, not %v", f.Name, got, f.Type)
		}
	}
	return array.NewRecordBatch(layout, read.Columns(), read.NumRows()), nil
}
