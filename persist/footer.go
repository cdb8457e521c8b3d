package persist

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	pqschema "github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/siltstone-db/siltstone/schema"
)

// footer is what a file says of itself, checked.
type footer struct {
	columns         []schema.Column // in id order
	rows            int64
	groupRows       []int64
	groupTimes      []schema.TimeRange
	time            schema.TimeRange
	database, table string
	sums            string // of the column chunks, as recorded
	origin          Origin
}

// parseFooter accepts only what Write can have written into a file of that size.
func parseFooter(meta *metadata.FileMetaData, size int64) (footer, error) {
	kv := meta.KeyValueMetadata()
	version := kv.FindValue(formatKey)
	if version == nil {
		return footer{}, fmt.Errorf("metadata has no %s", formatKey)
	}
	if *version != formatVersion {
		return footer{}, fmt.Errorf("%w: %s is %q", ErrUnknownFormat, formatKey, *version)
	}
	f := footer{time: schema.EmptyTimeRange, rows: meta.GetNumRows()}
	if v := kv.FindValue(databaseKey); v != nil {
		f.database = *v
	}
	if v := kv.FindValue(tableKey); v != nil {
		f.table = *v
	}
	if v := kv.FindValue(sumsKey); v != nil {
		f.sums = *v
	}
	var err error
	if v := kv.FindValue(originKey); v != nil {
		if f.origin, err = decodeOrigin(*v); err != nil {
			return footer{}, err
		}
	}
	if f.columns, err = parseColumns(meta.Schema); err != nil {
		return footer{}, err
	}
	sum := int64(0)
	for g := range meta.GetRowGroups() {
		rows, err := f.addRowGroup(meta.RowGroup(g), size)
		if err != nil {
			return footer{}, fmt.Errorf("row group %d: %w", g, err)
		}
		sum += rows
	}
	if sum != f.rows {
		return footer{}, fmt.Errorf("file has %d rows, its row groups %d", f.rows, sum)
	}
	return f, nil
}

// parseColumns is the inverse of ArrowSchema.
func parseColumns(s *pqschema.Schema) ([]schema.Column, error) {
	root := s.Root()
	if root.NumFields() != s.NumColumns() {
		return nil, errors.New("columns are nested")
	}
	var columns []schema.Column
	afterTime := false
	for i := range root.NumFields() {
		node, ok := root.Field(i).(*pqschema.PrimitiveNode)
		if !ok {
			return nil, fmt.Errorf("column %q is nested", root.Field(i).Name())
		}
		if node.FieldID() == TimeFieldID {
			if afterTime || !isTime(node) {
				return nil, fmt.Errorf("column %q is not the time column", node.Name())
			}
			afterTime = true
			continue
		}
		typ, err := columnType(node, afterTime)
		if err != nil {
			return nil, err
		}
		if node.FieldID() <= 0 {
			return nil, fmt.Errorf("column %q has field_id %d", node.Name(), node.FieldID())
		}
		columns = append(columns, schema.Column{ID: schema.ColumnID(node.FieldID()), Name: node.Name(), Type: typ})
	}
	if !afterTime {
		return nil, errors.New("there is no time column")
	}
	tags, fields := split(columns)
	if !slices.IsSortedFunc(tags, byID) || !slices.IsSortedFunc(fields, byID) {
		return nil, errors.New("columns are not in the order of their ids")
	}
	slices.SortFunc(columns, byID)
	return columns, validateColumns(columns)
}

func byID(a, b schema.Column) int { return int(int64(a.ID) - int64(b.ID)) }

func isTime(n *pqschema.PrimitiveNode) bool {
	want := pqschema.NewTimestampLogicalType(false, pqschema.TimeUnitNanos)
	return n.Name() == schema.TimeColumn && n.PhysicalType() == parquet.Types.Int64 &&
		n.RepetitionType() == parquet.Repetitions.Required && n.LogicalType().Equals(want)
}

