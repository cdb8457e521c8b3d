package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// smallCatalog is a closed catalog that has every kind of record.
func smallCatalog(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "f", "g", "h"))
	mustDefine(t, c, table("other", "u", "x"))
	mustCommit(t, c, Edit{
		Add: []*schema.File{sampleFile(c.AllocateFileID(), 1)}, Position: 10,
		Flushed: map[schema.PartitionKey]schema.Seq{partitionOne: 20},
	})
	mustDo(t, c.DeleteTable("other", "u", 0))
	mustDo(t, c.CreateDatasource(schema.Datasource{Project: "p", Name: "d", Database: "db"}))
	_, err := c.PutToken(schema.Token{Name: "token"})
	mustDo(t, err)
	mustDo(t, c.Remember(1, [][eventIDBytes]byte{eventID(0)}))
	mustClose(t, c)
	return fs
}

// sealed makes a stored value.
func sealed(key, value []byte) []byte { return seal(key, bytes.Clone(value)) }

func wantCorrupt(t *testing.T, fs vfs.FS, key []byte, cause error) {
	t.Helper()
	_, err := Open(testOptions(fs))
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("got %v, want a CorruptError", err)
	}
	if !bytes.Equal(corrupt.Key, key) || !errors.Is(err, cause) {
		t.Errorf("got %v, want record %x and %q", err, key, cause)
	}
	if !strings.Contains(err.Error(), testDir) {
		t.Errorf("%q does not name the directory", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := smallCatalog(t)
	h := appendHeader(nil, header{format: formatVersion + 1})
	rawPut(t, fs, headerKey, sealed(headerKey, append(h, "what a later version may add"...)))
	records := rawRecords(t, fs)
	_, err := Open(testOptions(fs))
	var version *VersionError
	if !errors.As(err, &version) {
		t.Fatalf("got %v, want a VersionError", err)
	}
	if *version != (VersionError{Dir: testDir, Have: formatVersion + 1, Supported: formatVersion}) {
		t.Errorf("got %+v", *version)
	}
	if !strings.Contains(err.Error(), "newer release") {
		t.Errorf("%q does not say what to do", err)
	}
	for key, value := range rawRecords(t, fs) {
		if records[key] != value {
			t.Errorf("record %x was changed", key)
		}
	}
}

func TestFlippedByteInAnyRecordIsRefused(t *testing.T) {
	fs := smallCatalog(t)
	kinds := make(map[byte]bool)
	for key, value := range rawRecords(t, fs) {
		kinds[key[0]] = true
		if kind(key[0]) == kindEvent {
			continue // not read by Open
		}
		for _, at := range []int{0, len(value) / 2, len(value) - 1} {
			flipped := []byte(value)
			flipped[at] ^= 0x10
			rawPut(t, fs, []byte(key), flipped)
			wantCorrupt(t, fs, []byte(key), errChecksum)
		}
		rawPut(t, fs, []byte(key), []byte(value))
	}
	if len(kinds) != 16 {
		t.Errorf("the catalog has %d kinds of records, want all 16", len(kinds))
	}
	mustClose(t, mustOpen(t, fs))
}

func TestDamageBetweenRecordsIsRefused(t *testing.T) {
	file := fileKey(1)
	fileWith := func(change func(*schema.File)) []byte {
		f := sampleFile(1, 1)
		change(f)
		return appendFile(nil, f)
	}
	for _, test := range []struct {
		name   string
		key    []byte
		value  []byte // nil removes the record
		report []byte // the key in the error, where it is another one
		cause  error
	}{
		{name: "no header", key: headerKey, report: runKey, cause: errNoHeader},
		{name: "a foreign store", key: []byte{0}, value: []byte{1}, cause: errNoHeader},
		{name: "another magic", key: headerKey, value: []byte("somebody else's"), cause: errMagic},
		{name: "no run", key: runKey, cause: errRun, report: file},
		{name: "a long run key", key: append(runKey, 0), value: appendNumber(nil, 1), cause: errBadKey},
		{name: "a long header key", key: append(headerKey, 0), value: appendNumber(nil, 1), cause: errBadKey},
		{name: "an unknown kind", key: []byte{0x7f}, value: appendNumber(nil, 1), cause: errBadKey},
		{name: "an unknown kind behind the events", key: []byte{0x61}, value: appendNumber(nil, 1), cause: errBadKey},
		{name: "an unknown version", key: positionKey, value: []byte{recordVersion + 1, 5}, cause: errVersion},
		{name: "a lost database", key: databaseKey(1), report: databaseKey(2), cause: errGap},
		{name: "a database twice", key: databaseKey(3), value: appendDatabase(nil, "db"), cause: errDuplicate},
		{name: "a short database key", key: databaseKey(1)[:3], value: appendDatabase(nil, "x"), cause: errBadKey},
		{name: "a lost table", key: tableKey(1), report: tableKey(2), cause: errGap},
		{name: "a table in no database", key: tableKey(2), value: appendTable(nil, 3, "u"), cause: errUnknown},
		{name: "a table in database 0", key: tableKey(2), value: appendTable(nil, 0, "u"), cause: errUnknown},
		{name: "a table twice", key: tableKey(3), value: appendTable(nil, 1, "t"), cause: errDuplicate},
		{name: "a state of no database", key: databaseStateKey(3), value: appendDatabaseState(nil, &databaseState{}), cause: errUnknown},
		{name: "a state of database 0", key: databaseStateKey(0), value: appendDatabaseState(nil, &databaseState{}), cause: errUnknown},
		{name: "a short database state key", key: databaseStateKey(1)[:2], value: appendDatabaseState(nil, &databaseState{}), cause: errBadKey},
		{name: "a state of no table", key: tableStateKey(3), value: appendTableState(nil, &tableState{}), cause: errUnknown},
		{name: "a state of table 0", key: tableStateKey(0), value: appendTableState(nil, &tableState{}), cause: errUnknown},
		{
			name: "a key of a column that is no tag", key: tableStateKey(1),
			value: appendTableState(nil, &tableState{rule: schema.FirstByTag, tag: 1}), cause: errUnknown,
		},
		{
			name: "a key of no column", key: tableStateKey(1),
			value: appendTableState(nil, &tableState{rule: schema.FirstByTag, tag: 9}), cause: errUnknown,
		},
		{
			name: "columns of a purged table", key: tableStateKey(1),
			value: appendTableState(nil, &tableState{purged: true}), cause: errPurged,
		},
		{
			name: "a table of a purged database", key: databaseStateKey(2), report: tableKey(2),
			value: appendDatabaseState(nil, &databaseState{purged: true}), cause: errPurged,
		},
		{name: "a token of a later id", key: tokenKey(2), value: appendToken(nil, &schema.Token{Name: "x"}), cause: errToken},
		{name: "token 0", key: tokenKey(0), value: appendToken(nil, &schema.Token{Name: "x"}), cause: errToken},
		{name: "a short token key", key: tokenKey(1)[:5], value: appendToken(nil, &schema.Token{Name: "x"}), cause: errBadKey},
		{name: "a lost token counter", key: lastTokenKey, report: tokenKey(1), cause: errToken},
		{
			name: "a lost datasource", key: datasourceKey(3),
			value: appendDatasource(nil, &schema.Datasource{Project: "q", Name: "d"}), cause: errGap,
		},
		{
			name: "a datasource twice", key: datasourceKey(2),
			value: appendDatasource(nil, &schema.Datasource{Project: "p", Name: "d"}), cause: errDuplicate,
		},
		{name: "a lost column", key: columnKey(1, 2), report: columnKey(1, 3), cause: errGap},
		{
			name: "a column twice", key: columnKey(1, 3),
			value: appendColumn(nil, schema.Column{Name: "f", Type: schema.Tag}), cause: errDuplicate,
		},
		{
			name: "a column of no table", key: columnKey(9, 1),
			value: appendColumn(nil, schema.Column{Name: "f", Type: schema.Tag}), cause: errUnknown,
		},
		{name: "a column without type", key: columnKey(2, 1), value: []byte{recordVersion, 0, 1, 'x'}, cause: errColumnType},
		{name: "a file id of a later run", key: fileKey(1 << runShift), value: fileWith(func(*schema.File) {}), cause: errRun},
		{name: "file id 0", key: fileKey(0), value: fileWith(func(*schema.File) {}), cause: errRun},
		{name: "a short file key", key: file[:8], value: fileWith(func(*schema.File) {}), cause: errBadKey},
		{name: "a file of no table", key: file, value: fileWith(func(f *schema.File) { f.Table = 7 }), cause: errNoTable},
		{name: "a file with no time", key: file, value: fileWith(func(f *schema.File) { f.Time.Max = 0 }), cause: errEmpty},
		{
			name: "a file with a foreign column", key: file,
			value: fileWith(func(f *schema.File) { f.Columns[0].Column = 4 }), cause: errColumns,
		},
		{name: "a stale partition", key: flushedKey(partitionOne), value: appendNumber(nil, 10), cause: errStale},
		{
			name: "a partition of no table", key: flushedKey(schema.PartitionKey{Database: 2, Table: 1}),
			value: appendNumber(nil, 99), cause: errUnknown,
		},
		{name: "a short partition key", key: flushedKey(partitionOne)[:9], value: appendNumber(nil, 99), cause: errBadKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := smallCatalog(t)
			stored := test.value
			if stored != nil {
				stored = sealed(test.key, stored)
			}
			rawPut(t, fs, test.key, stored)
			report := test.report
			if report == nil {
				report = test.key
			}
			wantCorrupt(t, fs, report, test.cause)
		})
	}
}

