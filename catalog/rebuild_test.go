package catalog

import (
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

const rebuiltDir = "/rebuilt"

// rebuildCatalog builds a catalog from the remains of the one in fs, puts it in its place
// and returns its records.
func rebuildCatalog(t *testing.T, fs vfs.FS, learn func(*Remains)) (map[string]string, *Remains) {
	t.Helper()
	r, err := ReadRemains(testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	if learn != nil {
		learn(r)
	}
	o := testOptions(fs)
	o.Dir = rebuiltDir
	if _, err := r.Build(o); err != nil {
		t.Fatal(err)
	}
	mustDo(t, r.Close())
	mustDo(t, fs.RemoveAll(testDir))
	mustDo(t, fs.Rename(rebuiltDir, testDir))
	records := rawRecords(t, fs)
	mustClose(t, mustOpen(t, fs))
	return records, r
}

func TestRebuildOfAnIntactCatalogIsTheSame(t *testing.T) {
	fs := smallCatalog(t)
	want := rawRecords(t, fs)
	got, r := rebuildCatalog(t, fs, nil)
	delete(want, string(commitsKey)) // they are counted anew
	delete(got, string(commitsKey))
	if !r.IsWhole() || !maps.Equal(want, got) {
		t.Fatalf("got %d records of %d, lost %v", len(got), len(want), r.Lost)
	}
}

// TestRebuildLosesOnlyTheDamagedRecord damages, and then removes, each record in turn.
func TestRebuildLosesOnlyTheDamagedRecord(t *testing.T) {
	for _, key := range slices.Sorted(maps.Keys(rawRecords(t, smallCatalog(t)))) {
		for _, isRemoved := range []bool{false, true} {
			fs := smallCatalog(t)
			want := rawRecords(t, fs)
			var damaged []byte
			if !isRemoved {
				damaged = []byte(want[key])
				damaged[len(damaged)/2] ^= 0x40
			}
			rawPut(t, fs, []byte(key), damaged)
			got, r := rebuildCatalog(t, fs, nil)
			if !isRemoved && (len(r.Lost) != 1 || string(r.Lost[0].Key) != key) {
				t.Errorf("%s: lost %v", describeKey([]byte(key)), r.Lost)
			}
			for other, value := range want {
				if other != key && got[other] != value && !dependsOn(other, key) {
					t.Errorf("without %s: %s is %q, was %q", describeKey([]byte(key)), describeKey([]byte(other)), got[other], value)
				}
			}
		}
	}
}

// dependsOn reports whether losing a record may change another one.
func dependsOn(key, lost string) bool {
	if kind(key[0]) == kindCommits {
		return true
	}
	switch kind(lost[0]) {
	case kindRun, kindPosition, kindLastToken:
		return kind(key[0]) == kindRun || kind(key[0]) == kindFlushed || kind(key[0]) == kindLastToken
	case kindDatabase, kindTable: // its name is made up, or all of it given up
		return true
	}
	return false
}

// TestFilesTellWhatACatalogWas builds a catalog from nothing but what files say.
func TestFilesTellWhatACatalogWas(t *testing.T) {
	fs := vfs.NewMem()
	mustDo(t, fs.MkdirAll(testDir, 0o755))
	file := sampleFile(schema.FileID(3<<runShift+7), 9)
	facts := FileFacts{Database: "home", Table: "room", Rule: schema.FirstByTag, Tag: 1, Columns: []schema.Column{
		{ID: 1, Name: "host", Type: schema.Tag}, {ID: 2, Name: "f", Type: schema.Float64}, {ID: 4, Name: "late", Type: schema.Int64},
	}}
	file.Table, file.Database = 3, 2
	_, r := rebuildCatalog(t, fs, func(r *Remains) {
		mustDo(t, r.Learn(file, facts))
		other := *file
		other.ID = 9
		for _, misplaced := range []FileFacts{
			{Database: "away", Table: "room", Columns: facts.Columns}, {Database: "home", Table: "hall", Columns: facts.Columns},
		} {
			if err := r.Learn(&other, misplaced); err == nil {
				t.Errorf("a file of table %q of %q was taken for one of room of home", misplaced.Table, misplaced.Database)
			}
		}
		facts.Columns = []schema.Column{{ID: 2, Name: "f", Type: schema.Bool}}
		if err := r.Learn(&other, facts); err == nil {
			t.Error("a column of two types was taken")
		}
	})
	if r.IsWhole() {
		t.Error("a catalog that was not there is whole")
	}
	c := mustOpen(t, fs)
	defer mustClose(t, c)
	db, ok := c.Schema().Database("home")
	if !ok || db.ID != 2 {
		t.Fatalf("database home: %v", db)
	}
	tb, ok := db.Table("room")
	if !ok || tb.ID != 3 || len(tb.Columns) != 4 || tb.Key != (schema.TableKey{Rule: schema.FirstByTag, Tag: "host"}) {
		t.Fatalf("table room: %+v", tb)
	}
	if files := c.Files(); len(files) != 1 || files[0].ID != file.ID {
		t.Fatalf("files: %v", files)
	}
	if id := c.AllocateFileID(); id <= file.ID {
		t.Errorf("file id %x comes again after %x", id, file.ID)
	}
}

// TestRemainsOfDamagedPebbleFiles flips bytes in every file of the store: what is read
// is what was there.
func TestRemainsOfDamagedPebbleFiles(t *testing.T) {
	intact := smallCatalog(t)
	want := rawRecords(t, intact)
	mustClose(t, mustOpen(t, intact)) // so that there are tables
	names, err := intact.List(testDir)
	mustDo(t, err)
	for _, name := range names {
		fs := vfs.NewMem()
		if _, err := vfs.Clone(intact, fs, testDir, testDir); err != nil {
			t.Fatal(err)
		}
		damageFile(t, fs, fs.PathJoin(testDir, name))
		r, err := ReadRemains(testOptions(fs))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for id, f := range r.Files() {
			if string(sealed(fileKey(id), appendFile(nil, f))) != want[string(fileKey(id))] {
				t.Errorf("%s: file %d is another one", name, id)
			}
		}
		mustDo(t, r.Close())
	}
}

// damageFile writes zeros over the middle of a file.
func damageFile(t *testing.T, fs vfs.FS, path string) {
	t.Helper()
	info, err := fs.Stat(path)
	mustDo(t, err)
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	mustDo(t, err)
	_, err = f.WriteAt(make([]byte, info.Size()/3), info.Size()/3)
	mustDo(t, err)
	mustDo(t, f.Close())
}
