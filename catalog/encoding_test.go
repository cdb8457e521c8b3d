package catalog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// recordSample is one record of each kind, for the golden file and as a fuzz seed.
type recordSample struct {
	name       string
	key, value []byte // value is not sealed
}

func recordSamples() []recordSample {
	instance := instanceID{0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x46, 0x87, 0x98, 0x69, 0x5a, 0x4b, 0x3c, 0x2d, 0x1e, 0x0f}
	before1970 := schema.PartitionKey{Database: 1, Table: 2, Day: -3}
	return []recordSample{
		{"header", headerKey, appendHeader(nil, header{format: 1, instance: instance})},
		{"run", runKey, appendNumber(nil, 3)},
		{"position", positionKey, appendNumber(nil, 1_000_000)},
		{"database", databaseKey(1), appendDatabase(nil, "weather")},
		{"table", tableKey(2), appendTable(nil, 1, "température")},
		{"column", columnKey(2, 258), appendColumn(nil, schema.Column{Name: "host", Type: schema.Tag})},
		{"file", fileKey(1<<runShift + 7), appendFile(nil, goldenFile())},
		{"flushed", flushedKey(before1970), appendNumber(nil, 1_000_005)},
	}
}

func goldenFile() *schema.File {
	return &schema.File{
		ID: 1<<runShift + 7, Database: 1, Table: 2, DayMin: -1, DayMax: 0, Rows: 300, Bytes: 65_536,
		Time: schema.TimeRange{Min: -1, Max: 1_000_000_000}, Seq: schema.SeqRange{Min: 5, Max: 300},
		Order: 12, CRC32C: 0x01020304,
		Columns: []schema.ColumnStats{
			{Column: 1},
			{Column: 2, Nulls: 200, Min: schema.SortableInt64(-1), Max: schema.SortableInt64(1)},
			{Column: 258, Min: []byte{}},
		},
	}
}

// TestRecordsMatchGolden pins the bytes of format 1; see docs/format/catalog.md.
func TestRecordsMatchGolden(t *testing.T) {
	const path = "testdata/format1.txt"
	var b strings.Builder
	for _, s := range recordSamples() {
		fmt.Fprintf(&b, "%s %x %x\n", s.name, s.key, sealed(s.key, s.value))
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
		t.Errorf("the encoding has changed (-golden +now):\n%s", diff)
	}
}

// TestGoldenRecordsLoad reads the golden bytes, which have to stay readable when the
// encoder has moved on.
func TestGoldenRecordsLoad(t *testing.T) {
	l := goldenLoader(t)
	if got := l.header.instance.String(); got != "f0e1d2c3-b4a5-4687-9869-5a4b3c2d1e0f" {
		t.Errorf("instance id %s", got)
	}
	if l.run != 3 || l.position != 1_000_000 {
		t.Errorf("run %d, position %d", l.run, l.position)
	}
	if l.databases[0].Name != "weather" || l.tables[1].name != "température" || l.tables[1].database != 1 {
		t.Errorf("databases %v, tables %v", l.databases, l.tables)
	}
	if col := l.tables[1].columns[257]; col != (schema.Column{ID: 258, Name: "host", Type: schema.Tag}) {
		t.Errorf("column %v", col)
	}
	if diff := cmp.Diff(goldenFile(), l.files[0]); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	want := map[schema.PartitionKey]schema.Seq{{Database: 1, Table: 2, Day: -3}: 1_000_005}
	if diff := cmp.Diff(want, l.flushed); diff != "" {
		t.Errorf("flushed (-want +got):\n%s", diff)
	}
}

