//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hostileFor is how long TestEverythingAtOnce goes on.
var hostileFor = flag.Duration("hostile-for", 5*time.Second, "how long TestEverythingAtOnce goes on")

// hostileRequest must be answered with one of statuses, within the time; 503 may always be, with Retry-After.
type hostileRequest struct {
	name, method, path string
	params             url.Values
	body               []byte
	header             []string
	statuses           []int
}

// pack compresses n bytes that are all the same.
func pack(n int, open func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := open(&out)
	piece := bytes.Repeat([]byte("#"), 1<<20)
	for range n >> 20 {
		if _, err := w.Write(piece); err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func toGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func toZstd(options ...zstd.EOption) func(w io.Writer) io.WriteCloser {
	return func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, options...)
		if err != nil {
			panic(err) // the options are constants
		}
		return z
	}
}

// bombs are small bodies that want to be large.
func bombs() []hostileRequest {
	const size = 64 << 20
	once := pack(size, toGzip)
	var nested bytes.Buffer
	w := gzip.NewWriter(&nested)
	_, _ = w.Write(once)
	_ = w.Close()
	var empty bytes.Buffer
	_ = gzip.NewWriter(&empty).Close()
	var all []hostileRequest
	for _, b := range []struct {
		name, encoding string
		body           []byte
		statuses       []int
	}{
		{"gzip", "gzip", once, []int{413}},
		{"zstd", "zstd", pack(size, toZstd()), []int{413}},
		{"deflate", "deflate", pack(size, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }), []int{413}},
		{"nested gzip", "gzip", nested.Bytes(), []int{400}},
		{"gzip said to be nested", "gzip, gzip", nested.Bytes(), []int{400}},
		{"many members", "gzip", bytes.Repeat(pack(1<<20, toGzip), 200), []int{413}},
		{"empty members", "gzip", bytes.Repeat(empty.Bytes(), 400_000), []int{400, 413}},
		{"wide window", "zstd", pack(64<<20, toZstd(zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(true))), []int{400, 413}},
	} {
		all = append(all, hostileRequest{name: b.name, method: http.MethodPost, path: "/api/v3/write_lp", params: url.Values{"db": {"bombs"}}, body: b.body, header: []string{"Content-Encoding", b.encoding}, statuses: b.statuses})
	}
	return all
}

