package query

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

// What the real engine writes, flushes and buffers must be answered as what was written last,
// whatever lies where.
func TestAnswersOverTheRealEngine(t *testing.T) {
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	q, err := Open(Options{View: e.View, DataDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	write := func(lines ...string) {
		t.Helper()
		req := engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond}
		if _, err := e.Write(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	flush := func() {
		t.Helper()
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(sql string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, answer(t, q, "db", sql)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
	}
	at := func(i int) int64 { return epoch + int64(i) }

	write(fmt.Sprintf(`cpu,host=a,Host=twin usage=1.5,n=1i,u=18446744073709551615u,ok=true,s="a rather long string" %d`, at(0)),
		fmt.Sprintf(`cpu,host=b usage=2.5 %d`, at(1)),
		fmt.Sprintf(`cpu usage=3.5 %d`, at(2)))
	check("SELECT count(*), sum(usage) FROM cpu", "3|7.5")
	flush()
	const all = `SELECT "Host", host_1, n, ok, s, epoch_ns(time) - 1700000000000000000, u, usage FROM cpu ORDER BY time`
	first := "twin|a|1|true|a rather long string|0|18446744073709551615|1.5"
	check(all, first, "(null)|b|(null)|(null)|(null)|1|(null)|2.5", "(null)|(null)|(null)|(null)|(null)|2|(null)|3.5")

	// Newer fields of an old point, a repeated one, and a column that no file has.
	write(fmt.Sprintf(`cpu,host=b usage=20.5 %d`, at(1)), fmt.Sprintf(`cpu,host=b n=7i,later="new" %d`, at(1)),
		fmt.Sprintf(`cpu,host=b usage=21.5 %d`, at(1)), fmt.Sprintf(`cpu,host=c usage=9.5 %d`, at(86_400_000_000_000)))
	const points = `SELECT host_1, n, usage, later FROM cpu ORDER BY time`
	want := []string{"a|1|1.5|(null)", "b|7|21.5|new", "(null)|(null)|3.5|(null)", "c|(null)|9.5|(null)"}
	check(points, want...)
	check("SELECT count(*) FROM cpu WHERE usage IN (2.5, 20.5)", "0")
	flush()
	check(points, want...)
	check("SELECT count(*) FROM cpu WHERE usage IN (2.5, 20.5)", "0")
	check("SELECT host_1 FROM cpu WHERE time > '2023-11-15' AND host_1 = 'c'", "c")

	write(fmt.Sprintf(`cpu,host=a,Host=twin usage=-1 %d`, at(0)))
	check("SELECT usage, n FROM cpu WHERE host_1 = 'a'", "-1|1")
	check("SELECT * FROM information_schema.tables WHERE table_schema = 'iox'", "public|iox|cpu|BASE TABLE")
}
