package persist

import (
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
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
	frame  *container
	// strings are the properties of columns of strings without and with a dictionary.
	strings [2]*parquet.WriterProperties

	pending      []arrow.RecordBatch // retained
	pendingRows  int
	pendingBytes int // of strings: tag values once, field values each

	tags   []*tagColumn
	time   timeColumn
	fields []fieldStats
	rows   uint64 // written

	// later[i] says of row i of those being taken that some tag puts it after the row
	// before, so that the tags and the time behind it no longer matter.
	later   []bool
	levels  levels
	encoder *numberEncoder
}

// encoders keeps the memory of encoders for the next file.
var encoders = sync.Pool{New: func() any { return new(numberEncoder) }}

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
	if err := w.frame.meta.AppendKeyValueMetadata(sumsKey, encodeSums(w.sums)); err != nil {
		return fmt.Errorf("writing metadata %s: %w", sumsKey, err)
	}
	return w.frame.finish()
}

// close gives back what the writer holds.
func (w *writer) close() {
	w.release()
	if w.encoder != nil {
		w.encoder.column = numbers{}
		encoders.Put(w.encoder)
	}
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
	if w.frame == nil {
		if err := w.start(); err != nil {
			return err
		}
		w.head = w.out.endSection(0)
	}
	if err := w.frame.startGroup(); err != nil {
		return err
	}
	for _, tag := range w.tags {
		tag.encode(w.encoder)
		if err := w.endColumn(tag.column.Name, w.encoder.chunk.emit(w.frame)); err != nil {
			return err
		}
		tag.endGroup()
	}
	w.encoder.load(w.chunks(len(w.tags)))
	encodeNumbers(w.encoder, encoding{otherwise: parquet.Encodings.DeltaBinaryPacked}, new(numberStats[int64]), false)
	if err := w.endColumn(schema.TimeColumn, w.encoder.chunk.emit(w.frame)); err != nil {
		return err
	}
	for i, stats := range w.fields {
		at := len(w.tags) + 1 + i
		if err := w.endColumn(w.schema.Field(at).Name, w.writeField(stats, w.chunks(at))); err != nil {
			return err
		}
	}
	if err := w.frame.endGroup(w.pendingRows); err != nil {
		return err
	}
	w.rows += uint64(w.pendingRows)
	return nil
}

// endColumn notes the checksum of the column chunk that was written, unless that failed.
func (w *writer) endColumn(name string, err error) error {
	if err != nil {
		return fmt.Errorf("writing column %q: %w", name, err)
	}
	w.sums = append(w.sums, w.out.endSection(0))
	return nil
}

// writeField writes the next column of the row group, and takes it into the statistics.
func (w *writer) writeField(stats fieldStats, chunks []arrow.Array) error {
	how := chooseEncoding(chunks, w.pendingRows)
	switch stats := stats.(type) {
	case *numberStats[int64]:
		w.encoder.load(chunks)
		encodeNumbers(w.encoder, how, stats, true)
	case *numberStats[uint64]:
		w.encoder.load(chunks)
		encodeNumbers(w.encoder, how, stats, true)
	case *floatStats:
		w.encoder.load(chunks)
		encodeNumbers(w.encoder, how, &stats.numberStats, true)
	default:
		for _, a := range chunks {
			stats.include(a)
		}
		props := w.strings[0]
		if how.dictionary {
			props = w.strings[1]
		}
		return writeColumn(w.frame, props, chunks, &w.levels)
	}
	return w.encoder.chunk.emit(w.frame)
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
	for i := range w.strings {
		w.strings[i] = fileProperties(w.spec.RowGroupRows, w.spec.Columns, i > 0)
	}
	layout, err := pqarrow.ToParquet(w.schema, w.strings[0], pqarrow.DefaultWriterProps())
	if err != nil {
		return fmt.Errorf("translating schema: %w", err)
	}
	w.frame, err = startContainer(w.out, layout, w.strings[0])
	if err != nil {
		return err
	}
	w.encoder = encoders.Get().(*numberEncoder)
	about := [][2]string{{formatKey, formatVersion}, {databaseKey, w.spec.Database}, {tableKey, w.spec.Table}}
	if !w.spec.Origin.isZero() {
		text, err := w.spec.Origin.encode()
		if err != nil {
			return fmt.Errorf("encoding metadata %s: %w", originKey, err)
		}
		about = append(about, [2]string{originKey, text})
	}
	for _, kv := range about {
		if err := w.frame.meta.AppendKeyValueMetadata(kv[0], kv[1]); err != nil {
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
