package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/siltstone-db/siltstone/schema"
)

// Parquet reads a Parquet file: one that a query or an export has written, one of a data
// directory, or one that another program has made.
type Parquet struct {
	// Rows are those of the file.
	Rows int64

	file    *file.Reader
	records pqarrow.RecordReader
	lines   *Lines
	limits  Limits
	chunk   Chunk

	batch   arrow.RecordBatch // nil before the first
	nextRow int               // of the batch
	place   int               // rows read
}

// batchRows is how many rows are decoded at once.
const batchRows = 8 << 10

// Keys of the metadata that tell our own files from others; see docs/format/parquet.md.
const (
	formatKey = "siltstone.format"
	tableKey  = "siltstone.table"
	creator   = "siltstone"
)

// OpenParquet reads the footer. name is that of the table where neither the options nor the
// file has one.
func OpenParquet(ctx context.Context, src parquet.ReaderAtSeeker, name string, o Options) (*Parquet, error) {
	f, err := file.NewParquetReader(src)
	if err != nil {
		return nil, fmt.Errorf("this is no Parquet file, or only a part of one: %w", err)
	}
	p := &Parquet{file: f, Rows: f.NumRows(), limits: o.Limits}
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("its columns cannot be read: %w", err), f.Close())
	}
	if err := p.open(ctx, reader, name, o); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

func (p *Parquet) open(ctx context.Context, reader *pqarrow.FileReader, name string, o Options) error {
	columns, err := reader.Schema()
	if err != nil {
		return fmt.Errorf("its columns cannot be read: %w", err)
	}
	meta := p.file.MetaData()
	table, err := parquetTable(columns, meta, o)
	if err != nil {
		return err
	}
	if table.Name = o.Table; table.Name == "" {
		table.Name = name
		if named := meta.KeyValueMetadata().FindValue(tableKey); named != nil {
			table.Name = *named
		}
	}
	if p.lines, err = NewLines(table, o.Precision); err != nil {
		return err
	}
	if p.records, err = reader.GetRecordReader(ctx, nil, nil); err != nil {
		return fmt.Errorf("its rows cannot be read: %w", err)
	}
	return nil
}

// Close gives the file up.
func (p *Parquet) Close() error {
	p.records.Release()
	return p.file.Close()
}

// Next returns the next chunk, or io.EOF. Places are numbers of rows.
func (p *Parquet) Next() (*Chunk, error) {
	c := &p.chunk
	c.reset()
	for !p.limits.full(c) {
		if p.batch == nil || p.nextRow == int(p.batch.NumRows()) {
			err := p.read()
			if errors.Is(err, io.EOF) && c.Rows > 0 {
				return c, nil
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		begin := len(c.Body)
		body, err := p.lines.Append(c.Body, p.nextRow)
		c.Body = body
		p.nextRow++
		p.place++
		c.add(begin, p.place, err, nil)
	}
	return c, nil
}

// read turns to the next batch.
func (p *Parquet) read() error {
	if !p.records.Next() {
		if err := p.records.Err(); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("behind row %d: %w", p.place, err)
		}
		return io.EOF
	}
	p.batch, p.nextRow = p.records.RecordBatch(), 0
	return p.lines.Read(p.batch)
}

// parquetTable finds out what the columns of a file are.
func parquetTable(columns *arrow.Schema, meta *metadata.FileMetaData, o Options) (Table, error) {
	timeIndex, err := timeField(columns, o)
	if err != nil {
		return Table{}, err
	}
	isTag, err := tagFields(columns, timeIndex, meta, o)
	if err != nil {
		return Table{}, err
	}
	var t Table
	for i, f := range columns.Fields() {
		c := Column{Name: f.Name}
		switch given, ok := o.Types[f.Name]; {
		case i == timeIndex:
		case isTag(i):
			c.Type = schema.Tag
		case ok:
			c.Type = given
		default:
			if c.Type = fieldType(f.Type); c.Type == 0 {
				return Table{}, fmt.Errorf("column %q holds values of type %s, which cannot be stored", f.Name, f.Type)
			}
		}
		t.Columns = append(t.Columns, c)
	}
	return t, nil
}

// timeField finds the column that holds the time: the one that is named, or the only one
// that can.
func timeField(columns *arrow.Schema, o Options) (int, error) {
	if i := columns.FieldIndices(o.timeColumn()); len(i) == 1 {
		return i[0], nil
	}
	var instants []int
	for i, f := range columns.Fields() {
		if f.Type.ID() == arrow.TIMESTAMP {
			instants = append(instants, i)
		}
	}
	if o.TimeColumn != "" || len(instants) != 1 {
		return 0, fmt.Errorf("no column is named %q; say with --time-column which of these holds the time: %s", o.timeColumn(), fieldNames(columns))
	}
	return instants[0], nil
}

// tagFields says which columns are tags: those that are named; of our files, text in front
// of the time; of answers to queries, dictionaries. Of other files nobody knows, and to take
// a tag for a field would make one row of many.
func tagFields(columns *arrow.Schema, timeIndex int, meta *metadata.FileMetaData, o Options) (func(int) bool, error) {
	fields := columns.Fields()
	switch {
	case o.NoTags:
		return func(int) bool { return false }, nil
	case o.TagColumns != nil:
		for _, name := range o.TagColumns {
			if !columns.HasField(name) {
				return nil, fmt.Errorf("there is no column %q; the columns are %s", name, fieldNames(columns))
			}
		}
		return func(i int) bool { return slices.Contains(o.TagColumns, fields[i].Name) }, nil
	case meta.KeyValueMetadata().FindValue(formatKey) != nil:
		return func(i int) bool { return i < timeIndex }, nil
	case meta.GetCreatedBy() == creator:
		return func(i int) bool { return fields[i].Type.ID() == arrow.DICTIONARY }, nil
	}
	return nil, fmt.Errorf("the file does not say which columns are tags; name them with --tag-columns, or say --no-tags: %s", fieldNames(columns))
}

func fieldNames(columns *arrow.Schema) string {
	var names []string
	for _, f := range columns.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// fieldType is the type of a field that holds values of an Arrow type; 0 is none.
func fieldType(t arrow.DataType) schema.ColumnType {
	switch t.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.DICTIONARY:
		return schema.String
	case arrow.FLOAT32, arrow.FLOAT64:
		return schema.Float64
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return schema.Int64
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return schema.Uint64
	case arrow.BOOL:
		return schema.Bool
	}
	return 0
}