// hostileLines are bodies of line protocol.
func hostileLines() []hostileRequest {
	keys := func(n int, format, between string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteString(between)
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	var all []hostileRequest
	for name, body := range map[string]string{
		"10 MB without newline":   strings.Repeat("x", 10<<20-1),
		"10 MB of a tag":          "m,t=" + strings.Repeat("x", 10<<20-100) + " v=1 1",
		"10 MB of a string":       `m v="` + strings.Repeat("x", 10<<20-100) + `" 1`,
		"10 MB of escapes":        "m,t=" + strings.Repeat(`\ `, 5<<20-100) + " v=1 1",
		"10 MB of backslashes":    `m v="` + strings.Repeat(`\\`, 5<<20-100) + `" 1`,
		"10 MB of quotes":         strings.Repeat(`"`, 10<<20-1),
		"10 MB of newlines":       strings.Repeat("\n", 10<<20-1),
		"1 million bad lines":     strings.Repeat("x\n", 1<<20),
		"100,000 fields":          "m " + keys(100_000, "f%d=1", ",") + " 1",
		"100,000 tags":            "m," + keys(100_000, "t%d=x", ",") + " v=1 1",
		"100,000 equal fields":    "m " + keys(100_000, "f=%d", ",") + " 1",
		"100,000 equal tags":      "m," + keys(100_000, "t=%d", ",") + " v=1 1",
		"100,000 columns in rows": keys(100_000, "m f%d=1 1", "\n"),
		"a number of 1 MB":        "m v=" + strings.Repeat("9", 1<<20) + " 1",
		"an integer of 1 MB":      "m v=" + strings.Repeat("9", 1<<20) + "i 1",
		"an exponent of 1 MB":     "m v=1e" + strings.Repeat("9", 1<<20) + " 1",
		"a time of 1 MB":          "m v=1 " + strings.Repeat("9", 1<<20),
		"commas":                  "m" + strings.Repeat(",", 1<<20) + " v=1 1",
		"equals signs":            "m " + strings.Repeat("=", 1<<20) + " 1",
	} {
		all = append(all, hostileRequest{name: name, method: http.MethodPost, path: "/api/v3/write_lp", params: url.Values{"db": {"lines"}}, body: []byte(body), statuses: []int{204, 400, 413, 422}})
	}
	return all
}

// hostileQueries are deep, long or many.
func hostileQueries() []hostileRequest {
	var all []hostileRequest
	nest := func(open, middle, end string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	sql := map[string]string{
		"parentheses": "SELECT " + nest("(", "1", ")", 10_000),
		"subqueries":  "SELECT * FROM " + nest("(SELECT * FROM ", "m", ")", 500),
		"ORs":         "SELECT * FROM m WHERE " + strings.Repeat("v = 1 OR ", 10_000) + "v = 2",
		"unions":      strings.Repeat("SELECT 1 UNION ALL ", 10_000) + "SELECT 1",
		"CTEs":        "WITH " + strings.Repeat("a AS (SELECT 1), ", 10_000) + "b AS (SELECT 1) SELECT 1",
		"chained CTEs": "WITH c0 AS (SELECT 1 AS x)" + func() (s string) {
			for i := range 40 {
				s += fmt.Sprintf(", c%d AS (SELECT a.x FROM c%d a, c%d b)", i+1, i, i)
			}
			return s
		}() + " SELECT count(*) FROM c40",
		"1 MB":          "SELECT '" + strings.Repeat("x", 1<<20) + "'",
		"minus signs":   "SELECT " + strings.Repeat("- ", 50_000) + "1",
		"NOTs":          "SELECT " + strings.Repeat("NOT ", 50_000) + "true",
		"casts":         "SELECT 1" + strings.Repeat("::INT", 40_000),
		"brackets":      "SELECT " + nest("[", "1", "]", 5_000),
		"CASEs":         "SELECT " + nest("CASE WHEN true THEN ", "1", " END", 2_000),
		"IN list":       "SELECT * FROM m WHERE v IN (" + strings.Repeat("1,", 100_000) + "1)",
		"columns":       "SELECT " + strings.Repeat("1,", 100_000) + "1",
		"joins":         "SELECT count(*) FROM m" + strings.Repeat(" JOIN m USING (time)", 200),
		"quotes":        "SELECT " + strings.Repeat(`"`, 100_001),
		"comments":      strings.Repeat("/*", 100_000),
		"NULs":          "SELECT 1" + strings.Repeat("\x00", 1000),
		"invalid UTF-8": "SELECT '\xff\xfe'",
		"regex":         "SELECT regexp_matches(repeat('a', 60000), '(a+)+$b')",
		"long regex":    "SELECT regexp_matches('a', '" + strings.Repeat("(a|b)*", 10_000) + "')",
		"counted regex": "SELECT regexp_matches('a', '((((a{1,100}){1,100}){1,100}){1,100})')",
		"repeat":        "SELECT repeat('x', 2000000000)",
		"nested calls":  "SELECT " + nest("date_bin_gapfill(INTERVAL '1 s', ", "time", ")", 100) + " FROM m",
	}
	for name, text := range sql {
		body, _ := json.Marshal(map[string]string{"db": "hostile", "q": text})
		all = append(all, hostileRequest{name: "SQL " + name, method: http.MethodPost, path: "/api/v3/query_sql", body: body, header: []string{"Content-Type", "application/json"}, statuses: []int{200, 400, 413, 422, 504}})
	}
	influxQL := map[string]string{
		"parentheses":   "SELECT " + nest("(", "v", ")", 10_000) + " FROM m",
		"subqueries":    "SELECT * FROM " + nest("(SELECT * FROM ", "m", ")", 1_000),
		"ORs":           "SELECT * FROM m WHERE " + strings.Repeat("v = 1 OR ", 20_000) + "v = 2",
		"statements":    strings.Repeat("SHOW DATABASES;", 20_000),
		"selects":       strings.Repeat("SELECT v FROM m;", 20_000),
		"regex":         "SELECT v FROM m WHERE host =~ /(a+)+$/",
		"long regex":    "SELECT v FROM m WHERE host =~ /" + strings.Repeat("(a|b)*", 10_000) + "/",
		"counted regex": "SELECT v FROM m WHERE host =~ /((((a{1,100}){1,100}){1,100}){1,100})/",
		"broken regex":  "SELECT v FROM m WHERE host =~ /(((/",
		"buckets":       "SELECT mean(v) FROM m WHERE time >= 0 AND time < 9000000000000000000 GROUP BY time(1ns) fill(0)",
		"minus signs":   "SELECT " + strings.Repeat("-", 50_000) + "v FROM m",
		"columns":       "SELECT " + strings.Repeat("v,", 50_000) + "v FROM m",
		"NULs":          strings.Repeat("\x00", 1000),
		"invalid UTF-8": "SELECT v FROM \"\xff\xfe\"",
	}
	for name, text := range influxQL {
		all = append(all, hostileRequest{name: "InfluxQL " + name, method: http.MethodPost, path: "/query", body: []byte(url.Values{"db": {"hostile"}, "q": {text}}.Encode()), header: []string{"Content-Type", "application/x-www-form-urlencoded"}, statuses: []int{200, 400, 413, 422, 504}})
	}
	deep := []byte(nest("[", "1", "]", 1_000_000))
	many := url.Values{"db": {"hostile"}, "q": {"SELECT v FROM m LIMIT 1"}}
	for i := range 3_000 {
		many.Set(fmt.Sprint("p", i), "1")
	}
	for name, body := range map[string][]byte{"deep JSON": deep, "deep objects": []byte(nest(`{"a":`, "1", "}", 500_000)), "deep params": []byte(`{"db":"hostile","q":"SELECT 1","params":` + nest("[", "1", "]", 100_000) + `}`), "no JSON": []byte(strings.Repeat(`"`, 1<<20)), "huge number": []byte(`{"db":"hostile","q":"SELECT $a","params":{"a":` + strings.Repeat("9", 1<<20) + `}}`)} {
		for _, path := range []string{"/api/v3/query_sql", "/api/v3/query_influxql", "/api/v3/configure/database", "/api/v3/configure/table", "/api/v3/rejected/retry"} {
			all = append(all, hostileRequest{name: name + " to " + path, method: http.MethodPost, path: path, body: body, header: []string{"Content-Type", "application/json"}, statuses: []int{200, 400, 404, 409, 413, 422}})
		}
	}
	return append(all, hostileRequest{name: "3,000 parameters", method: http.MethodGet, path: "/query", params: many, statuses: []int{200, 400, 431}})
}

// send sends one and says what is wrong with its answer.
func (s *server) send(r hostileRequest) error {
	begin := time.Now()
	a, err := s.do(r.method, r.path, r.params, r.body, r.header...)
	took := time.Since(begin).Round(time.Millisecond)
	if err != nil {
		return fmt.Errorf("%s: after %s: %w", r.name, took, err)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" {
		return nil
	}
	for _, status := range r.statuses {
		if a.status == status {
			if a.status >= 400 && !json.Valid([]byte(a.body)) {
				return fmt.Errorf("%s: %d without JSON: %.200s", r.name, a.status, a.body)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: answered %d after %s, not one of %v: %.300s", r.name, a.status, took, r.statuses, a.body)
}

// allHostile are the requests of this file.
func allHostile() []hostileRequest {
	return append(append(bombs(), hostileLines()...), hostileQueries()...)
}

// oneByOne is the time of a processor that one of them may cost; a second or two without the debris of a
// busy machine.
const oneByOne = 10 * time.Second

// TestHostileRequestsOneByOne: each has an answer soon, and the next client is served.
func TestHostileRequestsOneByOne(t *testing.T) {
	needsProc(t)
	srv := newSite(t).start("--query-timeout", "5s")
	srv.write("hostile", "m,host=a v=1 1\n")
	var dearest time.Duration
	var which string
	for _, r := range allHostile() {
		before := srv.processorTime()
		if err := srv.send(r); err != nil {
			t.Error(err)
		}
		cost := srv.processorTime() - before
		if cost > dearest {
			dearest, which = cost, r.name
		}
		if cost > oneByOne {
			t.Errorf("%s costs %s", r.name, cost)
		}
	}
	t.Logf("the dearest, %s, costs %s; %d MiB are resident", which, dearest, srv.residentBytes()>>20)
	if rows := srv.query("hostile", "SELECT v FROM m WHERE host = 'a'"); len(rows) != 1 {
		t.Errorf("afterwards the row is %v", rows)
	}
}

// TestLargeFlightTickets are refused, and the server goes on.
func TestLargeFlightTickets(t *testing.T) {
	srv := newSite(t).start()
	srv.write("db", "m v=1 1\n")
	for _, size := range []int{1 << 20, 16 << 20} {
		_, err := srv.askFlight("db", "sql", "SELECT '"+strings.Repeat("x", size)+"'")
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.ResourceExhausted {
			t.Errorf("a ticket of %d bytes: %.300v", size, err)
		}
	}
	if rows, err := srv.askFlight("db", "sql", "SELECT v FROM m"); err != nil {
		t.Errorf("afterwards: %v, %v", rows, err)
	}
}

// TestBombsAtOnce: fifty of each kind together take bounded memory.
func TestBombsAtOnce(t *testing.T) {
	needsProc(t)
	drawn, _ := drawnSeed(t, "")
	srv := newSite(t).start()
	rss := srv.residentBytes()
	good := srv.stand(drawn, func(b *bystanders) { b.mayBeRefused = true })
	all := bombs()
	var clients sync.WaitGroup
	for range 50 {
		for _, r := range all {
			clients.Go(func() {
				if err := srv.send(r); err != nil {
					t.Error(err)
				}
			})
		}
	}
	clients.Wait()
	good.leave(t, rss+768<<20)
}

// TestEverythingAtOnce lets hostile clients of all kinds loose beside a writer and a reader, and checks the
// ledger at the end.
func TestEverythingAtOnce(t *testing.T) {
	needsProc(t)
	raiseOpenFiles(t, *idleConnections+*slowConnections+500)
	drawn, _ := drawnSeed(t, fmt.Sprintf(" -hostile-for %s", *hostileFor))
	srv := newSite(t).start("--query-timeout", "10s")
	srv.write("hostile", "m,host=a v=1 1\n")
	good := srv.stand(drawn, func(b *bystanders) { b.mayBeRefused = true })
	d := &dialer{srv: srv}
	defer d.close()
	stop := make(chan struct{})
	for i := range *idleConnections + *slowConnections {
		c, err := d.dial()
		if err != nil {
			t.Fatal(err)
		}
		if i < *slowConnections {
			kind := slowly[i%len(slowly)]
			go func() { _, _ = trickle(c, kind.at, kind.slow, time.Hour, stop) }()
		}
	}
	all := allHostile()
	end := time.Now().Add(*hostileFor)
	var clients sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	for client := range 4 {
		rng := rand.New(rand.NewPCG(drawn, uint64(client)+1))
		clients.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				if err := srv.send(all[rng.IntN(len(all))]); err != nil {
					t.Error(err)
				}
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	close(stop)
	t.Logf("figures: hostile_requests=%d", sent)
	good.leave(t, 2<<30)
}