func TestTokenTwiceIsRefused(t *testing.T) {
	fs := smallCatalog(t)
	rawPut(t, fs, lastTokenKey, sealed(lastTokenKey, appendNumber(nil, 2)))
	rawPut(t, fs, tokenKey(2), sealed(tokenKey(2), appendToken(nil, &schema.Token{Name: "token"})))
	wantCorrupt(t, fs, tokenKey(2), errDuplicate)
}

// TestLostRunRecordIsRefusedWithoutFiles matters because file ids would come again.
func TestLostRunRecordIsRefusedWithoutFiles(t *testing.T) {
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	rawPut(t, fs, runKey, nil)
	wantCorrupt(t, fs, runKey, errNoRun)
}

func TestOpenStopsWhenFileIdsAreUsedUp(t *testing.T) {
	fs := smallCatalog(t)
	rawPut(t, fs, runKey, sealed(runKey, appendNumber(nil, runLimit-1)))
	c := mustOpen(t, fs)
	if id := c.AllocateFileID(); uint64(id)>>runShift != runLimit-1 {
		t.Errorf("the id %x is not of the last run", uint64(id))
	}
	mustClose(t, c)
	if _, err := Open(testOptions(fs)); err == nil {
		t.Error("opened without ids to hand out")
	}
}

func TestDirectoryIsOpenedOnce(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	if _, err := Open(testOptions(fs)); err == nil {
		t.Error("a second catalog opened the same directory")
	}
	mustClose(t, c)
	mustClose(t, mustOpen(t, fs))
}

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := Open(Options{Limits: Limits{Databases: -1, Tables: -2, Columns: -3}})
	if err == nil {
		t.Fatal("opened with bad options")
	}
	for _, want := range []string{"Dir", "Databases", "Tables", "Columns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

func TestInstanceIDIsARandomUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 10 {
		c := mustOpen(t, vfs.NewMem())
		id := c.InstanceID()
		if !form.MatchString(id) || seen[id] {
			t.Errorf("instance id %q", id)
		}
		seen[id] = true
		mustClose(t, c)
	}
}

// TestHeaderKeepsItsPlace pins what a program of any version must be able to read.
func TestHeaderKeepsItsPlace(t *testing.T) {
	h := appendHeader(nil, header{format: 300})
	if !bytes.HasPrefix(h, []byte("siltcat\x00")) {
		t.Errorf("the header starts with %q", h[:8])
	}
	if v, _ := binary.Uvarint(h[8:]); v != 300 {
		t.Errorf("the format version reads as %d, want 300", v)
	}
}
