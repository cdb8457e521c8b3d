package persist

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/siltstone-db/siltstone/schema"
)

// DefaultRowGroupBytes is the bytes of strings that end a row group of fewer rows. Without
// it the values of one tag could make a dictionary page of more than 2 GiB, which the
// format does not know, or of more than the 256 MiB that arrow-go reads.
const DefaultRowGroupBytes = 64 << 20

// checkRows is the number of rows after which the bytes of strings are looked at.
const checkRows = 1024

// writer collects records into row groups and writes each as a whole, column by
// column. At any time it holds the rows of at most one row group and the encoding
// of one column of it.
type writer struct {
	spec   Spec
	schema *arrow.Schema
	out    *pendingFile
	head   section   // the bytes before the first column chunk
	sums   []section // of the column chunks, in file order
	// parquet is made when the first row group is complete, because the choice of
	// encodings looks at its values.
	parquet *file.Writer

	pending      []arrow.RecordBatch // retained
	pendingRows  int
	pendingBytes int // of strings: tag values once, field values each

	tags   []*tagColumn
	time   timeColumn
	fields []fieldStats
	rows   uint64 // written

	// later[i] says of row i of those being taken that some tag puts it after the row
	// before, so that the tags and the time behind it no longer matter.
	later  []bool
	levels levels
}

func newWriter(spec Spec, out *pendingFile) *writer {
	w := &writer{
		spec:   spec,
		schema: ArrowSchema(spec.Columns),
		out:    out,
		time:   timeColumn{bounds: schema.EmptyTimeRange},
	}
	tags, fields := split(spec.Columns)
	for _, c := range tags {
		w.tags = append(w.tags, newTagColumn(c))
	}
	for _, c := range fields {
		w.fields = append(w.fields, newFieldStats(c))
	}
	return w
}

