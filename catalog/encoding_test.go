package catalog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
	deletion := &schema.Deletion{At: 1_700_000_000_000_000_000, PurgeAt: 1_700_000_060_000_000_000}
	return []recordSample{
		{"header", headerKey, appendHeader(nil, header{format: formatVersion, instance: instance})},
		{"run", runKey, appendNumber(nil, 3)},
		{"position", positionKey, appendNumber(nil, 1_000_000)},
		{"last-token", lastTokenKey, appendNumber(nil, 300)},
		{"commits", commitsKey, appendNumber(nil, 70_000)},
		{"clock", clockKey, appendClock(nil, Clock{Seen: 1 << 60, Jump: -5, Held: time.Hour})},
		{"database", databaseKey(1), appendDatabase(nil, "weather")},
		{"database", databaseKey(2), appendDatabase(nil, "deleted")},
		{"database", databaseKey(3), appendDatabase(nil, "purged")},
		{"table", tableKey(2), appendTable(nil, 1, "température")},
		{"table", tableKey(3), appendTable(nil, 3, "purged")},
		{"table", tableKey(4), appendTable(nil, 1, "events")},
		{"table", tableKey(5), appendTable(nil, 1, "rollup")},
		{"column", columnKey(2, 258), appendColumn(nil, schema.Column{Name: "host", Type: schema.Tag})},
		{"column", columnKey(2, 259), appendColumn(nil, schema.Column{Name: "rack", Type: schema.Tag, Created: 1 << 60})},
		{"column", columnKey(4, 1), appendColumn(nil, schema.Column{Name: "_event_id", Type: schema.Tag})},
		{"database-state", databaseStateKey(1), appendDatabaseState(nil, &databaseState{
			created: 1 << 60, retention: 24 * time.Hour,
		})},
		{"database-state", databaseStateKey(2), appendDatabaseState(nil, &databaseState{deleted: deletion})},
		{"database-state", databaseStateKey(3), appendDatabaseState(nil, &databaseState{purged: true})},
		{"table-state", tableStateKey(1), appendTableState(nil, &tableState{created: -1})},
		{"table-state", tableStateKey(2), appendTableState(nil, &tableState{
			created: 1 << 60, rule: schema.LatestByTag, tag: 259, deleted: deletion,
		})},
		{"table-state", tableStateKey(5), appendTableState(nil, &tableState{created: 1 << 60})},
		{"table-state", tableStateKey(3), appendTableState(nil, &tableState{purged: true})},
		{"table-state", tableStateKey(4), appendTableState(nil, &tableState{
			created: 1 << 60, rule: schema.FirstByTag, tag: 1, retention: 36 * time.Hour, deleted: deletion,
		})},
		{"rollup", rollupKey(5), appendRollup(nil, goldenRollup())},
		{"cache", cacheKey(2, 1), appendCache(nil, goldenCaches()[0])},
		{"cache", cacheKey(2, 7), appendCache(nil, goldenCaches()[1])},
		{"file", fileKey(1<<runShift + 7), appendFile(nil, goldenFile())},
		{"file", fileKey(1<<runShift + 8), appendFile(nil, goldenFileWithFooter())},
		{"file", fileKey(1<<runShift + 9), appendFile(nil, goldenSweptFile())},
		{"tombstone", tombstoneKey(goldenTombstone()), appendTombstone(nil, goldenTombstone())},
		{"rollup-state", rollupStateKey(5), appendRollupState(nil, goldenRollupState())},
		{"flushed", flushedKey(before1970), appendNumber(nil, 1_000_005)},
		{"token", tokenKey(258), appendToken(nil, goldenToken())},
		{"datasource", datasourceKey(1), appendDatasource(nil, goldenDatasource())},
	}
}

