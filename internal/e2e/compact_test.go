//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// backfill writes history as nobody should: the days backwards, each of them twice, with other
// values the second time, and points of any day with each request. Then each request becomes
// files of its own.
func backfill(srv *server, from, to int, rng *rand.Rand) {
	const day = int64(86_400e9)
	for i := from; i < to; i++ {
		var lines strings.Builder
		for h := range 8 {
			at := 1_600_000_000e9 + int64(30-i/2)*day + int64(h)*3600e9
			fmt.Fprintf(&lines, "cpu,host=h%d a=%di,b=%di %d\n", h%4, i, h, at)
			fmt.Fprintf(&lines, "cpu,host=h%d a=%di %d\n", h%4, -i, 1_600_000_000e9+rng.Int64N(30)*day)
		}
		srv.write("db", lines.String())
		srv.flush()
	}
}

const compactedSQL = "SELECT host, count(*) AS n, sum(a) AS a, count(b) AS nb, sum(b) AS b, min(time) AS first, max(time) AS last FROM cpu GROUP BY host ORDER BY host"

// TestCompactionFromOutside writes late and backfilled data, and kills the server in the middle of
// compactions. The answers are those of before, and few files are left.
func TestCompactionFromOutside(t *testing.T) {
	s := newSite(t)
	srv := s.start("--compaction", "off")
	rng := rand.New(rand.NewPCG(1, 1))
	backfill(srv, 0, 40, rng)
	want := srv.query("db", compactedSQL)
	if n := len(s.parquetFiles()); n < 40 {
		t.Fatalf("there are %d files before", n)
	}
	same := func(when string) {
		t.Helper()
		if d := gocmp.Diff(want, srv.query("db", compactedSQL)); d != "" {
			t.Fatalf("%s: %s", when, d)
		}
	}
	for range 3 {
		var group sync.WaitGroup
		begun := make(chan struct{})
		group.Go(func() {
			close(begun)
			// The server dies before it answers, or just has.
			_, _ = srv.do(http.MethodPost, "/api/v3/compact", map[string][]string{"wait": {"true"}}, nil)
		})
		<-begun
		same("during a compaction")
		srv.kill()
		group.Wait()
		s.mustBeSound("after a kill")
		srv = s.start("--compaction", "off")
		same("after a kill")
	}
	_, said, status := s.command("compact", "--host", srv.url, "--db", "db", "--table", "cpu", "--wait")
	if status != 0 || !strings.Contains(said, "files are there now") {
		t.Fatalf("status %d: %s", status, said)
	}
	same("after the compaction")
	if n := len(s.parquetFiles()); n > 3 {
		t.Errorf("there are %d files after", n)
	}
	if rows := srv.query("db", "SELECT * FROM system.partitions WHERE overlapping > 0"); len(rows) > 0 {
		t.Errorf("files overlap: %v", rows)
	}
	srv.stop()
	s.mustBeSound("after a stop")
}

// slowMerges is a --compaction-bandwidth at which the merge of a few small files takes long.
const slowMerges = "24KiB"

// filesBeingWritten returns the Parquet files that have no name of their own yet.
func (s *site) filesBeingWritten() []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dataDir(), "files", "*", "*", "*.parquet.tmp"))
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// TestKilledInTheMiddleOfAMerge kills the server each time while a merge is certainly under way: its output is
// on the disk without a name. Afterwards nothing is lost or doubled, and no file is left that is not the catalog's.
func TestKilledInTheMiddleOfAMerge(t *testing.T) {
	s := newSite(t)
	flags := []string{"--compaction", "off", "--compaction-bandwidth", slowMerges}
	srv := s.start(flags...)
	rng := rand.New(rand.NewPCG(1, 3))
	backfill(srv, 0, 20, rng)
	for round := range roundsOr(3) {
		backfill(srv, round, round+2, rng) // over what is there
		want := srv.query("db", compactedSQL)
		files := len(s.parquetFiles())
		if a, err := srv.do(http.MethodPost, "/api/v3/compact", nil, nil); err != nil || a.status/100 != 2 {
			t.Fatalf("compacting: %v %d %s", err, a.status, a.body)
		}
		srv.await("the output of a merge", func() bool { return len(s.filesBeingWritten()) > 0 })
		srv.write("db", "late,host=h0 v=1i 1\n") // while it is merged
		if d := gocmp.Diff(want, srv.query("db", compactedSQL)); d != "" {
			t.Fatalf("during a merge: %s", d)
		}
		srv.kill()
		if len(s.filesBeingWritten()) == 0 {
			t.Fatalf("round %d: the merge had ended before the kill", round)
		}
		s.mustBeSound("after a kill")
		srv = s.start(flags...)
		if left := s.filesBeingWritten(); len(left) > 0 {
			t.Errorf("the start left %v", left)
		}
		known := srv.query("db", "SELECT count(*) AS n FROM system.parquet_files")[0].number("n")
		if n := len(s.parquetFiles()); n != files || int(known) != n {
			t.Errorf("there are %d files, %d before, and the server knows %v", n, files, known)
		}
		if d := gocmp.Diff(want, srv.query("db", compactedSQL)); d != "" {
			t.Fatalf("after a kill: %s", d)
		}
	}
	srv.stop()
	srv = s.start("--compaction", "off") // and without a rate worth mentioning it ends
	want := srv.query("db", compactedSQL)
	if out, said, status := s.command("compact", "--host", srv.url, "--wait"); status != 0 {
		t.Fatalf("status %d: %s%s", status, out, said)
	}
	if d := gocmp.Diff(want, srv.query("db", compactedSQL)); d != "" {
		t.Fatalf("after the compaction: %s", d)
	}
	srv.stop()
	s.mustBeSound("after a stop")
}

// TestFilesStayFewByThemselves: the server merges in the background.
func TestFilesStayFewByThemselves(t *testing.T) {
	s := newSite(t)
	srv := s.start()
	backfill(srv, 0, 24, rand.New(rand.NewPCG(1, 2)))
	want := srv.query("db", compactedSQL)
	srv.await("few files", func() bool { return len(s.parquetFiles()) < 12 })
	if d := gocmp.Diff(want, srv.query("db", compactedSQL)); d != "" {
		t.Error(d)
	}
	if rows := srv.query("db", "SELECT * FROM system.compactions WHERE error IS NULL AND output_files < input_files"); len(rows) == 0 {
		t.Error("system.compactions is empty")
	}
}
