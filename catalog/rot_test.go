package catalog

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/siltstone-db/siltstone/schema"
)

var strideFlag = flag.Int("stride", 499, "the tests of rotten files flip every bit with this distance from the one before; 1: all")

// contentsOf returns every file of the catalog's directory.
func contentsOf(t testing.TB, fs vfs.FS) map[string]string {
	t.Helper()
	names, err := fs.List(testDir)
	mustDo(t, err)
	all := make(map[string]string)
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(testDir, name))
		mustDo(t, err)
		b, err := io.ReadAll(f)
		mustDo(t, err)
		mustDo(t, f.Close())
		all[name] = string(b)
	}
	return all
}

// directoryOf makes a directory of such files.
func directoryOf(t testing.TB, contents map[string]string) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	mustDo(t, fs.MkdirAll(testDir, 0o755))
	for name, content := range contents {
		f, err := fs.Create(fs.PathJoin(testDir, name), vfs.WriteCategoryUnspecified)
		mustDo(t, err)
		_, err = f.Write([]byte(content))
		mustDo(t, err)
		mustDo(t, f.Sync())
		mustDo(t, f.Close())
	}
	return fs
}

// killed returns what a kill at this moment leaves. An open catalog removes files meanwhile.
func killed(disk *vfs.MemFS) vfs.FS {
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// rottenCases makes small catalogs whose last commit is of each kind that is acknowledged.
// They end as a kill leaves them, with all that was written, or closed.
func rottenCases(t *testing.T) map[string]map[string]string {
	last := map[string]func(*Catalog){
		"define": func(c *Catalog) { mustDefine(t, c, table("weather", "last", "field")) },
		"delete": func(c *Catalog) { mustDo(t, c.DeleteTable("weather", "temperature", 5)) },
		"file":   func(c *Catalog) { mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(c.AllocateFileID(), 2)}}) },
		"token":  func(c *Catalog) { _, err := c.PutToken(schema.Token{Name: "last", Admin: true}); mustDo(t, err) },
	}
	cases := make(map[string]map[string]string)
	for _, name := range slices.Sorted(maps.Keys(last)) {
		for _, closed := range []bool{false, true} {
			disk := vfs.NewCrashableMem()
			c := mustOpen(t, disk)
			mustDefine(t, c, table("weather", "temperature", "indoor", "outdoor"))
			mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(c.AllocateFileID(), 1)}, Position: 10})
			mustClose(t, c)
			c = mustOpen(t, disk) // so that there is a table and a manifest with some edits
			last[name](c)
			if closed {
				mustClose(t, c)
				cases[name+", closed"] = contentsOf(t, disk)
				continue
			}
			cases[name+", killed"] = contentsOf(t, killed(disk))
			mustClose(t, c)
		}
	}
	return cases
}

// TestEveryFlippedBitIsRefusedOrHarmless flips the bits of every file of a catalog: either
// Open says that it is damaged, or all that was acknowledged is there.
func TestEveryFlippedBitIsRefusedOrHarmless(t *testing.T) {
	for name, contents := range rottenCases(t) {
		t.Run(name, func(t *testing.T) {
			c := mustOpen(t, directoryOf(t, contents))
			want := observe(c)
			mustClose(t, c)
			for _, file := range slices.Sorted(maps.Keys(contents)) {
				refused, harmless, wrong := 0, 0, 0
				for bit := 0; bit < len(contents[file])*8; bit += *strideFlag {
					flipped := []byte(contents[file])
					flipped[bit/8] ^= 1 << (bit % 8)
					broken := maps.Clone(contents)
					broken[file] = string(flipped)
					got, err := openRotten(t, broken)
					if err != nil {
						refused++
						if !isFoundRotten(t, broken) {
							t.Errorf("%s, bit %d: Open says %v, and Check nothing", file, bit, err)
						}
						if !strings.Contains(err.Error(), file) && !strings.Contains(err.Error(), testDir) {
							t.Fatalf("%s, bit %d: the error does not say where: %v", file, bit, err)
						}
						continue
					}
					diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
					if diff == "" {
						harmless++
					} else if wrong++; wrong == 1 {
						t.Errorf("%s, bit %d of byte %d of %d: opened with another state (-want +got)\n%s", file, bit%8, bit/8, len(contents[file]), diff)
					}
				}
				t.Logf("%s: %d bytes, figures: refused_bits=%d harmless_bits=%d wrong_bits=%d", file, len(contents[file]), refused, harmless, wrong)
			}
		})
	}
}

// isFoundRotten reports whether a check of what a start refuses says that it is damaged.
func isFoundRotten(t *testing.T, contents map[string]string) bool {
	c, report, err := Check(context.Background(), testOptions(directoryOf(t, contents)))
	if c != nil {
		mustClose(t, c)
	}
	return err != nil || len(report.Findings) > 0
}

// openRotten opens a catalog and returns its state. A panic is an error of the test.
func openRotten(t *testing.T, contents map[string]string) (s *state, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("panic: %v", p)
		}
	}()
	c, err := Open(testOptions(directoryOf(t, contents)))
	if err != nil {
		return nil, err
	}
	s = observe(c)
	if err := c.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return s, nil
}
