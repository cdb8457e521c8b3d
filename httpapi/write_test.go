package httpapi

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

func TestWriteIsAnsweredInCoresWords(t *testing.T) {
	const path = "/api/v3/write_lp"
	cases := []struct {
		name, query, body string
		status            int
		want              string
	}{
		{"success", "?db=a", "cpu,host=a v=1 1\ncpu,host=b v=2", 204, ""},
		{"all parameters", "?db=a&precision=s&accept_partial=true&no_sync=true", "cpu v=1 1", 204, ""},
		{
			"partial", "?db=a", "cpu,host=a v=1\ncpu,host=a val= 123\n\ncpu,host=c v=3", 400,
			`{"error":"partial write of line protocol occurred","data":[{"error_message":"No fields were provided","line_number":2,"original_line":"cpu,host=a val= 123"}]}`,
		},
		{
			"one bad line rejects all", "?db=a&accept_partial=false", "cpu v=1\ncpu,host=a val= 123", 400,
			`{"error":"parsing failed for write_lp endpoint","data":{"error_message":"No fields were provided","line_number":2,"original_line":"cpu,host=a val= 123"}}`,
		},
		{
			"type conflict", "?db=a", `cpu v="text"`, 400,
			`{"error":"partial write of line protocol occurred","data":[{"error_message":"invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::field::string","line_number":1,"original_line":"cpu v=\"text\""}]}`,
		},
		{"empty", "?db=a", "", 400, `{"error":"incoming write was empty"}`},
		{"comments only", "?db=a", "# nothing\n\n", 400, `{"error":"incoming write was empty"}`},
		{"no query string", "", "cpu v=1", 400, `{"error":"missing query parameter 'db'"}`},
		{"no db", "?precision=s", "cpu v=1", 400, "{\"error\":\"serde error: missing field `db`\"}"},
		{"bad query string", "?db=%zz", "cpu v=1", 400, `{"error":"malformed query string: invalid URL escape \"%zz\""}`},
		{
			"unknown precision", "?db=a&precision=h", "cpu v=1", 400,
			"{\"error\":\"serde error: unknown variant `h`, expected one of `auto`, `second`, `millisecond`, `microsecond`, `nanosecond`\"}",
		},
		{
			"bad bool", "?db=a&accept_partial=1", "cpu v=1", 400,
			"{\"error\":\"serde error: provided string was not `true` or `false`: accept_partial=1\"}",
		},
		{
			"bad no_sync", "?db=a&no_sync=yes", "cpu v=1", 400,
			"{\"error\":\"serde error: provided string was not `true` or `false`: no_sync=yes\"}",
		},
		{"bad database name", "?db=_a", "cpu v=1", 400, `{"error":"db name did not start with a number or letter"}`},
		{"empty database name", "?db=", "cpu v=1", 400, `{"error":"db name cannot be empty"}`},
	}
	s := newSite(t, Options{}, true)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.post(path+c.query, c.body).is(t, c.status, c.want)
		})
	}
}

func TestAnswerCountsPoints(t *testing.T) {
	s := newSite(t, Options{}, true)
	for _, c := range []struct{ query, body, accepted, rejected string }{
		{"", "cpu v=1\ncpu v=2", "2", "0"},
		{"", "cpu v=1\nbad\nbad", "1", "2"},
		{"&accept_partial=false", "cpu v=1\nbad\nbad", "0", "3"},
	} {
		a := s.post("/api/v3/write_lp?db=a"+c.query, c.body)
		if got := a.Header.Get(AcceptedHeader); got != c.accepted {
			t.Errorf("%q: %s accepted, want %s", c.body, got, c.accepted)
		}
		if got := a.Header.Get(RejectedHeader); got != c.rejected {
			t.Errorf("%q: %s rejected, want %s", c.body, got, c.rejected)
		}
	}
}

