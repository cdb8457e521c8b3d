package query

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/duckdb/duckdb-go/v2/mapping"
	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is a point of the model: values by column name.
type row struct {
	at     int64
	tags   map[string]string
	fields map[string]any
}

// store is a hand-made engine: databases whose tables have files and buffers.
type store struct {
	t      testing.TB
	dir    string
	schema *schema.Snapshot
	tables map[string]map[string]*engine.TableView
	nextID schema.TableID
}

func newStore(t testing.TB) *store {
	return &store{t: t, dir: t.TempDir(), schema: &schema.Snapshot{}, tables: map[string]map[string]*engine.TableView{}}
}

// table defines a table; columns are written like "host:tag usage:float".
func (s *store) table(database, name, columns string) *engine.TableView {
	types := map[string]schema.ColumnType{
		"tag": schema.Tag, "float": schema.Float64, "int": schema.Int64, "uint": schema.Uint64, "string": schema.String, "bool": schema.Bool,
	}
	db, ok := s.schema.Database(database)
	if !ok {
		db = &schema.Database{ID: schema.DatabaseID(len(s.tables) + 1), Name: database}
		s.tables[database] = map[string]*engine.TableView{}
	}
	var list []schema.Column
	for i, c := range strings.Fields(columns) {
		cut := strings.LastIndexByte(c, ':')
		list = append(list, schema.Column{ID: schema.ColumnID(i + 1), Name: c[:cut], Type: types[c[cut+1:]]})
	}
	s.nextID++
	table := schema.NewTable(s.nextID, db.ID, name, list)
	s.schema = s.schema.With([]*schema.Database{db}, []*schema.Table{table})
	view := &engine.TableView{Table: table}
	s.tables[database][name] = view
	return view
}

// view is what Options.View wants.
func (s *store) view(_ context.Context, database string, names []string) (*engine.View, error) {
	db, ok := s.schema.Database(database)
	if !ok {
		return nil, fmt.Errorf("%w: %s", engine.ErrDatabaseNotFound, database)
	}
	v := &engine.View{Database: db}
	for _, name := range names {
		t, ok := s.tables[database][name]
		if !ok {
			return nil, &engine.TableNotFoundError{Table: name}
		}
		v.Tables = append(v.Tables, t)
	}
	return v, nil
}

func (s *store) querier(change ...func(*Options)) *Querier {
	opts := Options{View: s.view, DataDir: s.dir, TempDir: s.t.TempDir(), Threads: 2}
	for _, f := range change {
		f(&opts)
	}
	q, err := Open(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = q.Close() })
	return q
}

// merge makes one row of those with the same tags and time, each field the last value.
func merge(rows []row) []row {
	byPoint := map[string]*row{}
	for _, r := range rows {
		key := pointKey(r)
		old, ok := byPoint[key]
		if !ok {
			byPoint[key] = &row{at: r.at, tags: r.tags, fields: maps.Clone(r.fields)}
			continue
		}
		maps.Copy(old.fields, r.fields)
	}
	merged := make([]row, 0, len(byPoint))
	for _, key := range slices.Sorted(maps.Keys(byPoint)) {
		merged = append(merged, *byPoint[key])
	}
	return merged
}

func pointKey(r row) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.tags)) {
		fmt.Fprintf(&b, "%q=%q,", k, r.tags[k])
	}
	fmt.Fprintf(&b, "%020d", uint64(r.at)^1<<63)
	return b.String()
}

// unlockedConnection is shared by all tests, as opening a database takes 10 ms.
var unlockedConnection = sync.OnceValue(func() mapping.Connection {
	var db mapping.Database
	if mapping.Open("", &db) == mapping.StateError {
		panic("duckdb does not open a database in memory")
	}
	conn, err := connect(db)
	if err != nil {
		panic(err)
	}
	return conn
})

// unlocked runs SQL on a database of the tests' own.
func unlocked(t testing.TB, sql string) {
	t.Helper()
	if err := exec(unlockedConnection(), sql); err != nil {
		t.Fatalf("%v\n%.2000s", err, sql)
	}
}