// columnType returns the type of a column before or after the time: the former are tags.
func columnType(n *pqschema.PrimitiveNode, afterTime bool) (schema.ColumnType, error) {
	if n.RepetitionType() != parquet.Repetitions.Optional {
		return 0, fmt.Errorf("column %q is %v", n.Name(), n.RepetitionType())
	}
	logical := n.LogicalType()
	switch physical := n.PhysicalType(); {
	case physical == parquet.Types.ByteArray && logical.Equals(pqschema.StringLogicalType{}) && !afterTime:
		return schema.Tag, nil
	case !afterTime:
	case physical == parquet.Types.ByteArray && logical.Equals(pqschema.StringLogicalType{}):
		return schema.String, nil
	case physical == parquet.Types.Int64 && logical.Equals(pqschema.NewIntLogicalType(64, true)):
		return schema.Int64, nil
	case physical == parquet.Types.Int64 && logical.Equals(pqschema.NewIntLogicalType(64, false)):
		return schema.Uint64, nil
	case physical == parquet.Types.Double && logical.Equals(pqschema.NoLogicalType{}):
		return schema.Float64, nil
	case physical == parquet.Types.Boolean && logical.Equals(pqschema.NoLogicalType{}):
		return schema.Bool, nil
	}
	return 0, fmt.Errorf("column %q has type %v, %v", n.Name(), n.PhysicalType(), logical)
}

// addRowGroup checks that the row group's column chunks lie within the file.
func (f *footer) addRowGroup(g *metadata.RowGroupMetaData, size int64) (rows int64, err error) {
	rows = g.NumRows()
	if rows <= 0 || rows > maxRowGroupRows || g.NumColumns() != len(f.columns)+1 {
		return 0, fmt.Errorf("it has %d rows and %d columns", rows, g.NumColumns())
	}
	f.groupRows = append(f.groupRows, rows)
	for i := range g.NumColumns() {
		chunk, err := g.ColumnChunk(i)
		if err != nil {
			return 0, fmt.Errorf("column chunk %d: %w", i, err)
		}
		if err := checkChunk(chunk, rows, size); err != nil {
			return 0, fmt.Errorf("column chunk %d: %w", i, err)
		}
	}
	return rows, f.addTime(g)
}

func checkChunk(c *metadata.ColumnChunkMetaData, rows, size int64) error {
	start := c.DataPageOffset()
	if c.HasDictionaryPage() {
		start = min(start, c.DictionaryPageOffset())
	}
	length := c.TotalCompressedSize()
	if start < int64(len(magic)) || length < 0 || start > size || length > size-start {
		return fmt.Errorf("it lies at %d, %d bytes long, in a file of %d bytes", start, length, size)
	}
	if c.NumValues() != rows {
		return fmt.Errorf("it has %d values for %d rows", c.NumValues(), rows)
	}
	return nil
}

// addTime widens the time range by the statistics of the row group.
func (f *footer) addTime(g *metadata.RowGroupMetaData) error {
	tags, _ := split(f.columns)
	chunk, err := g.ColumnChunk(len(tags))
	if err != nil {
		return fmt.Errorf("time column: %w", err)
	}
	stats, err := chunk.Statistics()
	if err != nil {
		return fmt.Errorf("statistics of the time column: %w", err)
	}
	times, ok := stats.(*metadata.Int64Statistics)
	if !ok || !times.HasMinMax() || times.Min() > times.Max() {
		return errors.New("the time column has no statistics")
	}
	f.groupTimes = append(f.groupTimes, schema.TimeRange{Min: times.Min(), Max: times.Max()})
	f.time = f.time.Union(schema.TimeRange{Min: times.Min(), Max: times.Max()})
	return nil
}

// positions returns where the time and the given columns are in the file.
func (f *footer) positions(columns []schema.Column) []int {
	tags, fields := split(f.columns)
	var at []int
	for i, c := range tags {
		if slices.Contains(columns, c) {
			at = append(at, i)
		}
	}
	at = append(at, len(tags))
	for i, c := range fields {
		if slices.Contains(columns, c) {
			at = append(at, len(tags)+1+i)
		}
	}
	return at
}
