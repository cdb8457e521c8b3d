package query

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

var strideFlag = flag.Int("stride", 61, "the tests of rotten files flip every bit with this distance from the one before; 1: all")

// rotQueries read a table in the ways in which a query can use a file: rows, nothing but the
// footer, aggregates, statistics of row groups, single columns.
var rotQueries = []string{
	"SELECT * FROM cpu ORDER BY time",
	"SELECT count(*) FROM cpu",
	"SELECT min(time), max(time), min(usage), max(n), count(s), sum(u) FROM cpu",
	"SELECT count(*) FROM cpu WHERE usage > 15 AND host = 'h1'",
	"SELECT s FROM cpu WHERE n = 3 ORDER BY time",
}

// rotStore is a real data directory with one file of table cpu and one of mem, and what
// rotQueries answer while they are whole.
type rotStore struct {
	t      testing.TB
	dir    string
	path   string // of cpu's file
	raw    []byte // and its content
	engine *engine.Engine
	q      *Querier
	want   [][]string
	change time.Time
}

func newRotStore(t *testing.T) *rotStore {
	s := &rotStore{t: t, dir: t.TempDir(), change: time.Now()}
	s.open()
	t.Cleanup(func() { s.close() })
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf(`cpu,host=h%d usage=%d.25,n=%di,u=%du,ok=%t,s="text %d" %d`, i%3, i, i%5, i, i%2 == 0, i%7, epoch+int64(i)))
	}
	s.write(lines...)
	s.write(fmt.Sprintf("mem,host=a v=1 %d", epoch))
	s.flush()
	s.path = s.files("cpu")[0]
	s.raw = []byte(mustRead(t, s.path))
	for _, sql := range rotQueries {
		s.want = append(s.want, answer(t, s.q, "db", sql))
	}
	return s
}

