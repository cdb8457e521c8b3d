package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"path"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/siltstone-db/siltstone/backup"
	"github.com/siltstone-db/siltstone/engine"
)

// stores are what a repository can be in. Each call makes an empty one.
var stores = map[string]func(t *testing.T) backup.Store{
	"directory": func(*testing.T) backup.Store { return backup.NewDir(vfs.NewMem(), "repository") },
	"S3": func(t *testing.T) backup.Store {
		backend := s3mem.New()
		if err := backend.CreateBucket("bucket"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(gofakes3.New(backend).Server())
		t.Cleanup(server.Close)
		s, err := backup.OpenStore("s3://bucket/some/prefix", backup.S3Options{Endpoint: server.URL, Region: "eu-central-1", AccessKey: "key", SecretKey: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

func forEachStore(t *testing.T, test func(t *testing.T, s backup.Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// source is an engine that is backed up, in memory.
type source struct {
	t  *testing.T
	fs *vfs.MemFS
	*engine.Engine
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{t: t, fs: vfs.NewMem()}
	s.Engine = openEngine(t, s.fs)
	t.Cleanup(func() { s.Close() })
	return s
}

func openEngine(t *testing.T, fs vfs.FS) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1, WALSegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *source) write(lines ...string) {
	s.t.Helper()
	if _, err := s.Write(context.Background(), engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond}); err != nil {
		s.t.Fatal(err)
	}
}

// connect sends the source's backup, of which change may be nil or changes the stream.
func (s *source) connect(change func(io.Writer) io.Writer) func(context.Context, io.Reader) (io.ReadCloser, error) {
	return func(ctx context.Context, text io.Reader) (io.ReadCloser, error) {
		b, err := s.BeginBackup(ctx)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		have, err := backup.ReadHave(text, b.Instance)
		if err != nil {
			return nil, err
		}
		var all bytes.Buffer
		out := io.Writer(&all)
		if change != nil {
			out = change(out)
		}
		if err := backup.Send(ctx, out, b, have, "test"); err != nil && change == nil {
			return nil, err
		}
		return io.NopCloser(&all), nil
	}
}

func (s *source) backUp(to backup.Store) *backup.Manifest {
	s.t.Helper()
	m, err := backup.Create(context.Background(), backup.CreateOptions{Store: to, Connect: s.connect(nil)})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// tables says how many rows each table has.
func tables(t *testing.T, e *engine.Engine) map[string]uint64 {
	t.Helper()
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	rows := make(map[string]uint64)
	for _, tv := range v.Tables {
		for _, f := range tv.Files {
			rows[tv.Table.Name] += f.Rows
		}
		for _, b := range tv.Buffers {
			rows[tv.Table.Name] += uint64(b.Rows)
		}
	}
	return rows
}

// mustRestore restores a backup, which must have these rows.
func mustRestore(t *testing.T, from backup.Store, id string, want map[string]uint64) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	if _, _, err := backup.Restore(context.Background(), backup.RestoreOptions{Store: from, ID: id, DataDir: "data", FS: fs}); err != nil {
		t.Fatal(err)
	}
	e := openEngine(t, fs)
	defer e.Close()
	if got := tables(t, e); !reflect.DeepEqual(got, want) {
		t.Errorf("backup %s has the rows %v, not %v", id, got, want)
	}
	return fs
}

func mustVerify(t *testing.T, s backup.Store) *backup.VerifyReport {
	t.Helper()
	r, err := backup.Verify(context.Background(), backup.VerifyOptions{Store: s, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSecondBackupCopiesOnlyWhatIsNew makes three backups, between which rows come, files are
// merged and a table is deleted, and restores each.
func TestSecondBackupCopiesOnlyWhatIsNew(t *testing.T) {
	forEachStore(t, func(t *testing.T, s backup.Store) {
		src := newSource(t)
		src.write("a v=1 1", "a v=1 2", "b v=1 1")
		first := src.backUp(s)
		src.write("a v=2 3")
		second := src.backUp(s)
		if _, err := src.Compact(context.Background(), engine.CompactOptions{}); err != nil {
			t.Fatal(err)
		}
		third := src.backUp(s)
		fourth := src.backUp(s)
		for i, m := range []*backup.Manifest{first, second, third, fourth} {
			if want := []int{2, 1, 1, 0}[i]; m.NewFiles != want || m.Files != []int{2, 3, 2, 2}[i] {
				t.Errorf("backup %d copied %d files of %d, want %d", i, m.NewFiles, m.Files, want)
			}
		}
		all, damaged, err := backup.List(context.Background(), s)
		if err != nil || len(damaged) > 0 || len(all) != 4 || !reflect.DeepEqual(all[1], second) {
			t.Errorf("the list is %+v, %v, %v", all, damaged, err)
		}
		if r := mustVerify(t, s); len(r.Damage) > 0 || r.Backups != 4 || r.Files != 4 {
			t.Errorf("verified: %+v", r)
		}
		mustRestore(t, s, first.ID, map[string]uint64{"a": 2, "b": 1})
		mustRestore(t, s, second.ID, map[string]uint64{"a": 3, "b": 1})
		mustRestore(t, s, "", map[string]uint64{"a": 3, "b": 1})

		pruned, err := backup.Prune(context.Background(), s, 1)
		if err != nil || len(pruned.Backups) != 3 {
			t.Fatalf("pruned %+v, %v", pruned, err)
		}
		if _, isDir := s.(*backup.Dir); isDir && pruned.Objects != 5 { // two files and three images
			t.Errorf("pruned %+v", pruned)
		}
		mustRestore(t, s, "", map[string]uint64{"a": 3, "b": 1})
		if r := mustVerify(t, s); len(r.Damage) > 0 || r.Backups != 1 {
			t.Errorf("verified after pruning: %+v", r)
		}
	})
}

// TestTwoLivesOfADirectoryShareARepository backs up a directory and one that was restored of
// it, which both go on: they give the same ids to files.
func TestTwoLivesOfADirectoryShareARepository(t *testing.T) {
	s := stores["directory"](t)
	src := newSource(t)
	src.write("a v=1 1")
	src.backUp(s)
	again := &source{t: t, fs: mustRestore(t, s, "", map[string]uint64{"a": 1})}
	again.Engine = openEngine(t, again.fs)
	defer again.Close()
	for i := range 5 {
		src.write(fmt.Sprintf("a v=%d 2", i))
		again.write(fmt.Sprintf("a v=%d 3", 10*i), "other v=1 1")
		one, two := src.backUp(s), again.backUp(s)
		mustRestore(t, s, one.ID, tables(t, src.Engine))
		mustRestore(t, s, two.ID, tables(t, again.Engine))
	}
	if r := mustVerify(t, s); len(r.Damage) > 0 {
		t.Errorf("%+v", r.Damage)
	}
}

// cutWriter fails behind so many bytes; flipWriter changes the byte there.
type cutWriter struct {
	w    io.Writer
	left int
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if c.left < len(b) {
		n, _ := c.w.Write(b[:c.left])
		c.left = 0
		return n, errors.New("cut")
	}
	c.left -= len(b)
	return c.w.Write(b)
}

type flipWriter struct {
	w    io.Writer
	left int
}

func (f *flipWriter) Write(b []byte) (int, error) {
	if f.left >= 0 && f.left < len(b) {
		b = bytes.Clone(b)
		b[f.left] ^= 0x20
	}
	f.left -= len(b)
	return f.w.Write(b)
}

// TestCutOrDamagedStreamIsNoBackup cuts the stream, and changes a byte of it, at many places. Either
// there is no backup, or it is right; and what came is used by the next.
func TestCutOrDamagedStreamIsNoBackup(t *testing.T) {
	const places, trailer = 15, 1024 // of a tar archive, behind its last entry
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			src := newSource(t)
			src.write("a v=1 1", "b v=1 1", "c v=1 1")
			whole, used := 0, 0
			_, err := src.connect(func(w io.Writer) io.Writer { return counter{w, &whole} })(context.Background(), strings.NewReader(""))
			if err != nil || whole == 0 {
				t.Fatal(whole, err)
			}
			for at := 0; at < whole; at += whole/places + 1 {
				s := open(t)
				for what, change := range map[string]func(io.Writer) io.Writer{
					"cut":     func(w io.Writer) io.Writer { return &cutWriter{w, at} },
					"changed": func(w io.Writer) io.Writer { return &flipWriter{w, at} },
				} {
					m, err := backup.Create(context.Background(), backup.CreateOptions{Store: s, Connect: src.connect(change)})
					if err == nil {
						mustRestore(t, s, m.ID, map[string]uint64{"a": 1, "b": 1, "c": 1})
					}
					if err == nil && what == "cut" && at < whole-trailer && m.NewFiles == m.Files {
						t.Errorf("a stream cut at byte %d of %d is a backup", at, whole)
					}
				}
				if m := src.backUp(s); m.NewFiles < m.Files {
					used++
				}
				if r := mustVerify(t, s); len(r.Damage) > 0 {
					t.Errorf("verified: %+v", r)
				}
			}
			if used < places/3 {
				t.Errorf("what had come before a cut was used %d times", used)
			}
		})
	}
}

type counter struct {
	w io.Writer
	n *int
}

func (c counter) Write(b []byte) (int, error) {
	*c.n += len(b)
	return c.w.Write(b)
}

// TestCreateIsAllOrNothing fails each call of writing a repository in turn, and takes an image of
// the disk in front of each. A backup that was there stays, the new one is there whole or not at all, and the
// next succeeds.
func TestCreateIsAllOrNothing(t *testing.T) {
	src := newSource(t)
	src.write("a v=1 1")
	trials := 0
	for n := 0; ; n++ {
		mem := vfs.NewCrashableMem()
		quiet := backup.NewDir(mem, "repository")
		src.backUp(quiet)
		src.write(fmt.Sprintf("a v=1 %d", 2+n), "b v=1 1") // and files get more, until they are merged
		if _, err := src.Compact(context.Background(), engine.CompactOptions{}); err != nil {
			t.Fatal(err)
		}
		want := tables(t, src.Engine)
		calls, what := 0, ""
		var images []*vfs.MemFS
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if calls++; calls-1 != n {
				return nil
			}
			what = fmt.Sprint(op.Kind, " ", op.Path)
			for _, percent := range []int{0, 50, 100} {
				images = append(images, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), 1))}))
			}
			return syscall.EIO
		}))
		_, err := backup.Create(context.Background(), backup.CreateOptions{Store: backup.NewDir(faulty, "repository"), Connect: src.connect(nil)})
		if what == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		trials++
		for _, fs := range append(images, mem) {
			s := backup.NewDir(fs, "repository")
			r := mustVerify(t, s)
			if len(r.Damage) > 0 || r.Backups == 0 {
				t.Fatalf("after %s: %+v", what, r)
			}
			mustRestore(t, s, src.backUp(s).ID, want)
			if _, err := backup.Prune(context.Background(), s, 1); err != nil {
				t.Fatal(err)
			}
			if r := mustVerify(t, s); len(r.Damage) > 0 {
				t.Fatalf("pruned after %s: %+v", what, r)
			}
		}
	}
	t.Logf("figures: faults=%d crashes=%d", trials, 3*trials)
	if trials < 15 {
		t.Errorf("only %d calls", trials)
	}
}

