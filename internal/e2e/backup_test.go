//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// backupRows makes the test under load one of many rows.
var backupRows = flag.Int("backup-rows", 0, "about how many rows the test of backups under load writes; 0 is a few thousand")

// stairs are writers whose nth request puts a row with the value n into two tables, on two
// days, and as many as bulk into a third. So a state of everything at one position of the log has the
// rows 1, 2, … n of each writer, in all tables.
type stairs struct {
	srv                     *server
	bulk                    int
	submitted, acknowledged [4]atomic.Int64
	ended                   sync.WaitGroup
	stop                    chan struct{}
}

const stairsDB = "stairs"

func climb(srv *server, bulk int) *stairs {
	x := &stairs{srv: srv, bulk: bulk, stop: make(chan struct{})}
	for w := range x.submitted {
		x.ended.Go(func() { x.write(w) })
	}
	return x
}

// write goes on until it is told to stop, or refused by a server that is gone.
func (x *stairs) write(w int) {
	for n := int64(1); ; n++ {
		select {
		case <-x.stop:
			return
		default:
		}
		const day = int64(24 * time.Hour)
		body := fmt.Appendf(nil, "cpu,w=%d n=%di %d\nmem,w=%d n=%di %d\n", w, n, n, w, n, day+n)
		for i := range int64(x.bulk) { // in the order of time, and late by days
			body = fmt.Appendf(body, "bulk,w=%d n=%di,i=%di,v=%d %d\n", w, n, i, (n*i)%1000, n%5*day+n*1_000_000+i)
		}
		x.submitted[w].Store(n)
		if a, err := x.srv.post(stairsDB, body); err != nil || a.status != http.StatusNoContent {
			return
		}
		x.acknowledged[w].Store(n)
	}
}

func (x *stairs) end() {
	close(x.stop)
	x.ended.Wait()
}

// least is how many requests of each writer are acknowledged now, most how many are submitted.
func (x *stairs) least() (n [4]int64) {
	for w := range n {
		n[w] = x.acknowledged[w].Load()
	}
	return n
}

func (x *stairs) most() (n [4]int64) {
	for w := range n {
		n[w] = x.submitted[w].Load()
	}
	return n
}

// mustBeStairs fails unless a server has the first requests of each writer and nothing else.
func mustBeStairs(t *testing.T, srv *server, bulk int, least, most [4]int64) {
	t.Helper()
	rows := srv.query(stairsDB, "SELECT 'cpu' AS t, w, count(*) AS rows, count(DISTINCT n) AS steps, max(n) AS top FROM cpu GROUP BY w "+
		"UNION ALL SELECT 'mem', w, count(*), count(DISTINCT n), max(n) FROM mem GROUP BY w ORDER BY w, t")
	tops := make(map[string]int64)
	for _, r := range rows {
		var w int
		if _, err := fmt.Sscan(r.text("w"), &w); err != nil {
			t.Fatal(err)
		}
		top := int64(r.number("top"))
		if int64(r.number("rows")) != top || int64(r.number("steps")) != top || top < least[w] || top > most[w] {
			t.Errorf("%v, and from %d to %d requests of the writer should be there", r, least[w], most[w])
		}
		if other, ok := tops[r.text("w")]; ok && other != top {
			t.Errorf("of a request of writer %d one half is there: %v", w, rows)
		}
		tops[r.text("w")] = top
	}
	if len(tops) != len(least) {
		t.Errorf("there are writers %v", tops)
	}
	if bulk == 0 {
		return
	}
	for _, r := range srv.query(stairsDB, "SELECT w, count(*) AS requests, max(n) AS top, min(rows) AS least, max(rows) AS most, min(places) AS first, max(places) AS last "+
		"FROM (SELECT w, n, count(*) AS rows, sum(i)::BIGINT AS places FROM bulk GROUP BY w, n) GROUP BY w") {
		top, places := tops[r.text("w")], int64(bulk*(bulk-1)/2)
		for name, want := range map[string]int64{"requests": top, "top": top, "least": int64(bulk), "most": int64(bulk), "first": places, "last": places} {
			if int64(r.number(name)) != want {
				t.Errorf("%s is not %d in %v: %d requests of %d rows each should be there", name, want, r, top, bulk)
			}
		}
	}
}

// restored serves a data directory that a restore has made.
func (s *site) restored(t *testing.T, repository string, more ...string) *server {
	t.Helper()
	other := newSite(t)
	args := append([]string{"backup", "restore", "--from", repository, "--data-dir", other.dataDir()}, more...)
	if out, said, status := s.command(args...); status != 0 {
		t.Fatalf("status %d: %s%s", status, out, said)
	}
	other.mustBeSound("after a restore")
	return other.start()
}

