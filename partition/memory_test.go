package partition

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// shape makes row number i of a kind of data.
type shape struct {
	name string
	row  func(i int) row
}

func floats(n int, first schema.ColumnID) map[schema.ColumnID]value {
	fields := make(map[schema.ColumnID]value)
	for i := range n {
		fields[first+schema.ColumnID(i)] = floatValue(float64(i))
	}
	return fields
}

var denseShapes = []shape{
	{"ten tags, ten fields, 100 series", func(i int) row {
		tags := make(map[schema.ColumnID]string)
		for id := range schema.ColumnID(10) {
			tags[id+1] = fmt.Sprintf("value_%d_%d", id, i%100)
		}
		return row{tags, testDay + int64(i), floats(10, 11)}
	}},
	{"one field, one series", func(i int) row {
		return row{map[schema.ColumnID]string{1: "a"}, testDay + int64(i), floats(1, 2)}
	}},
	{"a series for each row", func(i int) row {
		return row{map[schema.ColumnID]string{1: fmt.Sprintf("container-%032d", i)}, testDay, floats(2, 2)}
	}},
	{"strings", func(i int) row {
		text := value{schema.String, 0, strings.Repeat("log ", 50+i%10)}
		return row{map[schema.ColumnID]string{1: "a"}, testDay + int64(i), map[schema.ColumnID]value{2: text}}
	}},
	{"booleans and nulls", func(i int) row {
		fields := map[schema.ColumnID]value{2: {schema.Bool, uint64(i % 2), ""}}
		if i%3 == 0 {
			fields[3] = value{schema.Int64, 5, ""}
		}
		return row{map[schema.ColumnID]string{1: "a"}, testDay + int64(i), fields}
	}},
}

// load appends rows [from, to) in batches.
func load(p *Partition, s shape, from, to, batchRows int) {
	b := new(Batch)
	var rows []row
	for i := from; i < to; i++ {
		if rows = append(rows, s.row(i)); len(rows) == batchRows || i+1 == to {
			fill(b, testKey, rows, false)
			p.Append(b, 1)
			rows = rows[:0]
		}
	}
}

// TestBytesTellsTheHeapsGrowth holds P4: what a partition says it takes is what the
// heap grows by, within a factor of two.
func TestBytesTellsTheHeapsGrowth(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, s := range denseShapes {
		for _, batchRows := range []int{1, 1000} {
			t.Run(fmt.Sprintf("%s, batches of %d", s.name, batchRows), func(t *testing.T) {
				const partitions = 2
				var kept []*Partition
				before := heap()
				said := int64(0)
				for range partitions {
					p := New(testKey)
					load(p, s, 0, 7000, batchRows)
					kept = append(kept, p)
					said += p.Bytes()
				}
				grown := heap() - before
				runtime.KeepAlive(kept)
				if said < grown/2 || said > grown*2 {
					t.Errorf("Bytes says %d, the heap grew by %d", said, grown)
				}
			})
		}
	}
}

