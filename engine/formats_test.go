package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// bytesBelow returns the files below a directory.
func bytesBelow(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(files, bytesBelow(t, fs, name))
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	return files
}

// TestNewerFormatsAreRefusedAndLeftAlone: a directory that a later release has written is
// not damaged, and neither a start nor a check nor a salvage may take it for that.
func TestNewerFormatsAreRefusedAndLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		upgrade func(t *testing.T, fs vfs.FS)
		place   string // what the error must name
	}{
		"log segment":    {upgradeSegment, "0000000000000001.wal"},
		"batch encoding": {upgradeBatch, "record"},
		"catalog":        {upgradeCatalog, "data/catalog"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			e := open(t, fs)
			write(t, e, "m f=1 1")
			flush(t, e)
			crashed := vfs.NewCrashableMem()
			write(t, e, "m f=2 2") // is in the log
			copyDir(t, fs, crashed, "data")
			closeEngine(t, e)
			c.upgrade(t, crashed)
			before := bytesBelow(t, crashed, "data")
			for what, act := range map[string]func() error{
				"a start": func() error {
					_, err := engine.Open(engine.Options{DataDir: "data", FS: crashed, Gen1Duration: -1})
					return err
				},
				"a check": func() error {
					_, err := engine.Check(context.Background(), engine.CheckOptions{DataDir: "data", FS: crashed})
					return err
				},
				"a salvage": func() error {
					_, err := engine.Salvage(context.Background(), engine.Options{DataDir: "data", FS: crashed, Gen1Duration: -1})
					return err
				},
			} {
				err := act()
				if !errors.Is(err, engine.ErrNewerFormat) || !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), "upgrade") {
					t.Errorf("%s says: %v", what, err)
				}
				if err != nil && strings.Contains(err.Error(), "salvage keeps") {
					t.Errorf("%s advises to salvage: %v", what, err)
				}
				for file, b := range bytesBelow(t, crashed, "data") {
					// The catalog may note that it was opened, and an empty log segment may be added.
					if old, ok := before[file]; ok && old != b && !strings.HasPrefix(file, "data/catalog/") {
						t.Errorf("%s has changed %s", what, file)
					}
				}
			}
			if lost := slices.DeleteFunc(slices.Collect(maps.Keys(before)), func(file string) bool {
				_, err := crashed.Stat(file)
				return err == nil || strings.HasPrefix(file, "data/catalog/")
			}); len(lost) > 0 {
				t.Errorf("gone: %v", lost)
			}
		})
	}
}

// copyDir copies what a process that is killed now would leave.
func copyDir(t *testing.T, from, to vfs.FS, dir string) {
	t.Helper()
	for name, b := range bytesBelow(t, from, dir) {
		if path.Base(name) == "LOCK" {
			continue
		}
		if err := to.MkdirAll(path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		replaceFile(t, to, name, []byte(b))
	}
}

func replaceFile(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// upgradeSegment writes the next version into the header of the log's first segment.
func upgradeSegment(t *testing.T, fs vfs.FS) {
	const name = "data/wal/0000000000000001.wal"
	b := []byte(bytesBelow(t, fs, "data/wal")[name])
	binary.LittleEndian.PutUint16(b[8:], 2)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	replaceFile(t, fs, name, b)
}

// upgradeBatch adds a record in the next version of the encoding.
func upgradeBatch(t *testing.T, fs vfs.FS) {
	last := schema.Seq(0)
	log, err := wal.Open(wal.Options{FS: fs, Dir: "data/wal"}, 0, func(seq schema.Seq, _ []byte) error { last = seq; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Commit([]byte{0xff, 0, 1, 2, 3}, func(schema.Seq) {}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if last == 0 {
		t.Fatal("the log was empty")
	}
}

// upgradeCatalog writes a later version into the catalog's header.
func upgradeCatalog(t *testing.T, fs vfs.FS) {
	db, err := pebble.Open("data/catalog", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6, DisableTableStats: true})
	if err != nil {
		t.Fatal(err)
	}
	key := []byte{1}
	value, closer, err := db.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(value[:len(value)-4])
	newer[8] = 99
	newer = binary.LittleEndian.AppendUint32(newer, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, newer))
	if err := errors.Join(closer.Close(), db.Set(key, newer, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestWhyADirectoryCannotBeUsed: only a lock that somebody has means that the directory is
// in use, and the other reasons come with what helps.
func TestWhyADirectoryCannotBeUsed(t *testing.T) {
	create := func(errno syscall.Errno) error { return &iofs.PathError{Op: "open", Path: "data/LOCK", Err: errno} }
	for name, c := range map[string]struct {
		err   error
		inUse bool
		says  string
	}{
		"held":           {syscall.EAGAIN, true, "locked by another siltstone"},
		"held, on NFS":   {syscall.EACCES, true, "locked by another siltstone"},
		"no lock server": {syscall.ENOLCK, false, "local disk"},
		"no locks":       {syscall.ENOTSUP, false, "local disk"},
		"read-only":      {create(syscall.EROFS), false, "mounted read-only"},
		"somebody's":     {create(syscall.EACCES), false, "must own it"},
		"immutable":      {create(syscall.EPERM), false, "must own it"},
		"a file":         {create(syscall.ENOTDIR), false, "is a file"},
		"a bad disk":     {create(syscall.EIO), false, "data/LOCK"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpLock {
					return c.err
				}
				return nil
			}))
			_, err := engine.Open(engine.Options{DataDir: "data", FS: fs})
			if err == nil || errors.Is(err, engine.ErrInUse) != c.inUse || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "data") {
				t.Errorf("%v", err)
			}
		})
	}
	file := t.TempDir() + "/file"
	replaceFile(t, vfs.Default, file, []byte("text"))
	for _, dir := range []string{file, file + "/below"} {
		if _, err := engine.Open(engine.Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "is a file") {
			t.Errorf("a data directory that is a file: %v", err)
		}
	}
	deep := t.TempDir() + "/a/b/c"
	e, err := engine.Open(engine.Options{DataDir: deep})
	if err != nil {
		t.Fatalf("a directory whose parents are missing: %v", err)
	}
	closeEngine(t, e)
}