func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return sqltext.Literal(v)
	case float64:
		return "'" + strconv.FormatFloat(v, 'g', -1, 64) + "'"
	}
	return fmt.Sprint(v)
}

// addFile writes the rows to a Parquet file, which must not repeat a point, with the
// columns that occur in them. Their names are arbitrary: the field_id is what counts.
func (s *store) addFile(view *engine.TableView, rows []row) {
	s.t.Helper()
	var columns []schema.Column
	for _, c := range view.Table.Columns {
		if slices.ContainsFunc(rows, func(r row) bool { return value(r, c) != nil }) {
			columns = append(columns, c)
		}
	}
	var lines []string
	file := &schema.File{ID: schema.FileID(len(view.Files) + 1), Order: uint64(2 * (len(view.Files) + 1)), Rows: uint64(len(rows)), Time: schema.EmptyTimeRange}
	for _, r := range rows {
		line := []string{strconv.FormatInt(r.at, 10)}
		file.Time = file.Time.Include(r.at)
		for _, c := range columns {
			line = append(line, literal(value(r, c)))
		}
		lines = append(lines, "("+strings.Join(line, ", ")+")")
	}
	names, selected, ids := []string{"t"}, []string{"make_timestamp_ns(t::BIGINT) AS instant"}, []string{fmt.Sprintf("instant: %d", timeFieldID)}
	for i, c := range columns {
		name := fmt.Sprintf("v%d", i)
		names = append(names, name)
		selected = append(selected, name+"::"+sqltext.Type(c.Type)+" AS "+name)
		ids = append(ids, fmt.Sprintf("%s: %d", name, c.ID))
		file.Columns = append(file.Columns, columnStats(c, rows))
	}
	path := filepath.Join(s.dir, fmt.Sprintf("%d-%d.parquet", view.Table.ID, file.ID))
	unlocked(s.t, fmt.Sprintf("COPY (SELECT %s FROM (VALUES %s) x(%s)) TO %s (FORMAT parquet, FIELD_IDS {%s})",
		strings.Join(selected, ", "), strings.Join(lines, ", "), strings.Join(names, ", "), sqltext.Literal(path), strings.Join(ids, ", ")))
	view.Files = append(view.Files, engine.FileRef{File: file, Path: path})
}

func columnStats(c schema.Column, rows []row) schema.ColumnStats {
	stats := schema.ColumnStats{Column: c.ID}
	var texts []string
	for _, r := range rows {
		v := value(r, c)
		if v == nil {
			stats.Nulls++
		}
		if v, ok := v.(string); ok {
			texts = append(texts, v)
		}
	}
	if len(texts) > 0 {
		stats.Min, stats.Max = schema.SortableStringMin(slices.Min(texts)), schema.SortableStringMax(slices.Max(texts))
	}
	return stats
}

// value is a row's value of a column, or nil.
func value(r row, c schema.Column) any {
	if c.Type != schema.Tag {
		return r.fields[c.Name]
	}
	if v, ok := r.tags[c.Name]; ok {
		return v
	}
	return nil
}

// addBuffer adds the rows as a snapshot in chunks of the given size.
func (s *store) addBuffer(view *engine.TableView, rows []row, chunkRows int) {
	snapshot := &partition.Snapshot{Rows: len(rows), Time: schema.EmptyTimeRange}
	series := map[string]uint32{}
	var tagsOf []map[string]string
	var numbers []uint32
	for _, r := range rows {
		key := pointKey(row{tags: r.tags})
		n, ok := series[key]
		if !ok {
			n = uint32(len(tagsOf))
			series[key] = n
			tagsOf = append(tagsOf, r.tags)
		}
		numbers = append(numbers, n)
		snapshot.Time = snapshot.Time.Include(r.at)
	}
	snapshot.SeriesCount = len(tagsOf)
	for _, c := range view.Table.Columns {
		if c.Type == schema.Tag {
			if tag := tagColumn(c, tagsOf); len(tag.Values) > 0 {
				snapshot.Tags = append(snapshot.Tags, tag)
			}
		}
	}
	for begin := 0; begin < len(rows); begin += chunkRows {
		end := min(begin+chunkRows, len(rows))
		snapshot.Chunks = append(snapshot.Chunks, newChunk(view.Table, rows[begin:end], numbers[begin:end]))
	}
	view.Buffers = append(view.Buffers, snapshot)
}

