package partition

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"github.com/siltstone-db/siltstone/schema"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of testdata")

// sampleBatches has every column type, both forms of floats, nulls, missing tags,
// negative numbers, and numbers of no, one, two and eight bytes.
func sampleBatches() []*Batch {
	first := newBatch(
		row{map[schema.ColumnID]string{1: "a", 4: "north"}, testDay + 5e9, map[schema.ColumnID]value{
			2: floatValue(1.5), 3: {schema.Int64, ^uint64(6), ""}, 6: {schema.String, 0, "héllo"},
		}},
		row{map[schema.ColumnID]string{200: "r1"}, testDay + 2e9, map[schema.ColumnID]value{
			2: floatValue(-2), 5: {schema.Uint64, 1 << 63, ""}, 7: {schema.Bool, 1, ""},
		}},
		row{map[schema.ColumnID]string{1: "a", 4: "north"}, testDay + 9e9, map[schema.ColumnID]value{
			3: {schema.Int64, 300, ""}, 5: {schema.Uint64, 0, ""}, 6: {schema.String, 0, "x"}, 7: {schema.Bool, 0, ""},
		}},
	)
	second := new(Batch)
	fill(second, schema.PartitionKey{Database: 300, Table: 70_000, Day: -1},
		[]row{{nil, -1, map[schema.ColumnID]value{1: floatValue(0.1), 2: floatValue(1.0 / 3)}}}, false)
	return []*Batch{first, second}
}

// decodeAll returns the batches of a record as rows, by partition.
func decodeAll(record []byte) (batches []string, err error) {
	var d Decoder
	err = d.Decode(record, func(b *Batch) error {
		batches = append(batches, fmt.Sprintf("%s %v:\n%s", b.Key, b.Range, strings.Join(texts(batchRows(b)), "\n")))
		return nil
	})
	return batches, err
}

// TestEncodingKeepsItsBytes compares with the bytes of each version in testdata: hex,
// 16 bytes a line. Logs of old versions must stay readable, and -rewrite must only
// ever add files.
func TestEncodingKeepsItsBytes(t *testing.T) {
	mustKeepBytes(t, new(Encoder).Encode(sampleBatches()), "record-v1.hex", []string{
		"db 1 table 2 day 2016-01-01 {1451606402000000000 1451606409000000000}:\n" + strings.Join([]string{
			`1="a" 4="north" @1451606405000000000 2=3ff8000000000000 3=-7i 6="héllo"`,
			`200="r1" @1451606402000000000 2=c000000000000000 5=9223372036854775808u 7=true`,
			`1="a" 4="north" @1451606409000000000 3=300i 5=0u 6="x" 7=false`,
		}, "\n"),
		"db 300 table 70000 day 1969-12-31 {-1 -1}:\n@-1 1=3fb999999999999a 2=3fd5555555555555",
	})
	byTags := columnRows()
	mustKeepBytes(t, new(Encoder).Encode([]*Batch{newBatch(byTags...), sampleBatches()[1]}), "record-v2.hex", []string{
		"db 1 table 2 day 2016-01-01 {1451606400000000000 1451606400000000000}:\n" + strings.Join(texts(byTags), "\n"),
		"db 300 table 70000 day 1969-12-31 {-1 -1}:\n@-1 1=3fb999999999999a 2=3fd5555555555555",
	})
}

// columnRows are rows of series with tags of as many values as there are series, of one, of two,
// and of more than half a byte numbers.
func columnRows() []row {
	var rows []row
	for i := range 19 {
		rows = append(rows, row{map[schema.ColumnID]string{
			1: fmt.Sprint("host_", i), 2: "eu", 3: []string{"", "ö"}[i/5%2], 300: fmt.Sprint("r", i%17),
		}, testDay, map[schema.ColumnID]value{400: {schema.Int64, uint64(i), ""}}})
	}
	return rows
}

