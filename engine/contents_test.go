package engine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// contents is what a database holds, read without DuckDB: point → field → value. A
// point is written as "table,tag=value time", with its tags in name order.
type contents map[string]map[string]any

// read merges a view's files and buffers row by row, oldest first, so that the last
// write of a field wins.
func read(t testing.TB, e *engine.Engine, fs vfs.FS, database string) contents {
	t.Helper()
	v, err := e.View(context.Background(), database, nil)
	if err != nil {
		t.Fatalf("View(%q): %v", database, err)
	}
	defer v.Close()
	all := make(contents)
	for _, tv := range v.Tables {
		if tv.Rollup != nil {
			checkRollup(t, fs, tv)
			continue
		}
		rows := make(contents)
		for _, f := range tv.Files {
			if err := persist.Verify(fs, f.Path, f.File); err != nil {
				t.Fatalf("%s does not verify: %v", f.Path, err)
			}
			readFile(t, rows, tv.Table, fs, f.Path, f.Hidden)
		}
		for _, s := range tv.Buffers {
			readBuffer(rows, tv.Table, s)
		}
		maps.DeleteFunc(rows, func(key string, _ map[string]any) bool { return !tv.Kept().Contains(timeOf(key)) })
		maps.Copy(all, rows)
	}
	return all
}

// timeOf is the time of a point.
func timeOf(key string) int64 {
	ns, err := strconv.ParseInt(key[strings.LastIndexByte(key, ' ')+1:], 10, 64)
	if err != nil {
		panic(err)
	}
	return ns
}

func (c contents) put(table *schema.Table, tags map[string]string, ns int64, fields map[string]any) {
	var key strings.Builder
	key.WriteString(table.Name)
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		fmt.Fprintf(&key, ",%s=%s", k, tags[k])
	}
	fmt.Fprintf(&key, " %d", ns)
	if c[key.String()] == nil {
		c[key.String()] = make(map[string]any)
	}
	maps.Copy(c[key.String()], fields)
}

func readBuffer(all contents, table *schema.Table, s *partition.Snapshot) {
	for _, chunk := range s.Chunks {
		for r := range chunk.Rows {
			tags, fields := make(map[string]string), make(map[string]any)
			for i := range s.Tags {
				if v, ok := s.Tags[i].Value(chunk.Series[r]); ok {
					c, _ := table.ColumnByID(s.Tags[i].ID)
					tags[c.Name] = v
				}
			}
			for i := range chunk.Fields {
				f := &chunk.Fields[i]
				if c, ok := table.ColumnByID(f.ID); ok && f.IsValid(r) {
					fields[c.Name] = fieldValue(f, r)
				}
			}
			all.put(table, tags, chunk.Time[r], fields)
		}
	}
}

func fieldValue(f *partition.Field, r int) any {
	switch f.Type {
	case schema.Int64:
		return f.Int64[r]
	case schema.Uint64:
		return f.Uint64[r]
	case schema.Float64:
		return f.Float64[r]
	case schema.Bool:
		return f.Bool[r] != 0
	}
	return string(f.Bytes(r))
}

func readFile(t testing.TB, all contents, table *schema.Table, fs vfs.FS, path string, hidden []*schema.Tombstone) {
	t.Helper()
	r, err := persist.Open(fs, path)
	if err != nil {
		t.Fatalf("opening %s: %v", path, err)
	}
	defer r.Close()
	for record, err := range r.Records() {
		if err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		for row := range int(record.NumRows()) {
			readRow(all, table, record, row, hidden)
		}
		record.Release()
	}
}

func readRow(all contents, table *schema.Table, record arrow.RecordBatch, row int, hidden []*schema.Tombstone) {
	tags, fields := make(map[string]string), make(map[string]any)
	var ns int64
	for i, column := range record.Columns() {
		name := record.ColumnName(i)
		if column.IsNull(row) {
			continue
		}
		switch c := column.(type) {
		case *array.Dictionary:
			tags[name] = c.Dictionary().(*array.String).Value(c.GetValueIndex(row))
		case *array.Timestamp:
			ns = int64(c.Value(row))
		case *array.Int64:
			fields[name] = c.Value(row)
		case *array.Uint64:
			fields[name] = c.Value(row)
		case *array.Float64:
			fields[name] = c.Value(row)
		case *array.Boolean:
			fields[name] = c.Value(row)
		case *array.String:
			fields[name] = strings.Clone(c.Value(row))
		default:
			panic(fmt.Sprintf("column %s has type %T", name, column))
		}
	}
	for _, d := range hidden {
		if d.Time.Contains(ns) && d.Where.Holds(func(tag string) string { return tags[tag] }) {
			return
		}
	}
	all.put(table, tags, ns, fields)
}
