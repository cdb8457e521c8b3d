//go:build duckdb_arrow

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fileTruth is what is known of a Parquet file without asking the server.
type fileTruth struct {
	Path             string
	Bytes, Rows      int64
	MinTime, MaxTime string
	Columns          int64
}

// filesOnDisk finds the Parquet files and reads them with plain DuckDB.
func (s *site) filesOnDisk(j *judge) []fileTruth {
	s.t.Helper()
	var truth []fileTruth
	for _, file := range s.parquetFiles() {
		info, err := os.Stat(file)
		if err != nil {
			s.t.Fatal(err)
		}
		path, err := filepath.Rel(s.dataDir(), file)
		if err != nil {
			s.t.Fatal(err)
		}
		rows, err := j.rows(fmt.Sprintf(`SELECT count(*) AS n, epoch_ns(min(time))::VARCHAR AS a, epoch_ns(max(time))::VARCHAR AS z,
			(SELECT count(*) FROM (DESCRIBE FROM '%s')) AS columns FROM '%[1]s'`, file))
		if err != nil {
			s.t.Fatal(err)
		}
		value := func(i int) string { return fmt.Sprint(rows[0][2*i+2]) } // behind the brace and the names
		truth = append(truth, fileTruth{path, info.Size(), atoi(value(0)), value(1), value(2), atoi(value(3))})
	}
	return sortFiles(truth)
}

func atoi(text string) (n int64) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		return -1
	}
	return n
}

func sortFiles(files []fileTruth) []fileTruth {
	slices.SortFunc(files, func(a, b fileTruth) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

// filesToldOf is the same from system.parquet_files.
func (s *server) filesToldOf() []fileTruth {
	s.site.t.Helper()
	var told []fileTruth
	for _, r := range s.query("_internal", "SELECT * FROM system.parquet_files") {
		told = append(told, fileTruth{
			r.text("path"), int64(r.number("size_bytes")), int64(r.number("row_count")),
			r.text("min_time"), r.text("max_time"), int64(r.number("column_count")),
		})
	}
	return sortFiles(told)
}

// mustTellTheTruth compares the system tables with the disk, and with how many rows of each table
// were written since the last flush.
func (s *server) mustTellTheTruth(j *judge, when string, buffered map[string]int) {
	s.site.t.Helper()
	truth, told := s.site.filesOnDisk(j), s.filesToldOf()
	if !slices.Equal(truth, told) {
		s.site.t.Errorf("%s: on disk are\n%+v\nand system.parquet_files tells of\n%+v", when, truth, told)
	}
	var files, rows, bytes, buffers int
	for _, r := range s.query("_internal", "SELECT * FROM system.partitions WHERE database <> '_internal'") {
		files, rows, bytes = files+r.number("file_count"), rows+r.number("file_rows"), bytes+r.number("file_bytes")
		buffers += r.number("buffered_rows")
		name := r.text("database") + "." + r.text("table_name")
		if r.number("buffered_rows") > buffered[name] {
			s.site.t.Errorf("%s: system.partitions tells of %v", when, r)
		}
	}
	var wantRows, wantBytes, wantBuffers int
	for _, f := range truth {
		wantRows, wantBytes = wantRows+int(f.Rows), wantBytes+int(f.Bytes)
	}
	for _, n := range buffered {
		wantBuffers += n
	}
	if got, want := [...]int{files, rows, bytes, buffers}, [...]int{len(truth), wantRows, wantBytes, wantBuffers}; got != want {
		s.site.t.Errorf("%s: system.partitions adds up to %v files, rows, bytes and buffered rows, not %v", when, got, want)
	}
	wal := s.query("_internal", "SELECT * FROM system.wal")[0]
	segments, err := os.ReadDir(filepath.Join(s.site.dataDir(), "wal"))
	if err != nil {
		s.site.t.Fatal(err)
	}
	if got := wal.number("segments") + wal.number("spare_segments"); got != len(segments) || wal.number("buffered_rows") != wantBuffers {
		s.site.t.Errorf("%s: there are %d segments and %d buffered rows, and system.wal tells of %v", when, len(segments), wantBuffers, wal)
	}
}

// TestSystemTablesTellTheTruth shows X11.
func TestSystemTablesTellTheTruth(t *testing.T) {
	s, j := newSite(t), newJudge(t)
	s.env = append(s.env, "SILTSTONE_COMPACTION=off") // files must not change while they are compared
	srv := s.start()
	const day = 24 * 60 * 60 * 1_000_000_000
	lines := func(table string, from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s,host=h%d v=%d,i=%di %d\n", table, i%7, from+i, i, int64(from+i)*day/100)
		}
		return b.String()
	}
	srv.write("one", lines("cpu", 0, 1000))
	srv.write("one", lines("mem", 0, 300))
	srv.write("two", lines("cpu", -500, 700))
	srv.mustTellTheTruth(j, "before the first flush", map[string]int{"one.cpu": 1000, "one.mem": 300, "two.cpu": 700})
	srv.flush()
	srv.mustTellTheTruth(j, "after the flush", nil)
	srv.write("one", lines("cpu", 900, 200)) // half of them over others
	srv.write("one", "mem,host=new w=true,s=\"x\" 5\n")
	buffered := map[string]int{"one.cpu": 200, "one.mem": 1}
	srv.mustTellTheTruth(j, "with new rows", buffered)
	srv.kill()
	srv = s.start()
	srv.mustTellTheTruth(j, "after a kill", buffered)
	srv.flush()
	srv.mustTellTheTruth(j, "after the second flush", nil)
	srv.stop()
	srv = s.start()
	srv.mustTellTheTruth(j, "after a stop", nil)
	t.Logf("%+v", s.filesOnDisk(j))
	for _, gone := range []url.Values{{"db": {"one"}, "table": {"mem"}, "hard_delete_at": {"now"}}, {"db": {"two"}, "hard_delete_at": {"now"}}} {
		path, before := "/api/v3/configure/database", len(s.parquetFiles())
		if gone.Has("table") {
			path = "/api/v3/configure/table"
		}
		if a, err := srv.do(http.MethodDelete, path, gone, nil); err != nil || a.status != http.StatusOK {
			t.Fatalf("deleting %v: %v %d %s", gone, err, a.status, a.body)
		}
		srv.await("the files to go", func() bool { return len(s.parquetFiles()) < before })
		srv.await("the system tables to know", func() bool { return len(srv.filesToldOf()) == len(s.parquetFiles()) })
		srv.mustTellTheTruth(j, fmt.Sprintf("after deleting %v", gone), nil)
	}
}