func (s *rotStore) open() {
	s.t.Helper()
	var err error
	if s.engine, err = engine.Open(engine.Options{DataDir: s.dir}); err != nil {
		s.t.Fatal(err)
	}
	if s.q, err = Open(Options{View: s.engine.View, DataDir: s.dir, Threads: 2}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rotStore) close() {
	s.q.Close()
	if err := s.engine.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *rotStore) write(lines ...string) {
	s.t.Helper()
	req := engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond}
	if _, err := s.engine.Write(s.t.Context(), req); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rotStore) flush() {
	s.t.Helper()
	if err := s.engine.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// files returns the paths of a table's files.
func (s *rotStore) files(table string) (paths []string) {
	s.t.Helper()
	v, err := s.engine.View(s.t.Context(), "db", []string{table})
	if err != nil {
		s.t.Fatal(err)
	}
	defer v.Close()
	for _, f := range v.Tables[0].Files {
		paths = append(paths, f.Path)
	}
	return paths
}

// set gives cpu's file another content, in place. The clock of a file system may stand
// still for some milliseconds, so its time is set too.
func (s *rotStore) set(content []byte) {
	s.t.Helper()
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.change = s.change.Add(time.Second)
	_, err = f.WriteAt(content, 0)
	if err := errors.Join(err, f.Truncate(int64(len(content))), f.Close(), os.Chtimes(s.path, s.change, s.change)); err != nil {
		s.t.Fatal(err)
	}
}

// ask puts all queries: each must be answered rightly, or refused with an error that names
// the file. It returns how many were refused.
func (s *rotStore) ask(what string) (refused int) {
	s.t.Helper()
	for i, sql := range rotQueries {
		got, err := tryAnswer(s.t, s.q, Request{Database: "db", SQL: sql})
		if err != nil {
			refused++
			var fault *engine.FileError
			if !errors.As(err, &fault) || !errors.Is(err, engine.ErrDamaged) || !strings.HasSuffix(s.path, fault.Path) {
				s.t.Fatalf("%s: %s: got the error %v", what, sql, err)
			}
			continue
		}
		if diff := cmp.Diff(s.want[i], got); diff != "" {
			s.t.Fatalf("%s: %s: a wrong answer (-want +got)\n%s", what, sql, diff)
		}
	}
	return refused
}

// whole makes sure that the file as it was is read again, and others were never out of reach.
func (s *rotStore) whole() {
	s.t.Helper()
	s.set(s.raw)
	if n := s.ask("whole again"); n > 0 {
		s.t.Fatalf("%d queries of a file that is whole again were refused", n)
	}
}

func (s *rotStore) others() {
	s.t.Helper()
	if diff := cmp.Diff([]string{"1"}, answer(s.t, s.q, "db", "SELECT v FROM mem")); diff != "" {
		s.t.Fatal(diff)
	}
}

// Whichever bit of a file flips under a server that has read the file before: never a wrong
// value. Every query reads the footer and the time; some bits concern only some columns.
func TestFlippedBitIsFoundBeforeItIsRead(t *testing.T) {
	s := newRotStore(t)
	all, some := 0, 0
	for bit := 0; bit < len(s.raw)*8; bit += *strideFlag {
		broken := slices.Clone(s.raw)
		broken[bit/8] ^= 1 << (bit % 8)
		s.set(broken)
		switch s.ask(fmt.Sprintf("bit %d of byte %d", bit%8, bit/8)) {
		case len(rotQueries):
			all++
		case 0:
			t.Fatalf("bit %d of byte %d: SELECT * was answered", bit%8, bit/8)
		default:
			some++
		}
		s.others()
	}
	s.whole()
	t.Logf("%d bytes: %d bits concerned every query, %d only some", len(s.raw), all, some)
	t.Logf("figures: flipped_bits=%d", all+some)
	if some == 0 {
		t.Error("no query went on beside a broken column")
	}
}

func TestCutFileIsFoundBeforeItIsRead(t *testing.T) {
	s := newRotStore(t)
	for n := 0; n < len(s.raw); n += max(*strideFlag/8, 1) {
		s.set(s.raw[:n])
		if refused := s.ask(fmt.Sprintf("cut at byte %d", n)); refused != len(rotQueries) {
			t.Fatalf("cut at byte %d: %d of %d queries were refused", n, refused, len(rotQueries))
		}
	}
	s.set(append(slices.Clone(s.raw), 0))
	if refused := s.ask("a byte too long"); refused != len(rotQueries) {
		t.Fatalf("a byte too long: %d of %d queries were refused", refused, len(rotQueries))
	}
	s.whole()
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	if refused := s.ask("removed"); refused != len(rotQueries) {
		t.Fatalf("removed: %d of %d queries were refused", refused, len(rotQueries))
	}
	s.others()
	if err := os.WriteFile(s.path, s.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s.whole()
}

// TestSwappedFileIsFound puts another valid file of the same table, size and rows in the
// place of one, while the server runs and while it does not.
func TestSwappedFileIsFound(t *testing.T) {
	s := newRotStore(t)
	write := func(table string, v, day int) {
		s.write(fmt.Sprintf("%s,host=a v=%d %d", table, v, epoch+int64(day)*86_400_000_000_000))
		s.flush()
	}
	write("swap", 1, 0)
	write("swap", 2, 0)
	paths := s.files("swap")
	if len(paths) != 2 {
		t.Fatalf("%d files", len(paths))
	}
	const sql = "SELECT v FROM swap"
	if diff := cmp.Diff([]string{"2"}, answer(t, s.q, "db", sql)); diff != "" {
		t.Fatal(diff)
	}
	first, second := mustRead(t, paths[0]), mustRead(t, paths[1])
	if len(first) != len(second) || first == second {
		t.Fatalf("files of %d and %d bytes do not show anything", len(first), len(second))
	}
	swap := paths[1] + ".swap"
	if err := os.WriteFile(swap, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(swap, paths[1]); err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		got, err := tryAnswer(t, s.q, Request{Database: "db", SQL: sql})
		if !errors.Is(err, engine.ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(paths[1])) {
			t.Fatalf("%s: got %q, %v", when, got, err)
		}
	}
	refused("while the server runs")
	s.close()
	s.open()
	refused("after a restart")
	s.others()
}

// TestFirstReadOfARottenFile restarts the server, so that nothing is remembered of the file.
func TestFirstReadOfARottenFile(t *testing.T) {
	s := newRotStore(t)
	for bit := 5; bit < len(s.raw)*8; bit += max(*strideFlag*40, len(s.raw)*8/10) {
		broken := slices.Clone(s.raw)
		broken[bit/8] ^= 1 << (bit % 8)
		s.set(broken)
		s.close()
		s.open()
		if s.ask(fmt.Sprintf("bit %d of byte %d after a restart", bit%8, bit/8)) == 0 {
			t.Fatalf("bit %d of byte %d: SELECT * was answered", bit%8, bit/8)
		}
		s.others()
	}
	s.whole()
}

// BenchmarkVerified is a small query over a file that is verified already, and the share of
// it that looking whether that still holds takes; and the first look at the file.
func BenchmarkVerified(b *testing.B) {
	s := &rotStore{t: b, dir: b.TempDir()}
	s.open()
	defer s.close()
	for minute := range 20 {
		var lines []string
		for host := range 500 {
			line := fmt.Sprintf("cpu,host=h%d,region=r%d,os=linux u0=%d", host, host%9, (host*7919+minute)%100)
			for f := 1; f < 10; f++ {
				line += fmt.Sprintf(",u%d=%d", f, (host*104729+minute*f*13)%100)
			}
			lines = append(lines, fmt.Sprintf("%s %d", line, epoch+int64(minute)*60_000_000_000))
		}
		s.write(lines...)
	}
	s.flush()
	const sql = "SELECT max(u1) FROM cpu WHERE host = 'h7'"
	b.Run("query", func(b *testing.B) { benchQuery(b, s.q, sql) })
	v, err := s.engine.View(b.Context(), "db", []string{"cpu"})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	t := v.Tables[0]
	b.Run("verify again", func(b *testing.B) {
		for b.Loop() {
			if err := t.Verify(b.Context(), t.Files, []schema.ColumnID{0, 1, 5}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify first", func(b *testing.B) {
		for b.Loop() {
			s.change = s.change.Add(time.Second)
			if err := os.Chtimes(t.Files[0].Path, s.change, s.change); err != nil {
				b.Fatal(err)
			}
			if err := t.Verify(b.Context(), t.Files, []schema.ColumnID{0, 1, 5}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
