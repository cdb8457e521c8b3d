package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// copyOptions are those of restoring database db of a backup as "copy".
func copyOptions(t testing.TB, b *engine.Backup) engine.RestoreDatabaseOptions {
	t.Helper()
	in, err := b.Image()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	image, err := catalog.ReadImage(in)
	if err != nil {
		t.Fatal(err)
	}
	files := restoreOptions(b, nil)
	return engine.RestoreDatabaseOptions{
		Image: image, Database: "db", As: "copy",
		File: func(ctx context.Context, f *schema.File) (io.ReadCloser, error) { return files.File(ctx, "", f) },
	}
}

// restoreSource has a database with files that overwrite each other, keys, and a retention period.
func restoreSource(t testing.TB, fs vfs.FS) *engine.Engine {
	e := open(t, fs, atNoon)
	if err := e.CreateDatabase("db", longRetention); err != nil {
		t.Fatal(err)
	}
	if err := createEvents(e, "events"); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		write(t, e, point{"a", "x", 1, "v", i}.line(), point{"a", "y", i, "w", i}.line(), point{"a", "z", i, "v", i}.line(), fmt.Sprintf("events,id=%d n=%di 1", i, i), "gone v=1 1")
		flush(t, e)
		if i == 1 { // of the rows until now, and not of those that follow
			some := &schema.Predicate{Op: schema.Equal, Tag: "k", Text: "z"}
			if err := e.DeleteRows(context.Background(), engine.DeleteSpec{Database: "db", Tables: []string{"a"}, Time: schema.MaxTimeRange, Where: some}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.DeleteTable("db", "gone", time.Time{}); err != nil {
		t.Fatal(err)
	}
	write(t, e, point{"a", "x", 1, "v", 7}.line())
	return e
}

// TestDatabaseComesBackUnderAnotherName restores a database beside itself, and into another
// directory, where it goes on: later writes win, keys that are there are known.
func TestDatabaseComesBackUnderAnotherName(t *testing.T) {
	fs := vfs.NewMem()
	e := restoreSource(t, fs)
	defer func() { closeEngine(t, e) }()
	source, cache, err := e.CreateCache(engine.CacheSpec{Database: "db", Table: "a", Kind: schema.LastCache})
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, e, fs, "db")
	if want[point{"a", "z", 0, "v", 0}.key()] != nil || want[point{"a", "z", 2, "v", 2}.key()] == nil {
		t.Fatalf("the source is %v", want)
	}
	b := beginBackup(t, e)
	elsewhere := vfs.NewMem()
	other := open(t, elsewhere, atNoon)
	places := map[string]struct {
		e  **engine.Engine
		fs vfs.FS
	}{"beside itself": {&e, fs}, "elsewhere": {&other, elsewhere}}
	for name, x := range places {
		done, err := (*x.e).RestoreDatabase(context.Background(), copyOptions(t, b))
		if err != nil || done.Tables != 2 || done.Files == 0 {
			t.Fatalf("%s: %+v, %v", name, done, err)
		}
		if _, err := (*x.e).RestoreDatabase(context.Background(), copyOptions(t, b)); !errors.Is(err, engine.ErrExists) {
			t.Errorf("%s: once more: %v", name, err)
		}
	}
	b.Close()
	for name, x := range places {
		for restart := range 2 {
			if got := read(t, *x.e, x.fs, "copy"); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %d: %s", name, restart, difference(want, got))
			}
			db, _ := (*x.e).Schema().Database("copy")
			if db.Retention != longRetention {
				t.Errorf("%s: the retention period is %s", name, db.Retention)
			}
			if def, _ := db.Table(source.Name); !reflect.DeepEqual(def.Caches, []*schema.Cache{cache}) {
				t.Errorf("%s: the caches are %v", name, def.Caches)
			}
			closeEngine(t, *x.e)
			checkSound(t, x.fs)
			*x.e = open(t, x.fs, atNoon)
		}
		req := request("events,id=1 n=9i 9", "events,id=9 n=9i 9", point{"a", "x", 1, "v", 8}.line())
		req.Database = "copy"
		if r, err := (*x.e).Write(context.Background(), req); err != nil || r.Discarded != 1 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		flush(t, *x.e)
		if _, err := (*x.e).Compact(context.Background(), engine.CompactOptions{}); err != nil {
			t.Fatal(err)
		}
		got := read(t, *x.e, x.fs, "copy")
		if v := got[point{"a", "x", 1, "v", 8}.key()]["v"]; v != int64(8) || len(got) != len(want)+1 {
			t.Errorf("%s: it went on to %v", name, got)
		}
	}
	closeEngine(t, other)
}

// TestRestoreOfADatabaseIsAllOrNothing fails each call of one in turn, and takes images of the disk in
// front of it. After a restart there is nothing of it, or all.
func TestRestoreOfADatabaseIsAllOrNothing(t *testing.T) {
	source := vfs.NewMem()
	e := restoreSource(t, source)
	defer closeEngine(t, e)
	want := read(t, e, source, "db")
	b := beginBackup(t, e)
	defer b.Close()
	o := copyOptions(t, b)
	trials := 0
	for n := 0; ; n++ {
		disk := newFailingCall(n)
		x := open(t, disk.fs(), atNoon, func(o *engine.Options) { o.MarkInterval = -1 })
		disk.isArmed.Store(true)
		_, err := x.RestoreDatabase(context.Background(), o)
		disk.isArmed.Store(false)
		_ = x.Close() // of one whose catalog has failed
		what, images := disk.outcome()
		if what == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		trials++
		for _, image := range append(images, disk.mem) {
			crashedRestore(t, image, o, want, what)
		}
	}
	t.Logf("figures: crashes=%d faults=%d", 3*trials, trials)
	if trials < 10 {
		t.Errorf("only %d calls", trials)
	}
}

// crashedRestore looks at what a restart finds.
func crashedRestore(t *testing.T, fs *vfs.MemFS, o engine.RestoreDatabaseOptions, want contents, what string) {
	t.Helper()
	e := open(t, fs, atNoon)
	defer func() { closeEngine(t, e) }()
	for _, name := range e.Databases() {
		if strings.HasPrefix(name, "_restoring") {
			t.Errorf("after %s there is %s", what, name)
		}
	}
	if _, ok := e.Schema().Database("copy"); !ok {
		closeEngine(t, e) // it removes empty directories while it runs
		if files := below(t, fs, "data/files"); len(files) > 0 {
			t.Errorf("after %s there is no database, but there are %v", what, files)
		}
		e = open(t, fs, atNoon)
		if _, err := e.RestoreDatabase(context.Background(), o); err != nil {
			t.Fatalf("again after %s: %v", what, err)
		}
	}
	if got := read(t, e, fs, "copy"); !reflect.DeepEqual(got, want) {
		t.Errorf("after %s: %s", what, difference(want, got))
	}
}
