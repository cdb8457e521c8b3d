//go:build duckdb_arrow && linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestPowerLossOnRealFileSystems shows X12, which no kill can: the page cache dies too.
// The file system is shut down under load, so that everything that was not synced is
// gone. Every acknowledged point must be there.
func TestPowerLossOnRealFileSystems(t *testing.T) {
	for _, kind := range fileSystems {
		t.Run(kind.name, func(t *testing.T) {
			n := roundsOr(3)
			drawn, rerun := drawnSeed(t, fmt.Sprintf(" -rounds %d", n))
			s := newSite(t)
			v := newVolume(t, kind, s.root, 400)
			v.mustForget()
			s.data = v.dataDir()
			all := newLedgers(writersAtOnce)
			for round := range n {
				rng := rand.New(rand.NewPCG(drawn, uint64(round)))
				p := newPlan(rng, round)
				srv := s.start(p.arguments()...)
				if round > 0 {
					all.mustAgree(srv, fmt.Sprintf("after loss %d", round), rerun)
				}
				all.draw(rng)
				var cut error
				// A server without its disk refuses writes until it is killed.
				_ = p.run(srv, all, func() {
					cut = v.cutPower()
					srv.kill()
				})
				if cut != nil {
					t.Fatal(cut)
				}
				v.unmount()
				v.mount()
				s.mustBeSound(fmt.Sprintf("after loss %d, %s; %s", round, p.at, rerun))
			}
			srv := s.start()
			points := all.mustAgree(srv, "after the last loss", rerun)
			srv.flush()
			all.mustAgree(srv, "after a flush", rerun)
			srv.kill()
			v.unmount()
			t.Logf("figures: powercuts=%d points=%d", n, points)
		})
	}
}

// TestServerWhoseSyncsLieLosesPoints: the test above can fail. To this server every sync
// says that it succeeded, and does nothing.
func TestServerWhoseSyncsLieLosesPoints(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	s := newSite(t)
	v := newVolume(t, fileSystems[0], s.root, 400)
	s.data = v.dataDir()
	s.start().stop()
	s.wrapper = []string{"strace", "-D", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync,fdatasync,sync_file_range", "-e", "inject=fsync,fdatasync,sync_file_range:retval=0"}
	srv := s.start()
	const points = 100
	for i := range points {
		srv.write("db", fmt.Sprintf("m v=%di %d\n", i, i))
	}
	if err := v.cutPower(); err != nil {
		t.Fatal(err)
	}
	srv.kill()
	v.unmount()
	v.mount()
	s.wrapper = nil
	srv = s.launch()
	defer srv.kill()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-srv.exited:
			return // what is left is so little that it does not even start
		case <-time.After(pollEvery):
		}
		if address, err := os.ReadFile(s.addressFile()); err == nil && len(address) > 0 {
			break
		}
	}
	srv.awaitReady()
	if rows, err := srv.ask("db", "SELECT count(*) AS n FROM m"); err == nil && rows[0].number("n") == points {
		t.Errorf("all %d points are there, though nothing was ever synced", points)
	}
}

// TestWritebackThatFails puts the data on a device that has less room than it says, so
// that writing dirty pages back fails: the sync says EIO once, and the next one would
// say that all is well. The server must not ask again, acknowledge nothing more, and
// say so; on a device that works it comes back with everything.
func TestWritebackThatFails(t *testing.T) {
	drawn, rerun := drawnSeed(t, "")
	s := newSite(t)
	memory := filepath.Join(s.root, "memory")
	if err := os.Mkdir(memory, 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, memory, "size=24m")
	v := newVolume(t, fileSystems[0], memory, 256)
	s.data = v.dataDir()
	srv := s.start()
	l := newLedger(0)
	all := ledgers{l}
	all.draw(rand.New(rand.NewPCG(drawn, 0)))
	filler := make([]byte, 64<<10)
	deadline := time.Now().Add(patience)
	for n := 0; ; n++ {
		if err := l.submit(srv, novelties{"new", "n"}); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the device takes everything")
		}
		fill(filler, drawn+uint64(n))
		if a, err := srv.post("filler", fmt.Appendf(nil, "m s=\"%s\" %d", filler[:60_000], n)); err != nil || a.status != http.StatusNoContent {
			break
		}
	}
	for i := range 50 {
		if a, err := srv.post("probe", fmt.Appendf(nil, "m v=1i %d", i)); err != nil || a.status != http.StatusServiceUnavailable {
			t.Fatalf("write %d after the failed sync: %v, %d %s", i, err, a.status, a.body)
		}
	}
	if a, err := srv.do(http.MethodGet, "/health", nil, nil); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("/health says %v, %d %s", err, a.status, a.body)
	}
	if _, err := srv.ask(ledgerDB, "SELECT count(*) FROM cpu"); err != nil {
		t.Errorf("queries do not go on: %v", err)
	}
	srv.kill()
	v.unmount()
	v.run("mount", "-o", "remount,size=400m", memory)
	v.mount()
	srv = s.start()
	points := all.mustAgree(srv, "on a device that works", rerun)
	if _, err := srv.ask("probe", "SELECT count(*) FROM m"); err == nil {
		t.Error("there are points that were refused")
	}
	srv.write("probe", "m v=1i 1")
	srv.kill()
	v.unmount()
	t.Logf("%d points were there", points)
}