// TestDamagedRepositoryIsFoundAndRefused changes and removes each object of a repository.
func TestDamagedRepositoryIsFoundAndRefused(t *testing.T) {
	forEachStore(t, func(t *testing.T, s backup.Store) {
		src := newSource(t)
		src.write("a v=1 1", "b v=1 1")
		m := src.backUp(s)
		ctx := context.Background()
		var objects []backup.Object
		if err := s.List(ctx, "", func(o backup.Object) error {
			objects = append(objects, o)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if !strings.Contains(o.Name, "/") {
				continue // the marker and the lock
			}
			in, err := s.Get(ctx, o.Name)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(in)
			if err != nil || in.Close() != nil {
				t.Fatal(err)
			}
			for what, damage := range map[string]func() error{
				"changed": func() error {
					b := bytes.Clone(whole)
					b[len(b)/2] ^= 1
					return s.Put(ctx, o.Name, int64(len(b)), bytes.NewReader(b))
				},
				"cut":     func() error { return s.Put(ctx, o.Name, 10, bytes.NewReader(whole[:10])) },
				"removed": func() error { return s.Remove(ctx, o.Name) },
			} {
				if err := damage(); err != nil {
					t.Fatal(err)
				}
				isManifest := path.Ext(o.Name) == ".json"
				if r := mustVerify(t, s); (len(r.Damage) != 1 || r.Damage[0].Backups[0] != m.ID) && !(isManifest && what == "removed") {
					t.Errorf("%s %s: verify finds %+v", o.Name, what, r.Damage)
				}
				fs := vfs.NewMem()
				_, _, err := backup.Restore(ctx, backup.RestoreOptions{Store: s, ID: m.ID, DataDir: "data", FS: fs})
				if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, engine.ErrDamaged) && !errors.Is(err, backup.ErrNoBackup) {
					t.Errorf("%s %s: restored with %v", o.Name, what, err)
				}
				if _, err := fs.Stat("data"); err == nil {
					t.Errorf("%s %s: there is a directory", o.Name, what)
				}
				if what != "removed" {
					if _, err := backup.Prune(ctx, s, 1); (err == nil) != strings.HasPrefix(o.Name, "files/") {
						t.Errorf("%s %s: pruned with %v", o.Name, what, err)
					}
				}
				if err := s.Put(ctx, o.Name, int64(len(whole)), bytes.NewReader(whole)); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustRestore(t, s, m.ID, map[string]uint64{"a": 1, "b": 1})
	})
}

// TestForeignPlacesAreLeftAlone shows that nothing is written to, or removed from, a place with
// other things in it.
func TestForeignPlacesAreLeftAlone(t *testing.T) {
	forEachStore(t, func(t *testing.T, s backup.Store) {
		ctx := context.Background()
		if err := s.Put(ctx, "files/1/2/00000000000000aa.parquet", 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Create(ctx, backup.CreateOptions{Store: s, Connect: newSource(t).connect(nil)}); !errors.Is(err, backup.ErrNoRepository) {
			t.Errorf("create: %v", err)
		}
		if _, err := backup.Prune(ctx, s, 1); !errors.Is(err, backup.ErrNoRepository) {
			t.Errorf("prune: %v", err)
		}
		n := 0
		if err := s.List(ctx, "", func(backup.Object) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("%d objects, %v", n, err)
		}
	})
}