// goldenLoader loads the golden records, with stand-ins for the ids before theirs.
func goldenLoader(t *testing.T) *loader {
	t.Helper()
	golden, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	l := &loader{
		empty: true, flushed: make(map[schema.PartitionKey]schema.Seq),
		tables: []tableRecord{{database: 1, name: "first"}},
	}
	for line := range strings.Lines(string(golden)) {
		var name, key, value string
		if _, err := fmt.Sscan(line, &name, &key, &value); err != nil {
			t.Fatal(err)
		}
		if name == "column" {
			for i := range 257 {
				c := schema.Column{ID: schema.ColumnID(i + 1), Name: fmt.Sprint(i), Type: schema.Bool}
				l.tables[1].columns = append(l.tables[1].columns, c)
			}
		}
		if err := l.record(testDir, unhex(t, key), unhex(t, value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.finish(testDir); err != nil {
		t.Fatal(err)
	}
	return l
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnyFlippedBitIsDetected(t *testing.T) {
	for _, s := range recordSamples() {
		record := append(bytes.Clone(s.key), sealed(s.key, s.value)...)
		for bit := range 8 * len(record) {
			flipped := bytes.Clone(record)
			flipped[bit/8] ^= 1 << (bit % 8)
			if _, err := unseal(flipped[:len(s.key)], flipped[len(s.key):]); !errors.Is(err, errChecksum) {
				t.Errorf("%s: bit %d: got %v, want errChecksum", s.name, bit, err)
			}
		}
	}
}

func TestValueUnderAnotherKeyIsDetected(t *testing.T) {
	stored := sealed(tableKey(1), appendTable(nil, 1, "t"))
	if _, err := unseal(tableKey(2), stored); !errors.Is(err, errChecksum) {
		t.Errorf("got %v, want errChecksum", err)
	}
}

func TestTruncatedValuesAreRefused(t *testing.T) {
	for _, s := range recordSamples() {
		for n := range s.value {
			if err := decodeValue(kind(s.key[0]), s.value[:n]); err == nil {
				t.Errorf("%s: accepted the first %d of %d bytes", s.name, n, len(s.value))
			}
		}
		if err := decodeValue(kind(s.key[0]), append(bytes.Clone(s.value), 0)); !errors.Is(err, errTrailing) {
			t.Errorf("%s: a byte too many: %v", s.name, err)
		}
	}
}

// TestHugeLengthsAreRefusedBeforeAllocating gives lengths that the value cannot hold.
func TestHugeLengthsAreRefusedBeforeAllocating(t *testing.T) {
	file := appendFile(nil, &schema.File{})
	file = file[:len(file)-1] // the number of columns, which is 0
	for name, value := range map[string][]byte{
		"name beyond the value": {recordVersion, 0xff, 0x7f, 'x'},
		"name beyond the limit": append([]byte{recordVersion, 0x81, 0x80, 0x04}, make([]byte, MaxNameBytes+1)...),
	} {
		if _, err := decodeDatabase(value); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	value := append(bytes.Clone(file), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := decodeFile(1, value); !errors.Is(err, errLength) {
			t.Errorf("2⁶⁴-1 columns: got %v, want errLength", err)
		}
	}); n > 2 { // the schema.File and the copy of the value
		t.Errorf("refusing took %v allocations", n)
	}
}

func TestOnlyShortestNumbersAreAccepted(t *testing.T) {
	for _, number := range [][]byte{
		{0x80, 0x00},
		{0xff, 0x80, 0x00},
		{0x80},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
	} {
		if _, err := decodeNumber(append([]byte{recordVersion}, number...)); !errors.Is(err, errVarint) {
			t.Errorf("%x: got %v, want errVarint", number, err)
		}
	}
}

func TestUnknownStatFlagsAreRefused(t *testing.T) {
	value := appendFile(nil, &schema.File{Columns: []schema.ColumnStats{{Column: 1}}})
	value[len(value)-1] |= 1 << 2
	if _, err := decodeFile(1, value); !errors.Is(err, errFlags) {
		t.Errorf("got %v, want errFlags", err)
	}
}

func TestKeysOrderAsTheirIdsDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	day := func() schema.PartitionKey {
		return schema.PartitionKey{Database: 1, Table: schema.TableID(rng.IntN(3)), Day: schema.Day(int32(rng.Uint32()))}
	}
	for range 1_000 {
		a, b := schema.FileID(rng.Uint64()), schema.FileID(rng.Uint64())
		if (a < b) != (bytes.Compare(fileKey(a), fileKey(b)) < 0) {
			t.Errorf("files %d and %d", a, b)
		}
		k, l := day(), day()
		before := k.Table < l.Table || k.Table == l.Table && k.Day < l.Day
		if before != (bytes.Compare(flushedKey(k), flushedKey(l)) < 0) {
			t.Errorf("partitions %s and %s", k, l)
		}
		if got, err := parseFlushedKey(flushedKey(k)); err != nil || got != k {
			t.Errorf("partition %s reads as %s (%v)", k, got, err)
		}
	}
}

// decodeValue decodes a value of a kind and throws the result away.
func decodeValue(k kind, value []byte) error {
	_, err := reencode(k, value)
	return err
}

// reencode decodes a value and encodes the result again.
func reencode(k kind, value []byte) ([]byte, error) {
	switch k {
	case kindHeader:
		h, err := decodeHeader(value)
		return appendHeader(nil, h), err
	case kindDatabase:
		name, err := decodeDatabase(value)
		return appendDatabase(nil, name), err
	case kindTable:
		db, name, err := decodeTable(value)
		return appendTable(nil, db, name), err
	case kindColumn:
		name, typ, err := decodeColumn(value)
		return appendColumn(nil, schema.Column{Name: name, Type: typ}), err
	case kindFile:
		f, err := decodeFile(1, value)
		if err != nil {
			return nil, err
		}
		return appendFile(nil, f), nil
	default:
		n, err := decodeNumber(value)
		return appendNumber(nil, n), err
	}
}

// FuzzDecodeValue feeds bytes to each decoder. What is accepted must encode to the
// same bytes again: every value has one encoding.
func FuzzDecodeValue(f *testing.F) {
	for _, s := range recordSamples() {
		f.Add(s.key[0], s.value)
	}
	f.Add(byte(kindFile), []byte{recordVersion})
	f.Add(byte(kindHeader), append([]byte(headerMagic), 2))
	f.Fuzz(func(t *testing.T, k byte, value []byte) {
		again, err := reencode(kind(k), value)
		if err != nil {
			return
		}
		if kind(k) == kindHeader {
			if h, _ := decodeHeader(value); h.format > formatVersion {
				return // the rest belongs to a later version
			}
		}
		if !bytes.Equal(again, value) {
			t.Errorf("kind %#x: %x encodes to %x", k, value, again)
		}
	})
}

// FuzzLoadRecord gives arbitrary records, correctly sealed, to the loader: it may
// refuse them but not panic, and what it accepts must make a catalog.
func FuzzLoadRecord(f *testing.F) {
	for _, s := range recordSamples() {
		f.Add(s.key, s.value)
	}
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		l := &loader{empty: true, flushed: make(map[schema.PartitionKey]schema.Seq)}
		h := appendHeader(nil, header{format: formatVersion})
		if err := l.record(testDir, headerKey, sealed(headerKey, h)); err != nil {
			t.Fatal(err)
		}
		l.run = 1 << 20
		l.databases = []*schema.Database{{ID: 1, Name: "db"}}
		l.tables = []tableRecord{{database: 1, name: "a"}, {database: 1, name: "b"}}
		if err := l.record(testDir, key, sealed(key, value)); err != nil {
			return
		}
		if err := l.finish(testDir); err == nil && l.snapshot.TableCount() != len(l.tables) {
			t.Errorf("%d tables were loaded, the snapshot has %d", len(l.tables), l.snapshot.TableCount())
		}
	})
}