// fill makes text that does not compress.
func fill(text []byte, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"[rng.IntN(64)]
	}
}

// TestSlowDisk writes more than a disk of 1 MB a second takes: writers wait, memory does
// not grow, queries are answered.
func TestSlowDisk(t *testing.T) {
	s := newSite(t)
	v := newVolume(t, fileSystems[2], s.root, 200)
	s.data = v.dataDir()
	srv := s.start("--exec-mem-pool-bytes", "64MiB")
	srv.write("db", "m v=0i 0")
	v.throttle(1 << 20)
	const writers, load = 8, 6 * time.Second
	end := time.Now().Add(load)
	acknowledged := make(chan int, writers)
	for w := range writers {
		go func() {
			n := 0
			defer func() { acknowledged <- n }()
			text := make([]byte, 48<<10)
			for i := 0; time.Now().Before(end); i++ {
				fill(text, uint64(w)<<32+uint64(i))
				a, err := srv.post("db", fmt.Appendf(nil, "m,w=%d v=1i,s=\"%s\" %d", w, text, i))
				switch {
				case err == nil && a.status == http.StatusNoContent:
					n++
				case err != nil || a.status != http.StatusServiceUnavailable:
					t.Errorf("a write on a slow disk: %v, %d %.200s", err, a.status, a.body)
					return
				}
			}
		}()
	}
	var slowest time.Duration
	queries, most := 0, 0
	for ; time.Now().Before(end); queries++ {
		begin := time.Now()
		if _, err := srv.ask("db", "SELECT sum(v) AS n FROM m"); err != nil {
			t.Errorf("a query on a slow disk: %v", err)
			break
		}
		slowest = max(slowest, time.Since(begin))
		most = max(most, srv.residentMB())
	}
	total := 0
	for range writers {
		total += <-acknowledged
	}
	v.throttle(0)
	if slowest > 20*time.Second {
		t.Errorf("a query took %s", slowest)
	}
	if most > 512 {
		t.Errorf("the server took %d MB", most)
	}
	if total == 0 {
		t.Error("no write was acknowledged")
	}
	srv.kill()
	srv = s.start()
	if n := srv.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n < total {
		t.Errorf("%d points are there, %d were acknowledged", n, total)
	}
	srv.kill()
	v.unmount()
	t.Logf("%d writes of 48 KB acknowledged in %s, %d queries, the slowest in %s, %d MB of memory", total, load, queries, slowest, most)
}

// throttle limits what the volume's device takes, in bytes a second; 0 is no limit.
func (v *volume) throttle(bytesPerSecond int) {
	v.t.Helper()
	const control = "/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device"
	limit := func(n int) error {
		return os.WriteFile(control, fmt.Appendf(nil, "%s %d", v.device(), n), 0o600)
	}
	if err := limit(bytesPerSecond); err != nil {
		v.t.Skipf("the block I/O controller of cgroup v1 is not there: %v", err)
	}
	if bytesPerSecond > 0 {
		v.t.Cleanup(func() { _ = limit(0) }) // the device may be gone
	}
}

// residentMB is how much memory the server takes.
func (s *server) residentMB() int {
	s.site.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		s.site.t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		s.site.t.Fatal(err)
	}
	return resident * os.Getpagesize() >> 20
}