// tagColumn leaves off the nulls at the end, as a partition may.
func tagColumn(c schema.Column, series []map[string]string) partition.TagColumn {
	tag := partition.TagColumn{ID: c.ID}
	for s, tags := range series {
		v, ok := tags[c.Name]
		if !ok {
			continue
		}
		for len(tag.Index) <= s {
			tag.Index = append(tag.Index, 0)
		}
		i := slices.Index(tag.Values, v)
		if i < 0 {
			i = len(tag.Values)
			tag.Values = append(tag.Values, v)
		}
		tag.Index[s] = uint32(i + 1)
	}
	return tag
}

func newChunk(table *schema.Table, rows []row, series []uint32) partition.Chunk {
	chunk := partition.Chunk{Rows: len(rows), Series: series, Range: schema.EmptyTimeRange}
	for _, r := range rows {
		chunk.Time = append(chunk.Time, r.at)
		chunk.Range = chunk.Range.Include(r.at)
	}
	for _, c := range table.Columns {
		if c.Type != schema.Tag && slices.ContainsFunc(rows, func(r row) bool { return r.fields[c.Name] != nil }) {
			chunk.Fields = append(chunk.Fields, newField(c, rows))
		}
	}
	return chunk
}

func newField(c schema.Column, rows []row) partition.Field {
	f := partition.Field{ID: c.ID, Type: c.Type, Offsets: []uint32{0}}
	valid := make([]uint64, (len(rows)+63)/64)
	complete := true
	for i, r := range rows {
		v := r.fields[c.Name]
		if v == nil {
			complete = false
		} else {
			valid[i>>6] |= 1 << (i & 63)
		}
		switch c.Type {
		case schema.Int64:
			n, _ := v.(int64)
			f.Int64 = append(f.Int64, n)
		case schema.Uint64:
			n, _ := v.(uint64)
			f.Uint64 = append(f.Uint64, n)
		case schema.Float64:
			n, _ := v.(float64)
			f.Float64 = append(f.Float64, n)
		case schema.Bool:
			b, _ := v.(bool)
			f.Bool = append(f.Bool, map[bool]uint8{true: 1}[b])
		case schema.String:
			text, _ := v.(string)
			f.Data = append(f.Data, text...)
			f.Offsets = append(f.Offsets, uint32(len(f.Data)))
		}
	}
	if !complete {
		f.Valid = valid
	}
	return f
}

// answer runs a query and returns its rows as text, column values joined by "|".
func answer(t testing.TB, q *Querier, database, sql string) []string {
	t.Helper()
	rows, err := tryAnswer(t, q, Request{Database: database, SQL: sql})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

func tryAnswer(t testing.TB, q *Querier, req Request) ([]string, error) {
	t.Helper()
	r, err := q.Query(t.Context(), req)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var rows []string
	for r.Next() {
		batch := r.Record()
		for i := range int(batch.NumRows()) {
			var line []string
			for _, column := range batch.Columns() {
				line = append(line, column.ValueStr(i))
			}
			rows = append(rows, strings.Clone(strings.Join(line, "|"))) // the record's memory is DuckDB's
		}
	}
	return rows, r.Err()
}

func sorted(rows []string) []string {
	slices.SortFunc(rows, cmp.Compare[string])
	return rows
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fileRef is a file that only the catalog knows.
func fileRef(order int64, r schema.TimeRange) engine.FileRef {
	return engine.FileRef{File: &schema.File{Order: uint64(order), Time: r}, Path: fmt.Sprint("/nowhere/", order)}
}
