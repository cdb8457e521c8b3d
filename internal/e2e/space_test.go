//go:build duckdb_arrow && linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestFullDiskHealsWithoutARestart fills the disk from outside while a client writes. Writes
// are answered 503 with Retry-After, queries go on, and when the filler is gone, writes are
// taken again by the same process. Everything acknowledged is there, also after kill -9.
func TestFullDiskHealsWithoutARestart(t *testing.T) {
	for name, full := range map[string]struct {
		leave int64 // bytes that the filler leaves
		args  []string
	}{
		"nearly full":                 {leave: 2 << 20},
		"full, and nothing kept free": {args: []string{"--min-free-disk", "0"}},
	} {
		t.Run(name+", tmpfs", func(t *testing.T) {
			s := newSite(t)
			dir := filepath.Join(s.root, "volume")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			mountTmpfs(t, dir, "size=64m")
			fillAndHeal(t, s, dir, full.leave, full.args)
		})
		t.Run(name+", ext4", func(t *testing.T) {
			s := newSite(t)
			v := newVolume(t, fileSystems[0], s.root, 96)
			fillAndHeal(t, s, v.point, full.leave, full.args)
		})
	}
}

const (
	// noticedWithin is how soon writes are refused, and taken again. The server looks once a
	// second; the rest is for a machine that is busy.
	noticedWithin = 20 * time.Second
	spaceText     = "no space left"
)

func fillAndHeal(t *testing.T, s *site, dir string, leave int64, args []string) {
	s.data = filepath.Join(dir, "data")
	srv := s.start(args...)
	w := &persistentWriter{srv: srv, quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	stop := func() {
		if w.quit != nil {
			close(w.quit)
			<-w.done
			w.quit = nil
		}
	}
	defer stop()
	srv.await("the first acknowledgements", func() bool { return w.acked.Load() > 50 })

	filler := filepath.Join(dir, "filler")
	fillDisk(t, dir, filler, leave)
	begin := time.Now()
	srv.await("a refusal", func() bool { return w.refused.Load() > 0 })
	refusedAfter := time.Since(begin)
	if leave > 0 && refusedAfter > noticedWithin {
		t.Errorf("writes were refused %s after the disk had become nearly full", refusedAfter)
	}
	for range 20 {
		expectAtLeast(t, srv, w.acked.Load())
	}
	// Between two writes on a disk that nothing is kept free of, the server may believe in space.
	srv.await("/health to say that there is no space", func() bool {
		a, err := srv.do(http.MethodGet, "/health", nil, nil)
		return err == nil && a.status == http.StatusServiceUnavailable && strings.Contains(a.body, spaceText)
	})
	srv.await("/metrics to say so", func() bool {
		a, err := srv.do(http.MethodGet, "/metrics", nil, nil)
		return err == nil && strings.Contains(a.body, "siltstone_out_of_space 1")
	})

	before := w.acked.Load()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	begin = time.Now()
	srv.await("an acknowledgement", func() bool { return w.acked.Load() > before })
	healedAfter := time.Since(begin)
	if healedAfter > noticedWithin {
		t.Errorf("writes were taken %s after there was space", healedAfter)
	}
	srv.await("health", func() bool {
		a, err := srv.do(http.MethodGet, "/health", nil, nil)
		return err == nil && a.status == http.StatusOK
	})
	srv.await("some more", func() bool { return w.acked.Load() > before+50 })
	srv.flush()
	w.isKilled.Store(true)
	srv.kill()
	stop()
	for _, fault := range w.faults {
		t.Error(fault)
	}
	srv = s.start(args...)
	w.check(t, srv)
	srv.stop()
	t.Logf("refused after %s, healed after %s; %d acknowledged, %d refused", refusedAfter, healedAfter, w.acked.Load(), w.refused.Load())
}

// persistentWriter sends numbered points, one request each, whatever it is answered. Every
// twentieth brings a new column.
type persistentWriter struct {
	srv            *server
	acked, refused atomic.Int64
	isKilled       atomic.Bool // or about to be
	quit, done     chan struct{}
	// Of the goroutine until done:
	numbers []int64 // acknowledged
	sent    int64
	faults  []string
}

func (w *persistentWriter) run() {
	defer close(w.done)
	noise := rand.NewChaCha8([32]byte{}) // does not compress, so that the log grows
	raw := make([]byte, 4<<10)
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		w.sent++
		_, _ = noise.Read(raw) // never fails
		extra := ""
		if w.sent%20 == 0 {
			extra = fmt.Sprintf(",f%d=1", w.sent)
		}
		a, err := w.srv.post("db", fmt.Appendf(nil, "t n=%di,s=\"%x\"%s %d", w.sent, raw, extra, w.sent))
		switch {
		case err != nil && w.isKilled.Load():
			return
		case err != nil:
			w.fault("write %d: %v", w.sent, err)
			return
		case a.status == http.StatusNoContent:
			w.numbers = append(w.numbers, w.sent)
			w.acked.Add(1)
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "1" && strings.Contains(a.body, spaceText):
			w.refused.Add(1)
		default:
			w.fault("write %d: status %d, Retry-After %q, %.300s", w.sent, a.status, a.header.Get("Retry-After"), a.body)
		}
	}
}