// add takes the rows of rec, writing every row group that they complete.
func (w *writer) add(rec arrow.RecordBatch) error {
	if err := w.checkLayout(rec); err != nil {
		return err
	}
	rows := int(rec.NumRows())
	kept := 0 // the rows of rec before this one are in a row group or pending
	for from := 0; from < rows; {
		to := min(rows, from+checkRows, kept+w.spec.RowGroupRows-w.pendingRows)
		if err := w.take(rec, from, to); err != nil {
			return err
		}
		from = to
		full := w.pendingRows+to-kept == w.spec.RowGroupRows || w.pendingBytes >= w.spec.RowGroupBytes
		if full || to == rows {
			w.pending = append(w.pending, rec.NewSlice(int64(kept), int64(to)))
			w.pendingRows += to - kept
			kept = to
		}
		if full {
			if err := w.writeRowGroup(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take checks the order of the rows from..to-1 of rec, translates their tags and
// counts the bytes of their strings.
func (w *writer) take(rec arrow.RecordBatch, from, to int) error {
	w.later = append(w.later[:0], make([]bool, to-from)...)
	for i, tag := range w.tags {
		before := tag.bytes
		if err := tag.take(rec.Column(i).(*array.Dictionary), from, to, w.later); err != nil {
			return err
		}
		w.pendingBytes += tag.bytes - before
	}
	if err := w.time.take(rec.Column(len(w.tags)).(*array.Timestamp), from, to, w.later); err != nil {
		return err
	}
	for _, column := range rec.Columns()[len(w.tags)+1:] {
		if s, ok := column.(*array.String); ok {
			offsets := s.ValueOffsets()
			w.pendingBytes += int(offsets[to] - offsets[from])
		}
	}
	return nil
}

// checkLayout compares names and types only: nullability and metadata are ours to
// set, and tags may have any dictionary whose indices are 32 bits wide.
func (w *writer) checkLayout(rec arrow.RecordBatch) error {
	want := w.schema.Fields()
	if int(rec.NumCols()) != len(want) {
		return fmt.Errorf("%w: it has %d columns, not %d", ErrRecord, rec.NumCols(), len(want))
	}
	for i, f := range want {
		if rec.ColumnName(i) != f.Name {
			return fmt.Errorf("%w: column %d is %q, not %q", ErrRecord, i, rec.ColumnName(i), f.Name)
		}
		got := rec.Column(i).DataType()
		if !arrow.TypeEqual(got, f.Type) && !(i < len(w.tags) && isTagType(got)) {
			return fmt.Errorf("%w: column %q has type %v, not %v", ErrRecord, f.Name, got, f.Type)
		}
	}
	return nil
}

func isTagType(t arrow.DataType) bool {
	d, ok := t.(*arrow.DictionaryType)
	if !ok || d.ValueType.ID() != arrow.STRING {
		return false
	}
	return d.IndexType.ID() == arrow.INT32 || d.IndexType.ID() == arrow.UINT32
}

// finish writes the last row group and the footer.
func (w *writer) finish() error {
	if w.pendingRows > 0 {
		if err := w.writeRowGroup(); err != nil {
			return err
		}
	}
	if w.rows == 0 {
		return ErrNoRows
	}
	if between := w.out.endSection(w.head.crc); between.bytes > 0 {
		return fmt.Errorf("%d bytes lie between the last column chunk and the footer", between.bytes)
	}
	if err := w.parquet.AppendKeyValueMetadata(sumsKey, encodeSums(w.sums)); err != nil {
		return fmt.Errorf("writing metadata %s: %w", sumsKey, err)
	}
	if err := w.parquet.Close(); err != nil {
		return fmt.Errorf("writing footer: %w", err)
	}
	return nil
}

// release gives back the pending records.
func (w *writer) release() {
	for _, rec := range w.pending {
		rec.Release()
	}
	w.pending, w.pendingRows, w.pendingBytes = w.pending[:0], 0, 0
}

func (w *writer) writeRowGroup() error {
	defer w.release()
	if w.parquet == nil {
		if err := w.start(); err != nil {
			return err
		}
		w.head = w.out.endSection(0)
	}
	group, err := w.parquet.AppendRowGroupChecked()
	if err != nil {
		return fmt.Errorf("starting row group: %w", err)
	}
	for _, tag := range w.tags {
		if err := writeTag(group, tag, &w.levels); err != nil {
			return fmt.Errorf("writing column %q: %w", tag.column.Name, err)
		}
		tag.endGroup()
		w.sums = append(w.sums, w.out.endSection(0))
	}
	for i := len(w.tags); i < w.schema.NumFields(); i++ {
		if err := writeColumn(group, w.schema.Field(i), w.chunks(i), &w.levels); err != nil {
			return fmt.Errorf("writing column %q: %w", w.schema.Field(i).Name, err)
		}
		w.sums = append(w.sums, w.out.endSection(0))
	}
	if err := group.Close(); err != nil {
		return fmt.Errorf("ending row group: %w", err)
	}
	w.includeFields()
	w.rows += uint64(w.pendingRows)
	return nil
}

// includeFields takes the fields into their statistics.
func (w *writer) includeFields() {
	for i, stats := range w.fields {
		for _, a := range w.chunks(len(w.tags) + 1 + i) {
			stats.include(a)
		}
	}
}

func (w *writer) chunks(column int) []arrow.Array {
	chunks := make([]arrow.Array, len(w.pending))
	for i, rec := range w.pending {
		chunks[i] = rec.Column(column)
	}
	return chunks
}

// start writes the file's first bytes.
func (w *writer) start() error {
	props := w.properties()
	// The writer closes what can be closed; the file is not its to close.
	layout, err := pqarrow.ToParquet(w.schema, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return fmt.Errorf("translating schema: %w", err)
	}
	w.parquet, err = file.NewParquetWriterWithError(struct{ io.Writer }{w.out}, layout.Root(), file.WithWriterProps(props))
	if err != nil {
		return fmt.Errorf("starting file: %w", err)
	}
	about := [][2]string{{formatKey, formatVersion}, {databaseKey, w.spec.Database}, {tableKey, w.spec.Table}}
	if !w.spec.Origin.isZero() {
		text, err := w.spec.Origin.encode()
		if err != nil {
			return fmt.Errorf("encoding metadata %s: %w", originKey, err)
		}
		about = append(about, [2]string{originKey, text})
	}
	for _, kv := range about {
		if err := w.parquet.AppendKeyValueMetadata(kv[0], kv[1]); err != nil {
			return fmt.Errorf("writing metadata %s: %w", kv[0], err)
		}
	}
	return nil
}

// describe says what was written; the checksum and size are the file's to know.
func (w *writer) describe() schema.File {
	f := schema.File{Rows: w.rows, Time: w.time.bounds}
	tags, fields := w.tags, w.fields
	for _, c := range w.spec.Columns {
		if c.Type == schema.Tag {
			f.Columns = append(f.Columns, tags[0].stats.result())
			tags = tags[1:]
		} else {
			f.Columns = append(f.Columns, fields[0].result())
			fields = fields[1:]
		}
	}
	return f
}

// properties returns how the file is to be encoded, judging by the pending row group.
func (w *writer) properties() *parquet.WriterProperties {
	tags, fields := split(w.spec.Columns)
	props := fileProperties(w.spec.RowGroupRows, tags)
	for i, c := range fields {
		props = append(props, chooseEncoding(w.chunks(len(tags)+1+i), w.pendingRows).properties(c.Name)...)
	}
	return parquet.NewWriterProperties(props...)
}
