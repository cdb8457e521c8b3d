//go:build duckdb_arrow && linux

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// TestStopOnASlowDisk: what is not flushed in time stays in the log. Writes without a sync
// are durable before anything else is done.
func TestStopOnASlowDisk(t *testing.T) {
	s := newSite(t)
	v := newVolume(t, fileSystems[0], s.root, 300)
	s.data = v.dataDir()
	srv := s.start()
	srv.write("db", "m v=0i 0")
	text := make([]byte, 48<<10)
	const rows = 250 // 12 MB
	for i := range rows {
		fill(text, uint64(i))
		srv.write("db", fmt.Sprintf("m,w=x v=1i,s=\"%s\" %d", text, i))
	}
	v.throttle(1 << 20)
	unsynced := 0
	for i := range 20 {
		fill(text, uint64(rows+i))
		a, err := srv.do(http.MethodPost, "/api/v3/write_lp", url.Values{"db": {"db"}, "no_sync": {"true"}, "precision": {"nanosecond"}},
			fmt.Appendf(nil, "m,w=y v=1i,s=\"%s\" %d", text, i))
		if err != nil || a.status != http.StatusNoContent {
			t.Fatalf("%v %d %.200s", err, a.status, a.body)
		}
		unsynced++
	}
	srv.stop()
	v.throttle(0)
	if err := v.cutPower(); err != nil {
		t.Fatal(err)
	}
	v.unmount()
	v.mount()
	srv = s.start()
	if n := srv.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != rows+unsynced {
		t.Errorf("%d points are there, %d were acknowledged before an orderly stop", n, rows+unsynced)
	}
	srv.kill()
	v.unmount()
}
