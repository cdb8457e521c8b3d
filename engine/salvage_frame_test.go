package engine_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// TestSalvageOfABrokenCatalogFrameKeepsItsRecords damages the files of the catalog that
// hold no record: tokens, retention periods and deletions are in no Parquet file, and stay.
func TestSalvageOfABrokenCatalogFrameKeepsItsRecords(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	write(t, e, "cpu,host=a usage=1 1")
	write(t, e, "gone,host=a usage=1 1")
	flush(t, e)
	closeEngine(t, e)
	e = open(t, fs) // some of the catalog is in tables, some in its log
	_, err := e.CreateToken(schema.Token{Name: "kept"})
	must(t, err)
	must(t, e.SetRetention("db", longRetention))
	must(t, e.DeleteTable("db", "gone", time.Now().Add(longRetention)))
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	for _, file := range filesBelow(t, killed, "data/catalog", "") {
		name := path.Base(file)
		if !strings.HasPrefix(name, "OPTIONS-") && !strings.HasPrefix(name, "MANIFEST-") && !strings.HasPrefix(name, "marker.") {
			continue
		}
		for _, damage := range []string{"removed", "flipped"} {
			t.Run(name+" "+damage, func(t *testing.T) {
				fs := killed.CrashClone(vfs.CrashCloneCfg{})
				if damage == "removed" {
					remove(t, fs, file)
				} else {
					replaceBytes(t, fs, file, func(b []byte) []byte {
						for i := len(b) / 8; i < len(b); i += len(b)/4 + 1 {
							b[i] ^= 0x21
						}
						return b
					})
				}
				report := mustSalvage(t, fs)
				said := strings.Join(report.Catalog.Notes, "; ")
				if !report.Nothing && !strings.Contains(said, "the records of the old catalog were read") {
					t.Errorf("the report does not say how the old catalog was read: %q", said)
				}
				expectSalvaged(t, fs, contents{"cpu,host=a 1": {"usage": 1.0}})
				e := open(t, fs)
				defer closeEngine(t, e)
				if tokens := e.Tokens(); len(tokens) != 1 || tokens[0].Name != "kept" {
					t.Errorf("the tokens are %v", tokens)
				}
				db, ok := e.Schema().Database("db")
				if !ok || db.Retention != longRetention {
					t.Fatalf("the database is %v", db)
				}
				if _, ok := db.Table("gone"); ok || len(db.DeletedTables()) != 1 {
					t.Error("the deleted table is back")
				}
			})
		}
	}
}
