//go:build duckdb_arrow && linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	// refusedWithin is how long a write on a full disk may wait for its answer: milliseconds,
	// and the rest is for a machine that is busy.
	refusedWithin = 10 * time.Second
	// healsWithin is how long writes may be refused when there is space again. The server looks
	// once a second.
	healsWithin = 20 * time.Second
)

// TestFullDiskHeals shows X13: a client fills the disk itself, once up to the reserve that
// writes leave, once to the last byte.
func TestFullDiskHeals(t *testing.T) {
	for name, args := range map[string][]string{
		"up to the reserve":    nil,
		"up to the last block": {"--min-free-disk", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			drawn, rerun := drawnSeed(t, "")
			s := newSite(t)
			v := newVolume(t, fileSystems[0], s.root, 64)
			s.data = v.dataDir()
			ballast := filepath.Join(v.point, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 24<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			srv := s.start(args...)
			l := newLedger(0)
			all := ledgers{l}
			all.draw(rand.New(rand.NewPCG(drawn, 0)))
			srv.fillDisk(l, drawn)
			srv.mustRefuse(l)
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			healed := srv.mustHeal(l)
			all.mustAgree(srv, "after the disk was full", rerun)
			srv.flush()
			all.mustAgree(srv, "after a flush", rerun)
			srv.kill()
			s.mustBeSound("after the disk was full; " + rerun)
			srv = s.start()
			points := all.mustAgree(srv, "after a kill", rerun)
			srv.kill()
			v.unmount()
			t.Logf("healed in %s; %d points", healed, points)
		})
	}
}

// fillDisk writes what does not compress, and points of the ledger, until it is refused.
func (s *server) fillDisk(l *ledger, seed uint64) {
	s.site.t.Helper()
	text := make([]byte, 60_000)
	for n, end := uint64(0), time.Now().Add(patience); time.Now().Before(end); n++ {
		if n%50 == 0 && l.submit(s, novelties{"new", "n"}) != nil {
			return
		}
		fill(text, seed+n)
		a, err := s.post("filler", fmt.Appendf(nil, "m s=\"%s\" %d", text, n))
		if err != nil {
			s.site.t.Fatal(err)
		}
		if a.status == http.StatusServiceUnavailable {
			return
		}
		if a.status != http.StatusNoContent {
			s.site.t.Fatalf("a write to a disk that fills up: %d %s", a.status, a.body)
		}
	}
	s.site.t.Fatal("the disk takes everything")
}

// mustRefuse fails unless writes are refused soon and in so many words, and queries go on.
func (s *server) mustRefuse(l *ledger) {
	t := s.site.t
	t.Helper()
	for range 20 {
		begin := time.Now()
		a, err := s.post("probe", []byte("m v=1i 1"))
		if took := time.Since(begin); err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || took > refusedWithin {
			t.Fatalf("a write on a full disk: %v, %d %s with Retry-After %q after %s", err, a.status, a.body, a.header.Get("Retry-After"), took)
		}
		if len(l.points) > 0 {
			if _, err := s.ask(ledgerDB, "SELECT count(*) FROM cpu"); err != nil {
				t.Fatalf("a query on a full disk: %v", err)
			}
		}
	}
	// Once a second the server tries whether there is space, and may believe it until the next write.
	s.await("/health to tell of the full disk", func() bool {
		if a, err := s.do(http.MethodGet, "/health", nil, nil); err != nil || a.status == http.StatusServiceUnavailable {
			return err == nil
		}
		a, err := s.post("probe", []byte("m v=1i 1"))
		if err != nil || a.status != http.StatusServiceUnavailable {
			t.Fatalf("a write on a full disk: %v, %d %s", err, a.status, a.body)
		}
		return false
	})
}

// mustHeal writes until that is acknowledged again, and returns how long it took. What
// was in doubt is no more: a refused write never appears.
func (s *server) mustHeal(l *ledger) time.Duration {
	t := s.site.t
	t.Helper()
	begin := time.Now()
	s.await("an acknowledged write", func() bool {
		a, err := s.post("probe", []byte("m v=1i 1"))
		if err != nil {
			t.Fatal(err)
		}
		return a.status == http.StatusNoContent
	})
	took := time.Since(begin)
	if took > healsWithin {
		t.Errorf("writes were refused for %s after there was space", took)
	}
	l.doubt = nil // it was refused while the server goes on: that is final
	for range 20 {
		if err := l.submit(s, novelties{"new", "n"}); err != nil {
			t.Fatalf("after there was space: %v", err)
		}
	}
	if a, err := s.do(http.MethodGet, "/health", nil, nil); err != nil || a.status != http.StatusOK {
		t.Errorf("/health after there was space: %v, %d %s", err, a.status, a.body)
	}
	return took
}