func (w *persistentWriter) fault(format string, args ...any) {
	if len(w.faults) < 10 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// check looks for each acknowledged number, once, and for none that was never sent.
func (w *persistentWriter) check(t *testing.T, srv *server) {
	t.Helper()
	found := make(map[int64]int)
	for _, r := range srv.query("db", "SELECT n FROM t") {
		n, err := r["n"].(json.Number).Int64()
		if err != nil || n < 1 || n > w.sent {
			t.Fatalf("there is a row with n=%v", r["n"])
		}
		found[n]++
	}
	for _, n := range w.numbers {
		if found[n] == 0 {
			t.Errorf("acknowledged point %d is lost", n)
		}
	}
	for n, times := range found {
		if times > 1 {
			t.Errorf("point %d is there %d times", n, times)
		}
	}
}

func expectAtLeast(t *testing.T, srv *server, n int64) {
	t.Helper()
	rows, err := srv.ask("db", "SELECT count(*) AS c FROM t")
	if err != nil {
		t.Fatalf("a query while the disk is full: %v", err)
	}
	if c, err := rows[0]["c"].(json.Number).Int64(); err != nil || c < n {
		t.Fatalf("%d rows are seen, %d were acknowledged", c, n)
	}
}

// fillDisk makes a file that leaves so many bytes of the disk, or less.
func fillDisk(t *testing.T, dir, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 256<<10)
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if leave > 0 && int64(st.Bavail)*st.Bsize <= leave {
			return
		}
		_, err := f.Write(block)
		if err == nil {
			err = f.Sync()
		}
		if errors.Is(err, syscall.ENOSPC) {
			if len(block) == 4<<10 {
				return
			}
			block = block[:4<<10]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestServerStartsOnAFullDiskWhenThereIsSpace starts a killed server on a disk that others have
// filled to the last block. It says that it is not ready, and serves when there is space.
func TestServerStartsOnAFullDiskWhenThereIsSpace(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(s.root, "volume")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, dir, "size=32m")
	s.data = filepath.Join(dir, "data")
	srv := s.start()
	const points = 10
	for i := range points {
		srv.write("db", fmt.Sprintf("t n=%di %d", i, i+1))
	}
	srv.kill()
	filler := filepath.Join(dir, "filler")
	fillDisk(t, dir, filler, 0)
	srv = s.launch()
	srv.await("a word about the disk", func() bool { return strings.Contains(s.wholeLog(), "no space to start in") })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	srv.awaitReady()
	expectAtLeast(t, srv, points)
	srv.stop()
}