// mustKeepBytes compares a record with a golden file and what is decoded of that with its batches.
func mustKeepBytes(t *testing.T, record []byte, name string, want []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	var b strings.Builder
	for at := 0; at < len(record); at += 16 {
		fmt.Fprintf(&b, "% x\n", record[at:min(at+16, len(record))])
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), b.String()); diff != "" {
		t.Errorf("encoding has changed: %s", diff)
	}
	old, err := hex.DecodeString(strings.Join(strings.Fields(string(golden)), ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeAll(old)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTimesOutOfOrderKeepTheirNanoseconds: a distance below the first time must not be
// judged by its remainder modulo 2^64, which 1e9, 1e6 and 1e3 do not divide.
func TestTimesOutOfOrderKeepTheirNanoseconds(t *testing.T) {
	for _, back := range []int64{616, 551616, 709551616, 1_709551616, 1, 999, 1e3, 1e6, 1e9, 86399e9} {
		rows := []row{{nil, testDay + 86399e9, nil}, {nil, testDay + 86399e9 - back, nil}}
		var d Decoder
		err := d.Decode(new(Encoder).Encode([]*Batch{newBatch(rows...)}), func(b *Batch) error {
			if b.Time[0] != rows[0].time || b.Time[1] != rows[1].time {
				t.Errorf("%d ns back: times %d become %d", back, []int64{rows[0].time, rows[1].time}, b.Time)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d ns back: %v", back, err)
		}
	}
}

// TestNumbersOfEveryWidth packs values that need 0, 1, 2, 4 and 8 bytes.
func TestNumbersOfEveryWidth(t *testing.T) {
	for _, far := range []uint64{0, 1, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for _, base := range []uint64{0, 7, 1 << 63, ^uint64(9)} {
			rows := []row{{fields: map[schema.ColumnID]value{}}, {fields: map[schema.ColumnID]value{}}}
			for i, bits := range []uint64{base, base + far} {
				rows[i].time = testDay
				rows[i].fields[3], rows[i].fields[5] = value{typ: schema.Int64, bits: bits}, value{typ: schema.Uint64, bits: bits}
			}
			batches := []*Batch{newBatch(rows...)}
			got, err := decodeAll(new(Encoder).Encode(batches))
			if want := strings.Join(texts(rows), "\n"); err != nil || len(got) != 1 || !strings.HasSuffix(got[0], want) {
				t.Errorf("%d and %d more: %v %v", base, far, got, err)
			}
		}
	}
}

func TestLargeRecordsAreCompressed(t *testing.T) {
	var rows []row
	for i := range 1000 {
		rows = append(rows, row{map[schema.ColumnID]string{1: fmt.Sprint("host_", i)}, testDay + int64(i), map[schema.ColumnID]value{2: floatValue(1)}})
	}
	record := new(Encoder).Encode([]*Batch{newBatch(rows...)})
	size, _ := binary.Uvarint(record[2:])
	if record[1] != codecS2 || len(record) > int(size)/2 {
		t.Errorf("codec %d, %d bytes for %d", record[1], len(record), size)
	}
	got, err := decodeAll(record)
	if err != nil || len(got) != 1 || !strings.HasSuffix(got[0], strings.Join(texts(rows), "\n")) {
		t.Errorf("decoding: %v", err)
	}
}

// TestReusedCodecsForget runs records of different shapes through one encoder, batch
// and decoder; nothing of one may show in the next.
func TestReusedCodecsForget(t *testing.T) {
	var e Encoder
	var d Decoder
	b := new(Batch)
	mixed := sampleBatches()[0]
	for i, rows := range [][]row{batchRows(mixed), {}, batchRows(mixed)[1:2], {{nil, testDay, nil}}, batchRows(mixed)} {
		fill(b, testKey, rows, false)
		var got []string
		err := d.Decode(e.Encode([]*Batch{b}), func(b *Batch) error {
			got = append(got, texts(batchRows(b))...)
			return nil
		})
		if diff := cmp.Diff(strings.Join(texts(rows), "\n"), strings.Join(got, "\n")); err != nil || diff != "" {
			t.Errorf("record %d: %v %s", i, err, diff)
		}
	}
}

func TestDecodeStopsWhereApplyFails(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := new(Decoder).Decode(new(Encoder).Encode(sampleBatches()), func(*Batch) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || errors.Is(err, ErrBadEncoding) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// plain wraps a body in a record that is not compressed.
func plain(body ...byte) []byte {
	return append(binary.AppendUvarint([]byte{firstVersion, codecPlain}, uint64(len(body))), body...)
}

// emptyBody is one batch without rows, series or columns: its count, key, rows,
// series, index, times and columns.
var emptyBody = []byte{1, 1, 2, 0, 0, 0, 0, 0, 0}

func TestDecodeRefuses(t *testing.T) {
	if _, err := decodeAll(plain(emptyBody...)); err != nil {
		t.Fatalf("the body that the cases vary is bad itself: %v", err)
	}
	compressed := s2.Encode(nil, emptyBody)
	claim := func(size uint64, rest []byte) []byte {
		return append(binary.AppendUvarint([]byte{encodingVersion, codecS2}, size), rest...)
	}
	twice := newBatch(row{nil, testDay, map[schema.ColumnID]value{2: floatValue(1), 300: floatValue(2)}})
	twice.Fields[1].ID = 2
	elsewhere := newBatch(row{nil, testDay, nil})
	elsewhere.Key.Day++
	astray := newBatch(row{nil, testDay, nil})
	astray.Index[0] = 1
	maybe := newBatch(row{nil, testDay, map[schema.ColumnID]value{7: {schema.Bool, 1, ""}}})
	maybe.Fields[0].Bool[0] = 2
	backwards := newBatch(row{nil, testDay, map[schema.ColumnID]value{6: {schema.String, 0, "ab"}}}, row{nil, testDay, map[schema.ColumnID]value{6: {schema.String, 0, ""}}})
	backwards.Fields[0].Offsets = []uint32{0, 2, 1}
	withSeries := func(key ...byte) *Batch {
		b := newBatch(row{nil, testDay, nil})
		b.Series[0] = key
		return b
	}
	encode := func(b *Batch) []byte { return new(Encoder).Encode([]*Batch{b}) }
	for name, record := range map[string][]byte{
		"nothing":                     {},
		"only a version":              {encodingVersion},
		"version 0":                   {0, codecPlain, 0},
		"an unknown codec":            {encodingVersion, 2, 0},
		"a length that is too short":  append(plain(emptyBody...), 0),
		"a length that is too long":   plain(emptyBody...)[:len(emptyBody)],
		"a length beyond the limit":   claim(maxBody+1, compressed),
		"a compressed length that is": claim(uint64(len(emptyBody))+1, compressed),
		"compressed nonsense":         claim(9, []byte{9, 0xff, 0xff}),
		"an endless varint":           {encodingVersion, codecPlain, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"no body":                     plain(),
		"bytes behind the batches":    plain(append(emptyBody, 0)...),
		"more batches than there are": plain(append([]byte{2}, emptyBody[1:]...)...),
		"a huge table id":             plain(1, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0),
		"too many rows":               plain(1, 1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0),
		"too many series":             plain(1, 1, 2, 0, 0, 100, 0, 0, 0),
		"too many columns":            plain(1, 1, 2, 0, 0, 0, 0, 0, 100),
		"too many cells":              plain(append([]byte{1, 1, 2, 0, 0x80, 0x80, 0x80, 8, 1, 0, 0}, append(make([]byte, 17), 3, 1, 2, 0, 1, 2, 0, 1, 2, 0)...)...),
		"a width of three":            plain(append([]byte{1, 1, 2, 0, 1, 1, 0, 3}, make([]byte, 40)...)...),
		"a width for no rows":         plain(1, 1, 2, 0, 0, 0, 1, 0, 0),
		"an unknown scale":            plain(append([]byte{1, 1, 2, 0, 1, 1, 0, 0x40}, make([]byte, 40)...)...),
		"a column twice":              encode(twice),
		"a time of another day":       encode(elsewhere),
		"a series that is none":       encode(astray),
		"a tag among the fields":      plain(1, 1, 2, 0, 0, 0, 0, 0, 1, 2, byte(schema.Tag), 0, 0),
		"an unknown column type":      plain(1, 1, 2, 0, 0, 0, 0, 0, 1, 2, 7, 0, 0),
		"a column without an id":      plain(1, 1, 2, 0, 0, 0, 0, 0, 1, 0, byte(schema.Bool), 0),
		"an unknown column flag":      plain(1, 1, 2, 0, 0, 0, 0, 0, 1, 2, byte(schema.Bool), 2),
		"a boolean of two":            encode(maybe),
		"floats of too many decimals": plain(1, 1, 2, 0, 0, 0, 0, 0, 1, 2, byte(schema.Float64), 0, 7, 0),
		"string ends that go back":    encode(backwards),
		"series with a tag 0":         encode(withSeries(0, 0)),
		"series with a tag twice":     encode(withSeries(1, 0, 1, 0)),
		"series with tags reversed":   encode(withSeries(2, 0, 1, 0)),
		"series that is cut":          encode(withSeries(1, 2, 'a')),
		"series in a longer spelling": encode(withSeries(0x81, 0, 0)),
	} {
		if got, err := decodeAll(record); !errors.Is(err, ErrBadEncoding) {
			t.Errorf("%s is accepted: %v %v", name, got, err)
		}
	}
	if got, err := decodeAll(append([]byte{encodingVersion + 1}, plain(emptyBody...)[1:]...)); !errors.Is(err, ErrNewerEncoding) {
		t.Errorf("a later version is accepted: %v %v", got, err)
	}
}

// TestDamageIsAnErrorOrAnotherBatch flips every bit and cuts at every byte: decoding
// must not panic, and what is accepted must be fit for use.
func TestDamageIsAnErrorOrAnotherBatch(t *testing.T) {
	mustBeAnErrorOrAnotherBatch(t, new(Encoder).Encode(sampleBatches()))
	mustBeAnErrorOrAnotherBatch(t, new(Encoder).Encode([]*Batch{newBatch(columnRows()...)}))
}

func mustBeAnErrorOrAnotherBatch(t *testing.T, record []byte) {
	t.Helper()
	refused := 0
	try := func(damaged []byte) {
		if err := useAll(t, damaged); err != nil {
			refused++
		}
	}
	for i := range record {
		for bit := range 8 {
			damaged := append([]byte(nil), record...)
			damaged[i] ^= 1 << bit
			try(damaged)
		}
		before := refused
		if try(record[:i]); refused == before {
			t.Errorf("cut at byte %d of %d: accepted", i, len(record))
		}
	}
	if refused < len(record)*2 {
		t.Errorf("only %d of %d damages are refused", refused, len(record)*9)
	}
}

// useAll decodes a record, appends what it holds to partitions, and encodes it again,
// which must give the same rows.
func useAll(t *testing.T, record []byte) error {
	t.Helper()
	partitions := make(map[schema.PartitionKey]*Partition)
	types := make(map[schema.TableID]map[schema.ColumnID]schema.ColumnType)
	var e Encoder
	return new(Decoder).Decode(record, func(b *Batch) error {
		if b.Rows()*(len(b.Fields)+1) > 1<<16 {
			return nil // bounded by MaxBatchCells, but too slow to do often
		}
		want := batchRows(b)
		err := new(Decoder).Decode(e.Encode([]*Batch{b}), func(again *Batch) error {
			if diff := diffRows(want, batchRows(again)); diff != "" || again.Key != b.Key {
				t.Fatalf("%x: encoded again: %s", record, diff)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%x: encoded again: %v", record, err)
		}
		if types[b.Key.Table] == nil {
			types[b.Key.Table] = make(map[schema.ColumnID]schema.ColumnType)
		}
		if !defineAll(types[b.Key.Table], b.Fields) {
			return nil // the catalog would refuse it
		}
		p := partitions[b.Key]
		if p == nil {
			p = New(b.Key)
			partitions[b.Key] = p
		}
		before := p.Rows()
		p.Append(b, 1)
		if diff := diffRows(want, snapshotRows(p.Snapshot())[before:]); diff != "" {
			t.Fatalf("%x: appended: %s", record, diff)
		}
		return nil
	})
}

// defineAll reports whether the columns have the types that they had before.
func defineAll(types map[schema.ColumnID]schema.ColumnType, fields []Field) bool {
	for i := range fields {
		f := &fields[i]
		if known, ok := types[f.ID]; ok && known != f.Type {
			return false
		}
		types[f.ID] = f.Type
	}
	return true
}
