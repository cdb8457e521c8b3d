package persist

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

// smallFile returns the bytes of a file of few rows, and its description.
func smallFile(t testing.TB) ([]byte, schema.File) {
	t.Helper()
	tb := smallTable()
	fs := vfs.NewMem()
	file, err := tb.write(fs, "d", "f.parquet", 12, 5)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := readFile(fs, "d/f.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return raw, file
}

func TestVerifyCatchesEveryFlippedBit(t *testing.T) {
	raw, file := smallFile(t)
	fs := vfs.NewMem()
	for i := range raw {
		for bit := range 8 {
			broken := slices.Clone(raw)
			broken[i] ^= 1 << bit
			writeFile(t, fs, "f.parquet", broken)
			var mismatch *MismatchError
			if err := Verify(fs, "f.parquet", &file); !errors.As(err, &mismatch) || mismatch.What != "checksum" {
				t.Fatalf("bit %d of byte %d: got %v", bit, i, err)
			}
		}
	}
}

func TestVerifySaysWhatDiffersFromTheCatalog(t *testing.T) {
	raw, file := smallFile(t)
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", raw)
	for what, change := range map[string]func(*schema.File){
		"size":               func(f *schema.File) { f.Bytes++ },
		"checksum":           func(f *schema.File) { f.CRC32C++ },
		"number of rows":     func(f *schema.File) { f.Rows-- },
		"time range":         func(f *schema.File) { f.Time.Max++ },
		"list of column ids": func(f *schema.File) { f.Columns = f.Columns[1:] },
	} {
		want := file
		change(&want)
		var mismatch *MismatchError
		err := Verify(fs, "f.parquet", &want)
		if !errors.As(err, &mismatch) || mismatch.What != what || !strings.Contains(err.Error(), "f.parquet") {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	if err := Verify(fs, "f.parquet", &file); err != nil {
		t.Fatal(err)
	}
}

// checkBroken reads a file that may be broken in any way: that must not panic, and
// whatever is wrong must be called corruption.
func checkBroken(t *testing.T, raw []byte) {
	t.Helper()
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", raw)
	r, err := Open(fs, "f.parquet")
	if err != nil {
		checkIsCorruption(t, err)
		return
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	rows := uint64(0)
	for rec, err := range r.Records() {
		if err != nil {
			checkIsCorruption(t, err)
			return
		}
		rows += uint64(rec.NumRows())
	}
	if rows != r.Rows() {
		t.Fatalf("%d of %d rows were read, without an error", rows, r.Rows())
	}
}

func checkIsCorruption(t *testing.T, err error) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) && !errors.Is(err, ErrUnknownFormat) {
		t.Fatalf("not a CorruptError: %v", err)
	}
}

func TestBrokenFilesGiveErrors(t *testing.T) {
	raw, _ := smallFile(t)
	for i := range raw {
		for _, flip := range []byte{0x01, 0xff} {
			broken := slices.Clone(raw)
			broken[i] ^= flip
			checkBroken(t, broken)
		}
	}
}

func TestTruncatedFileCannotBeOpened(t *testing.T) {
	raw, _ := smallFile(t)
	fs := vfs.NewMem()
	for i := range raw {
		writeFile(t, fs, "f.parquet", raw[:i])
		if _, err := Open(fs, "f.parquet"); err == nil {
			t.Fatalf("a file cut at %d of %d was opened", i, len(raw))
		} else {
			checkIsCorruption(t, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	raw, _ := smallFile(f)
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(raw[:len(raw)/2])
	f.Add([]byte(magic + "\x00\x00\x00\x00" + magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) { checkBroken(t, raw) })
}

func TestReadErrorIsNotCorruption(t *testing.T) {
	raw, _ := smallFile(t)
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", raw)
	failures := 0
	for n := int32(0); ; n++ {
		injector := errorfs.OnIndex(n)
		_, err := readArrow(errorfs.Wrap(fs, injector), "f.parquet")
		if err == nil {
			break
		}
		failures++
		var corrupt *CorruptError
		if !errors.Is(err, errorfs.ErrInjected) || errors.As(err, &corrupt) {
			t.Fatalf("operation %d: got %v", n, err)
		}
	}
	if failures < 10 {
		t.Fatalf("only %d operations failed", failures)
	}
}

func TestLaterFormatIsRefused(t *testing.T) {
	raw, _ := smallFile(t)
	marked := strings.Replace(string(raw), formatKey+"\x18\x01"+formatVersion, formatKey+"\x18\x01"+"2", 1)
	if marked == string(raw) {
		t.Fatal("the format version is not where it was expected")
	}
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", []byte(marked))
	if _, err := Open(fs, "f.parquet"); !errors.Is(err, ErrUnknownFormat) {
		t.Fatalf("got %v, want ErrUnknownFormat", err)
	}
}

// TestFilesOfEveryVersionCanBeRead reads a file of the first release, and one with checksums
// inside. The first is never written anew.
func TestFilesOfEveryVersionCanBeRead(t *testing.T) {
	const newest = "v1-sums.parquet"
	if *rewrite {
		raw, _ := smallFile(t)
		if err := os.WriteFile(filepath.Join("testdata", newest), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"v1.parquet", newest} {
		got, err := readArrow(vfs.Default, filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		want := smallTable()
		if diff := gocmp.Diff(want.lines(), got.lines()); diff != "" {
			t.Fatal(name, diff)
		}
	}
}
