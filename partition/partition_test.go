package partition

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// drawRow makes a row with few distinct tags and times, so that points repeat, and
// some of the fields.
func drawRow(t *rapid.T, fields []schema.Column) row {
	r := row{make(map[schema.ColumnID]string), 0, make(map[schema.ColumnID]value)}
	for _, c := range testColumns {
		if c.Type == schema.Tag && rapid.Bool().Draw(t, "has tag") {
			r.tags[c.ID] = rapid.SampledFrom([]string{"", "a", "b", "ä", "host_1", "日本"}).Draw(t, "tag")
		}
	}
	r.time = testDay + rapid.OneOf(
		rapid.Int64Range(0, 5),
		rapid.Map(rapid.Int64Range(0, 86399), func(s int64) int64 { return s * 1e9 }),
		rapid.Int64Range(0, schema.NanosPerDay-1),
	).Draw(t, "time")
	for _, c := range fields {
		if rapid.IntRange(0, 3).Draw(t, "has field") > 0 {
			r.fields[c.ID] = drawValue(t, c.Type)
		}
	}
	return r
}

func drawValue(t *rapid.T, typ schema.ColumnType) value {
	v := value{typ: typ}
	switch typ {
	case schema.String:
		v.text = rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[a-c]{300,400}`)).Draw(t, "text")
	case schema.Bool:
		v.bits = rapid.Uint64Range(0, 1).Draw(t, "bool")
	default:
		v.bits = rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64()).Draw(t, "bits")
	}
	return v
}

// drawRows makes the rows of one batch, which uses a part of the columns.
func drawRows(t *rapid.T) []row {
	var fields []schema.Column
	for _, c := range testColumns {
		if c.Type != schema.Tag && rapid.Bool().Draw(t, "batch has field") {
			fields = append(fields, c)
		}
	}
	rows := make([]row, rapid.IntRange(0, 12).Draw(t, "rows"))
	for i := range rows {
		rows[i] = drawRow(t, fields)
	}
	// Longer batches repeat themselves: what matters is that they cross words and chunks.
	for range rapid.IntRange(0, 5).Draw(t, "doublings") {
		for _, r := range rows {
			r.time = testDay + (r.time-testDay+1)%schema.NanosPerDay
			rows = append(rows, r)
		}
	}
	return rows
}

// machine is a partition beside its model.
type machine struct {
	partition *Partition
	rows      []row
	seq       schema.SeqRange
	encoder   Encoder
	decoder   Decoder
	old       []oldSnapshot
	bytes     int64
}

// oldSnapshot was taken when the partition had some number of rows.
type oldSnapshot struct {
	*Snapshot
	rows int
}

// write sends batches through the encoding into the partition, as a log record.
func (m *machine) write(t *rapid.T, spare []*Batch) {
	var batches []*Batch
	for i := range rapid.IntRange(0, len(spare)).Draw(t, "batches") {
		rows := drawRows(t)
		fill(spare[i], testKey, rows, rapid.Bool().Draw(t, "repeat series"))
		batches = append(batches, spare[i])
		m.rows = append(m.rows, rows...)
	}
	seq := m.seq.Max + schema.Seq(rapid.IntRange(1, 3).Draw(t, "seq"))
	record := m.encoder.Encode(batches)
	at := 0
	err := m.decoder.Decode(record, func(b *Batch) error {
		if diff := diffRows(batchRows(batches[at]), batchRows(b)); diff != "" {
			t.Fatalf("batch %d is decoded as another: %s", at, diff)
		}
		if b.Key != testKey || b.Range != batches[at].Range {
			t.Fatalf("batch %d: key %s, range %v; want %v", at, b.Key, b.Range, batches[at].Range)
		}
		at++
		m.bytes += m.partition.Append(b, seq)
		m.seq = m.seq.Include(seq)
		return nil
	})
	if err != nil || at != len(batches) {
		t.Fatalf("decoded %d of %d batches: %v", at, len(batches), err)
	}
}

func (m *machine) check(t *rapid.T, s *Snapshot, want []row) {
	if diff := diffRows(want, snapshotRows(s)); diff != "" {
		t.Fatalf("snapshot of %d rows: %s", s.Rows, diff)
	}
	times := schema.EmptyTimeRange
	for _, r := range want {
		times = times.Include(r.time)
	}
	if s.Rows != len(want) || s.Time != times || s.Key != testKey {
		t.Fatalf("snapshot of %s has %d rows in %v, want %d in %v", s.Key, s.Rows, s.Time, len(want), times)
	}
	for i := range s.Chunks {
		checkChunk(t, &s.Chunks[i], s.SeriesCount)
	}
}

// checkChunk makes sure that all columns are as long as the chunk (readers rely on it).
func checkChunk(t *rapid.T, c *Chunk, seriesCount int) {
	times := schema.EmptyTimeRange
	for r := range c.Rows {
		times = times.Include(c.Time[r])
		if int(c.Series[r]) >= seriesCount {
			t.Fatalf("row %d is of series %d of %d", r, c.Series[r], seriesCount)
		}
	}
	if len(c.Time) != c.Rows || len(c.Series) != c.Rows || c.Range != times || c.Rows == 0 {
		t.Fatalf("chunk of %d rows in %v has %d times in %v, %d series", c.Rows, c.Range, len(c.Time), times, len(c.Series))
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if f.Len() != c.Rows || f.Valid != nil && len(f.Valid) < (c.Rows+63)/64 {
			t.Fatalf("column %d has %d rows and %d validity words; the chunk has %d rows", f.ID, f.Len(), len(f.Valid), c.Rows)
		}
	}
}

// checkRuns makes sure that runs are the snapshot, cut.
func (m *machine) checkRuns(t *rapid.T, s *Snapshot) []*Snapshot {
	limit := rapid.IntRange(1, 200).Draw(t, "rows of a run")
	runs := s.Runs(limit)
	at := 0
	for _, run := range runs {
		m.check(t, run, m.rows[at:at+run.Rows])
		at += run.Rows
		if run.Rows > limit && len(run.Chunks) > 1 {
			t.Fatalf("run of %d rows in %d chunks, limit %d", run.Rows, len(run.Chunks), limit)
		}
	}
	if at != s.Rows {
		t.Fatalf("runs have %d rows of %d", at, s.Rows)
	}
	return runs
}

// checkSorted compares Sorted over snapshots with the model, for some of the columns.
func (m *machine) checkSorted(t *rapid.T, snaps []*Snapshot) {
	var columns []schema.Column
	for _, c := range testColumns {
		if rapid.IntRange(0, 3).Draw(t, "wants column") > 0 {
			columns = append(columns, c)
		}
	}
	maxRows := rapid.IntRange(1, 100).Draw(t, "rows of a record")
	maxText := rapid.IntRange(0, 40).Draw(t, "bytes of text in a record") // 0 for the most
	var got []row
	for record := range Sorted(snaps, columns, arrowLayout(columns), maxRows, maxText) {
		rows, err := recordRows(record, columns)
		if err != nil || len(rows) > maxRows || len(rows) == 0 {
			t.Fatalf("record of %d rows, at most %d wanted: %v", len(rows), maxRows, err)
		}
		got = append(got, rows...)
		record.Release()
	}
	if diff := diffRows(sortedModel(m.rows, columns), got); diff != "" {
		t.Fatalf("sorted rows: %s", diff)
	}
}

func (m *machine) checkColumns(t *rapid.T, snaps []*Snapshot) {
	got := Columns(snaps)
	for _, r := range m.rows {
		for id := range r.tags {
			if !got[id] {
				t.Fatalf("tag %d is missing from %v", id, got)
			}
		}
		for id := range r.fields {
			if !got[id] {
				t.Fatalf("field %d is missing from %v", id, got)
			}
		}
	}
}

// TestPartitionAgreesWithModel holds P1, P2 and P3 against lists of rows.
func TestPartitionAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{partition: New(testKey)}
		m.bytes = m.partition.Bytes()
		spare := []*Batch{{}, {}, {}}
		for range rapid.IntRange(1, 8).Draw(t, "records") {
			m.write(t, spare)
			if rapid.Bool().Draw(t, "snapshot") {
				m.old = append(m.old, oldSnapshot{m.partition.Snapshot(), len(m.rows)})
			}
		}
		if m.bytes > m.partition.Bytes() || m.partition.Rows() != len(m.rows) || m.partition.Seq() != m.seq {
			t.Fatalf("%d bytes, %d were reported; %d rows of %d; positions %v of %v",
				m.partition.Bytes(), m.bytes, m.partition.Rows(), len(m.rows), m.partition.Seq(), m.seq)
		}
		final := m.partition.Freeze()
		m.old = append(m.old, oldSnapshot{final, len(m.rows)})
		for _, s := range m.old {
			m.check(t, s.Snapshot, m.rows[:s.rows])
		}
		if final.Seq != m.seq {
			t.Fatalf("snapshot of positions %v, want %v", final.Seq, m.seq)
		}
		runs := m.checkRuns(t, final)
		m.checkColumns(t, runs)
		m.checkSorted(t, runs)
		m.checkSorted(t, []*Snapshot{final})
	})
}

// TestSortedMergesPartitions sorts rows whose series have other numbers in each
// snapshot; later snapshots win.
func TestSortedMergesPartitions(t *testing.T) {
	point := func(host string, at int64, id schema.ColumnID, v float64) row {
		return row{map[schema.ColumnID]string{1: host}, testDay + at, map[schema.ColumnID]value{id: floatValue(v)}}
	}
	rows := [][]row{
		{point("b", 2, 2, 1), point("a", 1, 2, 2), point("b", 1, 300, 3)},
		{point("a", 1, 300, 4), point("b", 2, 2, 5)},
		{},
		{point("a", 1, 2, 6), {nil, testDay + 9, map[schema.ColumnID]value{300: floatValue(7)}}},
	}
	m := new(machine)
	var snaps []*Snapshot
	for i, r := range rows {
		p := New(testKey)
		p.Append(newBatch(r...), schema.Seq(i+1))
		snaps = append(snaps, p.Snapshot())
		m.rows = append(m.rows, r...)
	}
	rapid.Check(t, func(t *rapid.T) { m.checkSorted(t, snaps) })
	for range Sorted(snaps, testColumns[:2], arrowLayout(testColumns[:2]), 1, 0) {
		break // stopping early is allowed
	}
}

func TestSortedOfNothing(t *testing.T) {
	for _, columns := range [][]schema.Column{nil, testColumns} {
		for _, snaps := range [][]*Snapshot{nil, {New(testKey).Snapshot()}} {
			for record := range Sorted(snaps, columns, arrowLayout(columns), 10, 0) {
				t.Errorf("%d columns: a record of %d rows", len(columns), record.NumRows())
			}
		}
	}
}

func TestAppendRefusesLostRows(t *testing.T) {
	other := testKey
	other.Day++
	frozen := New(testKey)
	frozen.Freeze()
	for name, p := range map[string]*Partition{"frozen": frozen, "foreign": New(other)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s partition took a batch", name)
				}
			}()
			p.Append(newBatch(), 1)
		}()
	}
}

// TestTruncateForgetsRows: a caller may take back the latest rows of a batch, which
// leaves nothing of them behind.
func TestTruncateForgetsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]schema.ColumnType{schema.Float64, schema.Int64, schema.Uint64, schema.String, schema.Bool}).Draw(t, "type")
		f := Field{ID: 1, Type: typ}
		var want []string
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				n := rapid.IntRange(0, len(want)).Draw(t, "rows")
				f.Truncate(n)
				want = want[:n]
			case 1:
				n := len(want) + rapid.IntRange(0, 70).Draw(t, "nulls")
				f.Pad(n)
				want = append(want, slices.Repeat([]string{"null"}, n-len(want))...)
			default:
				v := drawValue(t, typ)
				f.Append(len(want), v.bits, []byte(v.text))
				want = append(want, v.String())
			}
			if f.Len() != len(want) {
				t.Fatalf("%d rows, want %d", f.Len(), len(want))
			}
		}
		valid := 0
		for r, w := range want {
			got := "null"
			if f.IsValid(r) {
				got = f.valueOf(r).String()
				valid++
			}
			if got != w {
				t.Fatalf("row %d is %s, want %s", r, got, w)
			}
		}
		from := rapid.IntRange(0, len(want)).Draw(t, "from")
		if got := f.valuesIn(0, from) + f.valuesIn(from, len(want)); got != valid {
			t.Fatalf("%d values, want %d", got, valid)
		}
	})
}