// create makes a backup and returns what was printed of it.
func (s *site) create(t *testing.T, srv *server, repository string) (id string, newFiles int) {
	t.Helper()
	out, said, status := s.command("backup", "create", "--host", srv.url, "--to", repository, "--format", "json")
	if status != 0 {
		t.Fatalf("status %d: %s%s", status, out, said)
	}
	var made struct {
		Backup struct {
			ID       string `json:"id"`
			NewFiles int    `json:"new_files"`
		} `json:"backup"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	return made.Backup.ID, made.Backup.NewFiles
}

// TestBackupUnderLoad backs up while writers, flushes and merges go on and tables are deleted,
// and restores: every request that was acknowledged before is there, and none by half.
func TestBackupUnderLoad(t *testing.T) {
	s := newSite(t)
	srv := s.start("--gen1-duration", timedFlush.String())
	repository := filepath.Join(s.root, "repository")
	const backups, bodyRows = 4, 5000
	bulk, requests := 0, int64(20) // of each writer between two backups
	if *backupRows > 0 {
		bulk, requests = bodyRows, int64(*backupRows)/(bodyRows*4*backups)
	}
	x := climb(srv, bulk)
	var others sync.WaitGroup
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-x.stop:
				return
			default:
			}
			srv.write("other", fmt.Sprintf("t%d v=1 1\n", n))
			srv.flush()
			for _, do := range []func() (answer, error){
				func() (answer, error) {
					return srv.do(http.MethodDelete, "/api/v3/configure/table", url.Values{"db": {"other"}, "table": {fmt.Sprintf("t%d", n)}, "hard_delete_at": {"now"}}, nil)
				},
				func() (answer, error) {
					return srv.do(http.MethodPost, "/api/v3/compact", url.Values{"wait": {strconv.FormatBool(bulk == 0)}}, nil) // bulk is merged without an end
				},
			} {
				if a, err := do(); err != nil || a.status/100 != 2 {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
			}
		}
	})
	type made struct {
		id          string
		least, most [4]int64
	}
	var all []made
	for range backups {
		before := x.most()
		srv.await("more requests", func() bool { return x.least()[0] > before[0]+requests })
		m := made{least: x.least()}
		m.id, _ = s.create(t, srv, repository)
		m.most = x.most()
		all = append(all, m)
	}
	x.end()
	others.Wait()
	srv.stop()
	if out, said, status := s.command("backup", "verify", "--from", repository); status != 0 {
		t.Errorf("status %d: %s%s", status, out, said)
	}
	for _, m := range all {
		again := s.restored(t, repository, "--backup", m.id)
		mustBeStairs(t, again, bulk, m.least, m.most)
		again.stop()
	}
}

// run starts a command and kills it after a while, if it has not ended.
func (s *site) runAndKill(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Env = plainEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // it was killed, or not
	timer.Stop()
}

// TestKilledBackupsLeaveNothingHalfDone kills the client, the server and restores at random moments.
func TestKilledBackupsLeaveNothingHalfDone(t *testing.T) {
	drawn, rerun := drawnSeed(t, "")
	for what, place := range map[string]func(t *testing.T, s *site) string{
		"directory": func(_ *testing.T, s *site) string { return filepath.Join(s.root, "repository") },
		"S3":        func(t *testing.T, _ *site) string { return startS3(t) + "/backups" },
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			killBackups(t, s, place(t, s), rand.New(rand.NewPCG(drawn, 1)), rerun)
		})
	}
}

func killBackups(t *testing.T, s *site, repository string, rng *rand.Rand, rerun string) {
	srv := s.start()
	soon := func() time.Duration { return time.Duration(rng.Int64N(int64(400 * time.Millisecond))) }
	rows := 0
	add := func() {
		var body strings.Builder
		for range 2000 {
			rows++
			fmt.Fprintf(&body, "m,k=%d v=%d,s=\"%x\" %d\n", rng.IntN(5), rows, rng.Uint64(), rows)
		}
		srv.write("db", body.String())
	}
	check := func(what string) {
		t.Helper()
		if out, said, status := s.command("backup", "verify", "--from", repository); status != 0 {
			t.Fatalf("%s: status %d: %s%s\n%s", what, status, out, said, rerun)
		}
	}
	add()
	s.create(t, srv, repository)
	for round := range roundsOr(2) {
		add()
		s.runAndKill(t, soon(), "backup", "create", "--host", srv.url, "--to", repository, "--rate", "64KiB")
		check("the client was killed")
		add()
		dead := srv
		timer := time.AfterFunc(soon(), dead.kill)
		s.command("backup", "create", "--host", srv.url, "--to", repository, "--rate", "256KiB") // fails, or was faster
		<-dead.exited
		timer.Stop()
		check("the server was killed")
		s.mustBeSound("after a kill")
		srv = s.start()
		s.create(t, srv, repository)
		check("backed up again")

		other := newSite(t)
		s.runAndKill(t, soon(), "backup", "restore", "--from", repository, "--data-dir", other.dataDir(), "--rate", "256KiB")
		if _, err := os.Stat(other.dataDir()); err != nil {
			if out, said, status := s.command("backup", "restore", "--from", repository, "--data-dir", other.dataDir()); status != 0 {
				t.Fatalf("round %d: status %d: %s%s\n%s", round, status, out, said, rerun)
			}
		}
		other.mustBeSound("after a killed restore")
		again := other.start()
		if n := again.query("db", "SELECT count(*) AS n FROM m")[0].number("n"); int(n) != rows {
			t.Errorf("%v rows, not %d\n%s", n, rows, rerun)
		}
		again.kill()
	}
}

// startS3 serves a store with a bucket until the test ends, has the commands know it, and returns the bucket.
func startS3(t *testing.T) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(store.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": store.URL, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush-hush", "AWS_REGION": "eu-central-1",
	} {
		t.Setenv(name, value)
	}
	return "s3://bucket"
}

// TestBackupToAnS3Store goes through all commands, with keys from the environment, and for a stopped directory.
func TestBackupToAnS3Store(t *testing.T) {
	repository := startS3(t) + "/backups"
	s := newSite(t)
	srv := s.start()
	srv.write("db", "m v=1i 1\n")
	if _, n := s.create(t, srv, repository); n != 1 {
		t.Errorf("the first backup copied %d files", n)
	}
	srv.write("db", "m v=2i 2\n")
	srv.stop()
	run := func(args ...string) string {
		t.Helper()
		out, said, status := s.command(append([]string{"backup"}, args...)...)
		if status != 0 || strings.Contains(out+said, "hush-hush") {
			t.Fatalf("%v: status %d: %s%s", args, status, out, said)
		}
		return out
	}
	if out := run("create", "--data-dir", s.dataDir(), "--to", repository); !strings.Contains(out, "of which 1 (") {
		t.Errorf("the second backup: %s", out)
	}
	if out := run("list", "--from", repository); strings.Count(out, "\n") != 3 {
		t.Errorf("the list: %s", out)
	}
	run("verify", "--from", repository)
	again := s.restored(t, repository)
	if n := again.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 3 {
		t.Errorf("the sum is %v", n)
	}
	again.write("db", "m v=4i 4\n")
	if out := run("restore", "--from", repository, "--host", again.url, "--database", "db", "--as", "before"); !strings.Contains(out, "2 rows") {
		t.Errorf("restored a database: %s", out)
	}
	if n := again.query("before", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 3 {
		t.Errorf("the sum under the other name is %v", n)
	}
	if _, said, status := s.command("backup", "restore", "--from", repository, "--host", again.url, "--database", "db", "--as", "before"); status != 1 || !strings.Contains(said, "exists") {
		t.Errorf("restored over a database with status %d: %s", status, said)
	}
	if _, said, status := s.command("backup", "restore", "--from", repository, "--host", again.url, "--database", "nowhere", "--as", "x"); status != 1 || !strings.Contains(said, "nowhere") {
		t.Errorf("restored a database that is not there with status %d: %s", status, said)
	}
	again.stop()
	again.site.mustBeSound("with a restored database")
	if out := run("prune", "--from", repository, "--keep", "1"); !strings.Contains(out, "Removed 1 older") {
		t.Errorf("pruned: %s", out)
	}
	other := newSite(t)
	if _, said, status := s.command("backup", "restore", "--from", repository, "--data-dir", s.dataDir()); status == 0 || !strings.Contains(said, "empty") {
		t.Errorf("restored over data with status %d: %s", status, said)
	}
	if _, said, status := s.command("backup", "list", "--from", "s3://bucket/nothing"); status == 0 || !strings.Contains(said, "no backup repository") {
		t.Errorf("listed nothing with status %d: %s", status, said)
	}
	if _, said, status := s.command("backup", "restore", "--from", "s3://bucket/nothing", "--data-dir", other.dataDir()); status == 0 || !strings.Contains(said, "no backup repository") {
		t.Errorf("restored from nothing with status %d: %s", status, said)
	}
}