// TestLimitOfTheCatalogIs422: the line is fine, the server has no room for its columns.
func TestLimitOfTheCatalogIs422(t *testing.T) {
	s := newSite(t, Options{}, true)
	var line strings.Builder
	line.WriteString("wide f0=1")
	for i := 1; i <= 20_000; i++ {
		fmt.Fprintf(&line, ",f%d=1", i)
	}
	for _, partial := range []string{"true", "false"} {
		a := s.post("/api/v3/write_lp?db=a&accept_partial="+partial, line.String())
		if a.StatusCode != 422 || !strings.Contains(a.text, "number of columns per table limit") {
			t.Errorf("accept_partial=%s: %s %.200s", partial, a.Status, a.text)
		}
	}
}

func TestRequestSizeIsLimited(t *testing.T) {
	s := newSite(t, Options{MaxRequestBytes: 1000}, true)
	lines := strings.Repeat("cpu v=1\n", 200)
	const want = `{"error":"max request size (1000 bytes) exceeded"}`
	s.post("/api/v3/write_lp?db=a", lines).is(t, 413, want)
	s.post("/api/v3/write_lp?db=a", gzipped(t, lines), "Content-Encoding", "gzip").is(t, 413, want)
	s.post("/api/v3/query_sql", `{"db":"a","q":"`+lines+`"}`).is(t, 413, want)
	s.post("/api/v3/write_lp?db=a", lines[:800]).is(t, 204, "")
	s.post("/api/v3/write_lp?db=a", gzipped(t, lines[:800]), "Content-Encoding", "gzip").is(t, 204, "")
}

// TestTooLargeABodyIsRefusedBeforeItIsSent: a client that asks first is told at once.
func TestTooLargeABodyIsRefusedBeforeItIsSent(t *testing.T) {
	s := newSite(t, Options{MaxRequestBytes: 1000}, true)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v3/write_lp?db=a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
	buf := make([]byte, 16)
	if _, err := io.ReadFull(conn, buf); err != nil || !strings.HasPrefix(string(buf), "HTTP/1.1 413") {
		t.Errorf("answered %q, %v", buf, err)
	}
}

// TestBodyThatEndsEarlyStoresNothing: half a body must not be taken for a whole one.
func TestBodyThatEndsEarlyStoresNothing(t *testing.T) {
	s := newSite(t, Options{}, true)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/v3/write_lp?db=half HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\ncpu v=1\n")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 400") {
		t.Errorf("answered %q, %v", text, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s.get("/api/v3/query_sql?db=half&q=SELECT+1").is(t, 404, `{"error":"query error: database not found: half"}`)
}

func TestFlushAnswersWithNothing(t *testing.T) {
	s := newSite(t, Options{}, true)
	s.write("cpu v=1 1")
	s.post("/api/v3/flush", "").is(t, 204, "")
}

// TestLongLinesAreCutBetweenCharacters in answers; the rejected-points log has all of it.
func TestLongLinesAreCutBetweenCharacters(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", n) }
	for line, want := range map[string]string{
		"short":                         "short",
		fill(1024):                      fill(1024),
		fill(1023) + "\xc3":             fill(1023), // half an é
		fill(1022) + "é":                fill(1022) + "é",
		fill(1021) + "€":                fill(1021) + "€",
		fill(1022) + "\xe2\x82":         fill(1022),
		fill(1021) + "\xf0\x9f\x98":     fill(1021),
		fill(1020) + "\x80\x80\x80\x80": fill(1020) + "\x80\x80\x80\x80", // no character at all
	} {
		if got := firstBytes(line, engine.MaxOriginalBytes); got != want {
			t.Errorf("%q is cut to %q, want %q", line[max(0, len(line)-8):], got[max(0, len(got)-8):], want[max(0, len(want)-8):])
		}
	}
	if got := firstBytes("cpu,host=é,region=é val= 123", coreOriginalBytes); got != "cpu,host=é,region=" {
		t.Errorf("InfluxDB 3 cuts after 20 bytes, and we got %q", got)
	}
}