func goldenToken() *schema.Token {
	t := &schema.Token{
		ID: 258, Name: "télégraf", Admin: true, Created: 1 << 60, Expiry: 1<<60 + 1,
		Permissions: []schema.Permission{
			{Database: schema.AllDatabases, Read: true},
			{Database: "weather", Read: true, Write: true},
		},
	}
	for i := range t.Hash {
		t.Hash[i] = byte(i)
	}
	return t
}

func goldenDatasource() *schema.Datasource {
	return &schema.Datasource{Project: "p", Name: "d", Database: "weather", Created: 1 << 60}
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

// goldenFileWithFooter is a file as version 3 of the format has it.
func goldenFileWithFooter() *schema.File {
	f := goldenFile()
	f.ID, f.FooterBytes, f.FooterCRC32C = f.ID+1, 400, 0x05060708
	return f
}

// goldenSweptFile is a file as version 4 of the format has it.
func goldenSweptFile() *schema.File {
	f := goldenFileWithFooter()
	f.ID, f.Swept = f.ID+1, 14
	return f
}

func goldenTombstone() *schema.Tombstone {
	match, err := schema.Compare("rack", schema.Match, "^r[0-9]+$")
	if err != nil {
		panic(err)
	}
	return &schema.Tombstone{
		Table: 2, Order: 1<<runShift + 10, Time: schema.TimeRange{Min: -1, Max: 1 << 60}, Seq: 300, Created: 1 << 60,
		Where: &schema.Predicate{Op: schema.Or, Args: []*schema.Predicate{
			{Op: schema.And}, {Op: schema.NotEqual, Tag: "host", Text: "é"}, match,
		}},
	}
}

func goldenRollup() *schema.Rollup {
	return &schema.Rollup{Source: 1, Interval: 5 * time.Minute, AllTags: true, Aggregates: []schema.Aggregate{
		{Func: schema.Mean, Field: "usage", Name: "usage_mean"}, {Func: schema.Count, Field: "é", Name: "n"},
	}}
}

func goldenRollupState() *schema.RollupState {
	return &schema.RollupState{Table: 5, FrozenBefore: -300, Stale: []schema.StaleRange{
		{Time: schema.TimeRange{Min: -300, Max: 299}}, {Time: schema.TimeRange{Min: 600, Max: schema.MaxTimeRange.Max}, Shrunk: true},
	}}
}

func goldenCaches() []*schema.Cache {
	return []*schema.Cache{
		{
			ID: 1, Kind: schema.LastCache, Name: "première", Columns: []schema.ColumnID{258, 1}, Values: []schema.ColumnID{259},
			Limit: 300, MaxAge: 4 * time.Hour,
		},
		{ID: 7, Kind: schema.DistinctCache, Name: "hosts", Columns: []schema.ColumnID{259, 258}, Limit: 100_000, MaxAge: 24 * time.Hour},
	}
}

func TestGoldenCachesLoad(t *testing.T) {
	table, _ := loadGolden(t, "testdata/format5.txt").snapshot.TableByID(2)
	if diff := cmp.Diff(goldenCaches(), table.Caches); diff != "" {
		t.Errorf("caches (-want +got):\n%s", diff)
	}
}

func TestGoldenRollupLoads(t *testing.T) {
	l := loadGolden(t, "testdata/format5.txt")
	table, _ := l.snapshot.TableByID(5)
	if diff := cmp.Diff(goldenRollup(), table.Rollup); diff != "" {
		t.Errorf("rollup (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(goldenRollupState(), l.rollups[5]); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if got := l.snapshot.Rollups(1); len(got) != 1 || got[0] != table {
		t.Errorf("the rollups of table 1 are %v", got)
	}
}

// TestRecordsMatchGolden pins the bytes of format 5; see docs/format/catalog.md.
func TestRecordsMatchGolden(t *testing.T) {
	const path = "testdata/format5.txt"
	var b strings.Builder
	for _, s := range recordSamples() {
		fmt.Fprintf(&b, "%s %x %x\n", s.name, s.key, sealed(s.key, s.value))
	}
	event := eventKey(2, [eventIDBytes]byte{0: 1, 15: 2})
	fmt.Fprintf(&b, "event %x %x\n", event, sealed(event, eventValue))
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

// TestGoldenRecordsLoad reads the golden bytes of each format, which have to stay
// readable when the encoder has moved on.
func TestGoldenRecordsLoad(t *testing.T) {
	for _, format := range []string{"testdata/format1.txt", "testdata/format2.txt", "testdata/format3.txt", "testdata/format4.txt", "testdata/format5.txt"} {
		t.Run(format, func(t *testing.T) {
			l := loadGolden(t, format)
			if got := l.header.instance.String(); got != "f0e1d2c3-b4a5-4687-9869-5a4b3c2d1e0f" {
				t.Errorf("instance id %s", got)
			}
			if l.run != 3 || l.position != 1_000_000 {
				t.Errorf("run %d, position %d", l.run, l.position)
			}
			if l.databases[0].name != "weather" || l.tables[1].name != "température" || l.tables[1].database != 1 {
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
			if format < "testdata/format3.txt" {
				return
			}
			if diff := cmp.Diff(goldenFileWithFooter(), l.files[1]); diff != "" {
				t.Errorf("file with a footer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoldenRetentionOfTableLoads(t *testing.T) {
	l := loadGolden(t, "testdata/format4.txt")
	events, ok := l.snapshot.TableByID(4)
	if !ok || events.Retention != 36*time.Hour || events.Key.Rule != schema.FirstByTag || events.Deleted == nil {
		t.Errorf("table 4 is %+v", events)
	}
}

func TestGoldenDeletionsLoad(t *testing.T) {
	l := loadGolden(t, "testdata/format4.txt")
	if diff := cmp.Diff(goldenSweptFile(), l.files[2]); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	got := l.tombstones[2]
	if len(got) != 1 {
		t.Fatalf("the tombstones are %v", l.tombstones)
	}
	want := goldenTombstone()
	if where := got[0].Where; where.String() != want.Where.String() || !where.Args[2].Holds(func(string) string { return "r1" }) {
		t.Errorf("the predicate is %v", where)
	}
	if diff := cmp.Diff(want, got[0], cmpopts.IgnoreFields(schema.Tombstone{}, "Where")); diff != "" {
		t.Errorf("tombstone (-want +got):\n%s", diff)
	}
}

func TestGoldenStatesLoad(t *testing.T) {
	l := loadGolden(t, "testdata/format2.txt")
	deletion := schema.Deletion{At: 1_700_000_000_000_000_000, PurgeAt: 1_700_000_060_000_000_000}
	weather, ok := l.snapshot.Database("weather")
	if !ok || weather.Created != 1<<60 || weather.Retention != 24*time.Hour {
		t.Errorf("database %+v", weather)
	}
	deleted := l.snapshot.DeletedDatabases()
	if len(deleted) != 1 || deleted[0].Name != "deleted" || deleted[0].Deleted != deletion {
		t.Errorf("deleted databases %+v", deleted)
	}
	if first, ok := l.snapshot.TableByID(1); !ok || first.Created != -1 || first.Deleted != nil {
		t.Errorf("table 1 is %+v", first)
	}
	second, ok := l.snapshot.TableByID(2)
	key := schema.TableKey{Rule: schema.LatestByTag, Tag: "rack"}
	if !ok || second.Created != 1<<60 || second.Key != key || second.Deleted == nil || *second.Deleted != deletion {
		t.Errorf("table 2 is %+v", second)
	}
	if got := second.Columns[258].Created; got != 1<<60 {
		t.Errorf("column 259 was created at %d", got)
	}
	if !l.snapshot.IsPurged(3) || l.snapshot.DatabaseName(3) != "" {
		t.Error("something is left of table or database 3")
	}
	if diff := cmp.Diff([]*schema.Token{goldenToken()}, l.tokens); diff != "" || l.lastToken != 300 {
		t.Errorf("tokens up to %d (-want +got):\n%s", l.lastToken, diff)
	}
	if diff := cmp.Diff([]*schema.Datasource{goldenDatasource()}, l.datasources); diff != "" {
		t.Errorf("datasources (-want +got):\n%s", diff)
	}
}

// golden returns the records of a golden file, with stand-ins for the ids before theirs:
// table 1, and the columns 1 to 257 of table 2.
func golden(t *testing.T, path string) []recordSample {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records := []recordSample{{"", tableKey(1), sealed(tableKey(1), appendTable(nil, 1, "first"))}}
	for i := range schema.ColumnID(257) {
		key := columnKey(2, i+1)
		value := appendColumn(nil, schema.Column{Name: fmt.Sprint(i), Type: schema.Bool})
		records = append(records, recordSample{"", key, sealed(key, value)})
	}
	for line := range strings.Lines(string(text)) {
		var name, key, value string
		if _, err := fmt.Sscan(line, &name, &key, &value); err != nil {
			t.Fatal(err)
		}
		records = append(records, recordSample{name, unhex(t, key), unhex(t, value)})
	}
	slices.SortFunc(records, func(a, b recordSample) int { return bytes.Compare(a.key, b.key) })
	return records
}

func loadGolden(t *testing.T, path string) *loader {
	t.Helper()
	l := newLoader()
	for _, r := range golden(t, path) {
		if r.name == "event" { // not loaded
			if err := checkEvent(r.key, r.value); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := l.record(testDir, r.key, r.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.finish(testDir); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestFormat1IsRaised opens a directory of format 1 and crashes at once: the catalog must
// have what was in it, under the header of this format.
func TestFormat1IsRaised(t *testing.T) {
	disk := vfs.NewCrashableMem()
	db := rawOpen(t, disk)
	for _, r := range golden(t, "testdata/format1.txt") {
		mustDo(t, db.Set(r.key, r.value, pebble.NoSync))
	}
	mustDo(t, db.Close())
	c := mustOpen(t, disk)
	want := observe(c)
	wreck := disk.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, c)
	if len(want.Files) != 1 || len(want.Tables) != 2 || len(want.Tables[2].Columns) != 258 {
		t.Errorf("%d files, %d tables, %d columns", len(want.Files), len(want.Tables), len(want.Tables[2].Columns))
	}
	stored := rawRecords(t, wreck)[string(headerKey)]
	value, err := unseal(headerKey, []byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	if h, err := decodeHeader(value); err != nil || h.format != formatVersion || h.instance.String() != c.InstanceID() {
		t.Errorf("the header is %+v (%v)", h, err)
	}
	c = mustOpen(t, wreck)
	defer mustClose(t, c)
	mustHave(t, c, want)
	if _, err := c.Define(table("weather", "température", "of format 2")); err != nil {
		t.Error(err)
	}
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
	token := appendToken(nil, &schema.Token{Name: "t"})
	token = append(token[:len(token)-1], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	if _, err := decodeToken(1, token); !errors.Is(err, errLength) {
		t.Errorf("2⁶⁴-1 permissions: got %v, want errLength", err)
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

// TestOneValueHasOneForm has values that say what a shorter one says, or contradict
// themselves.
func TestOneValueHasOneForm(t *testing.T) {
	token := appendToken(nil, &schema.Token{Permissions: make([]schema.Permission, 1)})
	token[len(token)-1] = permissionAllBits + 1
	for name, test := range map[string]struct {
		kind  kind
		value []byte
		cause error
	}{
		"a column created at 0 in version 2": {kindColumn, []byte{columnVersion, byte(schema.Tag), 1, 'x', 0}, errLongForm},
		"a column of version 3":              {kindColumn, []byte{columnVersion + 1, byte(schema.Tag), 1, 'x', 2}, errVersion},
		"a column of version 0":              {kindColumn, []byte{0, byte(schema.Tag), 1, 'x'}, errVersion},
		"deleted and purged":                 {kindDatabaseState, []byte{recordVersion, stateDeleted | statePurged}, errFlags},
		"an unknown state":                   {kindTableState, []byte{recordVersion, 1 << 3, 0, 0}, errFlags},
		"a retention period of a database":   {kindDatabaseState, []byte{recordVersion, stateRetention, 0, 0}, errFlags},
		"a retention period of zero":         {kindTableState, []byte{recordVersion, stateRetention, 0, 0, 0}, errFlags},
		"a purged table that was created":    {kindTableState, []byte{recordVersion, statePurged, 0}, errTrailing},
		"an unknown key rule":                {kindTableState, []byte{recordVersion, 0, 0, 3, 1}, errKeyRule},
		"an unknown permission":              {kindToken, token, errFlags},
	} {
		if err := decodeValue(test.kind, test.value); !errors.Is(err, test.cause) {
			t.Errorf("%s: got %v, want %v", name, err, test.cause)
		}
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
	case kindClock:
		k, err := decodeClock(value)
		return appendClock(nil, k), err
	case kindDatabase:
		name, err := decodeDatabase(value)
		return appendDatabase(nil, name), err
	case kindTable:
		db, name, err := decodeTable(value)
		return appendTable(nil, db, name), err
	case kindColumn:
		c, err := decodeColumn(1, value)
		return appendColumn(nil, c), err
	case kindDatabaseState:
		s, err := decodeDatabaseState(value)
		return appendDatabaseState(nil, &s), err
	case kindTableState:
		s, err := decodeTableState(value)
		return appendTableState(nil, &s), err
	case kindToken:
		t, err := decodeToken(1, value)
		return appendToken(nil, t), err
	case kindDatasource:
		d, err := decodeDatasource(value)
		return appendDatasource(nil, d), err
	case kindFile:
		f, err := decodeFile(1, value)
		if err != nil {
			return nil, err
		}
		return appendFile(nil, f), nil
	case kindTombstone:
		d, err := decodeTombstone(tombstoneKey(&schema.Tombstone{Table: 1, Order: 1}), value)
		if err != nil {
			return nil, err
		}
		return appendTombstone(nil, d), nil
	case kindRollup:
		r, err := decodeRollup(value)
		if err != nil {
			return nil, err
		}
		return appendRollup(nil, r), nil
	case kindCache:
		c, err := decodeCache(1, value)
		if err != nil {
			return nil, err
		}
		return appendCache(nil, c), nil
	case kindRollupState:
		r, err := decodeRollupState(0, value)
		if err != nil {
			return nil, err
		}
		return appendRollupState(nil, r), nil
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
	f.Add(byte(kindHeader), append([]byte(headerMagic), formatVersion+1))
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
		l := newLoader()
		h := appendHeader(nil, header{format: formatVersion})
		if err := l.record(testDir, headerKey, sealed(headerKey, h)); err != nil {
			t.Fatal(err)
		}
		l.run = 1 << 20
		l.lastToken = 1 << 10
		l.databases = []databaseRecord{{name: "db"}, {name: "gone", state: databaseState{deleted: &schema.Deletion{At: 1}}}}
		l.tables = []tableRecord{{database: 1, name: "a"}, {database: 1, name: "b"}, {database: 2, name: "a"}}
		l.tables[0].columns = []schema.Column{{ID: 1, Name: "tag", Type: schema.Tag}}
		if err := l.record(testDir, key, sealed(key, value)); err != nil {
			return
		}
		if err := l.finish(testDir); err != nil {
			return
		}
		for i := range l.tables {
			id := schema.TableID(i + 1)
			if _, ok := l.snapshot.TableByID(id); ok == l.snapshot.IsPurged(id) {
				t.Errorf("table %d: found %v, purged %v", id, ok, !ok)
			}
		}
		if err := checkNames(l.snapshot, schema.TableID(len(l.tables))); err != nil {
			t.Error(err)
		}
	})
}