// TestMemoryIsLinearInSparseInput: 10,000 rows with a field of their own each must not
// be padded to 10,000 columns, however they come.
func TestMemoryIsLinearInSparseInput(t *testing.T) {
	const rows = 10_000
	s := shape{"", func(i int) row { return row{nil, testDay + int64(i), floats(1, schema.ColumnID(i+1))} }}
	for name, load := range map[string]func(p *Partition){
		"row by row":        func(p *Partition) { load(p, s, 0, rows, 1) },
		"in full batches":   func(p *Partition) { loadFitting(t, p, s, rows) },
		"behind dense rows": func(p *Partition) { load(p, denseShapes[1], 0, 70_000, 10_000); load(p, s, 1, rows+1, 1) },
		"between dense rows": func(p *Partition) {
			for i := range rows / 100 {
				load(p, denseShapes[1], 0, 1000, 1000)
				load(p, s, i*100+2, i*100+102, 1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(testKey)
			load(p)
			snapshot := p.Snapshot()
			values := 0
			for c := range snapshot.Chunks {
				for i := range snapshot.Chunks[c].Fields {
					values += snapshot.Chunks[c].Fields[i].valuesIn(0, snapshot.Chunks[c].Rows)
				}
			}
			if values < rows {
				t.Fatalf("%d values of %d", values, rows)
			}
			if perValue := p.Bytes() / int64(values); perValue > 1024 {
				t.Errorf("%d values take %d bytes each in %d chunks", values, perValue, len(snapshot.Chunks))
			}
		})
	}
}

// loadFitting cuts rows into batches as a caller should.
func loadFitting(t *testing.T, p *Partition, s shape, rows int) {
	t.Helper()
	b, values, at := new(Batch), 0, make(map[schema.ColumnID]int)
	flush := func() {
		b.Finish()
		p.Append(b, 1)
		b.Reset(testKey)
		b.Series = append(b.Series, nil)
		values = 0
		clear(at)
	}
	b.Reset(testKey)
	b.Series = append(b.Series, nil)
	for i := range rows {
		r := s.row(i)
		missing := 0
		for id := range r.fields {
			if _, ok := at[id]; !ok {
				missing++
			}
		}
		if !b.Fits(len(r.fields), missing, values) {
			flush()
		}
		for id, v := range r.fields {
			if _, ok := at[id]; !ok {
				at[id] = b.AddField(id, v.typ)
			}
			b.Fields[at[id]].Append(len(b.Time), v.bits, nil)
		}
		b.Time, b.Index = append(b.Time, r.time), append(b.Index, 0)
		b.Range = b.Range.Include(r.time)
		values += len(r.fields)
		if cells := b.Rows() * len(b.Fields); cells > sparseRatio*values+values+sparseSlack {
			t.Fatalf("batch of %d cells for %d values", cells, values)
		}
	}
	flush()
}

// TestOneWideRowPadsNothing: a chunk of many narrow rows is closed before a row of
// many columns, and a chunk for one row has no room for many.
func TestOneWideRowPadsNothing(t *testing.T) {
	p := New(testKey)
	load(p, denseShapes[1], 0, 100_000, 10_000)
	before := p.Bytes()
	p.Append(newBatch(row{nil, testDay, floats(500, 2)}), 1)
	if grown := p.Bytes() - before; grown > 1<<20 {
		t.Errorf("a row of 500 fields takes %d bytes behind 100,000 narrow ones", grown)
	}
	p.Append(newBatch(row{nil, testDay + 1, floats(1, 2)}), 1)
	before = p.Bytes()
	p.Append(newBatch(row{nil, testDay + 2, floats(500, 1000)}), 1)
	if grown := p.Bytes() - before; grown > 1<<20 {
		t.Errorf("a row of 500 fields takes %d bytes behind a narrow one", grown)
	}
}

func TestFits(t *testing.T) {
	b := new(Batch)
	b.Reset(testKey)
	if !b.Fits(MaxBatchCells*2, MaxBatchCells*2, 0) {
		t.Error("an empty batch refuses a wide row")
	}
	b.Time = make([]int64, 1_000_000)
	b.AddField(1, schema.Float64)
	for _, c := range []struct {
		name                          string
		rowValues, newFields, present int
		want                          bool
	}{
		{"the same column", 1, 0, 1_000_000, true},
		{"another column", 2, 1, 1_000_000, true},
		{"as many as the ratio allows", 5, 4, 1_000_000, true},
		{"more", 6, 5, 1_000_000, false},
		{"a wide row", 100, 99, 1_000_000, false},
		{"few values so far", 1, 0, 100_000, false},
	} {
		if got := b.Fits(c.rowValues, c.newFields, c.present); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	b.Time = make([]int64, MaxBatchCells/2-1)
	if n := len(b.Time); !b.Fits(1, 0, n) {
		t.Error("a batch of just under MaxBatchCells is full")
	}
	b.Time = make([]int64, MaxBatchCells/2)
	if n := len(b.Time); b.Fits(1, 0, n) {
		t.Error("a batch of MaxBatchCells is not full")
	}
}

// TestLongStringsAreCutIntoChunks: offsets have 32 bits, so that a chunk must not take
// 64 Ki strings of 64 KiB.
func TestLongStringsAreCutIntoChunks(t *testing.T) {
	const rows = 2100 // 137 MB
	text := strings.Repeat("x", 64<<10)
	p := New(testKey)
	b := new(Batch)
	for from := 0; from < rows; from += 300 {
		var batch []row
		for i := from; i < from+300; i++ {
			batch = append(batch, row{nil, testDay + int64(i), map[schema.ColumnID]value{6: {schema.String, 0, text[i:]}}})
		}
		fill(b, testKey, batch, false)
		p.Append(b, 1)
	}
	s := p.Snapshot()
	i := 0
	for c := range s.Chunks {
		f := &s.Chunks[c].Fields[0]
		if len(f.Data) > maxChunkText {
			t.Errorf("chunk of %d rows has %d bytes of text", s.Chunks[c].Rows, len(f.Data))
		}
		for r := range s.Chunks[c].Rows {
			if len(f.Bytes(r)) != len(text)-i {
				t.Fatalf("row %d has %d bytes, want %d", i, len(f.Bytes(r)), len(text)-i)
			}
			i++
		}
	}
	if i != rows {
		t.Errorf("%d rows of %d", i, rows)
	}
	checkLongRecords(t, s)
}

// checkLongRecords makes sure that Sorted cuts records by their text as well.
func checkLongRecords(t *testing.T, s *Snapshot) {
	t.Helper()
	columns := testColumns[5:6]
	var sizes []int64
	rows := int64(0)
	for record := range Sorted([]*Snapshot{s}, columns, arrowLayout(columns), s.Rows, 0) {
		text := record.Column(1).(*array.String)
		if n := len(text.ValueBytes()); n > MaxRecordText {
			t.Errorf("record of %d rows has %d bytes of text", record.NumRows(), n)
		}
		if got := len(text.Value(0)); got != 64<<10-int(rows) {
			t.Errorf("record that begins at row %d begins with a string of %d bytes", rows, got)
		}
		rows += record.NumRows()
		sizes = append(sizes, record.NumRows())
		record.Release()
	}
	if len(sizes) != 2 || rows != int64(s.Rows) {
		t.Errorf("records of %d rows for %d", sizes, s.Rows)
	}
}

// TestBatchForgetsEarlierColumns: a column that is given up without Reset leaves
// nothing to the one that takes its place, whatever its type.
func TestBatchForgetsEarlierColumns(t *testing.T) {
	b := newBatch(row{nil, testDay, map[schema.ColumnID]value{6: {schema.String, 0, "long text"}}})
	b.Fields = b.Fields[:0]
	b.Fields[:1][0].Valid = []uint64{0}
	b.AddField(2, schema.Float64)
	b.Fields[0].Append(0, floatValue(3).bits, nil)
	if want := int64(8); b.Fields[0].bytes() != want {
		t.Errorf("%d bytes of values, want %d", b.Fields[0].bytes(), want)
	}
	got := fieldsOf(b.Fields, 0)
	if diff := cmp.Diff([]string{"4008000000000000"}, valueTexts(got)); diff != "" {
		t.Error(diff)
	}
}

func valueTexts(fields map[schema.ColumnID]value) (out []string) {
	for _, id := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fields[id].String())
	}
	return out
}

// TestBatchEstimateCoversANewPartition: what is reserved for a batch before it is logged
// must not be less than what appending it takes.
func TestBatchEstimateCoversANewPartition(t *testing.T) {
	b := newBatch(row{nil, testDay, map[schema.ColumnID]value{6: {schema.String, 0, "long text"}, 7: {schema.Int64, 1, ""}}})
	p := New(b.Key)
	p.Append(b, 1)
	if b.MemoryBytes() < p.Bytes() {
		t.Errorf("%d bytes were estimated for a partition of %d", b.MemoryBytes(), p.Bytes())
	}
}
