//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var overload = flag.Duration("overload", 0, "how long each kind of overload lasts; 0 sends a few kinds for a moment")

// burst is a load that a server cannot take as fast as it comes.
type burst struct {
	name    string
	writers int
	gzip    bool
	once    bool // all bodies are the same
	// body makes the n-th body of a writer: its database, its lines, and how many rows they are.
	body func(rng *rand.Rand, writer, n int) (db string, lines []byte, rows int)
	// count asks for the rows of all that was acknowledged.
	count string
	limit int // bodies of a writer, 0 for as many as it can send
}

const bodyBytes = 9 << 20

// linesOf repeats a line until the body is large.
func linesOf(size int, line func(b []byte, i int) []byte) ([]byte, int) {
	b, n := make([]byte, 0, size+1024), 0
	for ; len(b) < size; n++ {
		b = line(b, n)
	}
	return b, n
}

// bursts are the loads that take the most memory for their length, each in another place.
var bursts = []burst{
	{
		name: "a new series in each line", writers: 8, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "m,h=%d-%d-%d v=%di %d\n", w, n, i, i, i)
			})
			return "db", b, rows
		},
	},
	{
		name: "long tag values", writers: 8, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "m,a=%d-%d-%d,b=%s v=%di %d\n", w, n, i, noise(rng, 1000), i, i)
			})
			return "db", b, rows
		},
	},
	{
		name: "random numbers", writers: 8, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "m,w=%d a=%v,b=%v,c=%v,d=%v %d\n", w, rng.Float64(), rng.Float64(), rng.Float64(), rng.Float64(), n*1_000_000+i)
			})
			return "db", b, rows
		},
	},
	{
		name: "the shortest lines", writers: 8, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes/2, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "m v=1 %d\n", w*1_000_000_000+n*1_000_000+i)
			})
			return "db", b, rows
		},
	},
	{
		name: "long strings", writers: 8, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes, func(b []byte, i int) []byte {
				b = fmt.Appendf(b, "m,w=%d s=\"", w)
				b = append(b, noise(rng, 16_000)...)
				return fmt.Appendf(b, "\" %d\n", n*1_000_000+i)
			})
			return "db", b, rows
		},
	},
	{
		name: "a new table in each line", writers: 4, limit: 4,
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(100<<10, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "t%d_%d_%d v=%di 1\n", w, n, i, i)
			})
			return "db", b, rows
		},
	},
	{
		name: "a day in each line", writers: 4, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(256<<10, func(b []byte, i int) []byte {
				return fmt.Appendf(b, "m,w=%d v=%di %d\n", w, i, int64(i)*86_400_000_000_000+int64(n))
			})
			return "db", b, rows
		},
	},
	{
		name: "ten thousand columns", writers: 4, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, rows := linesOf(bodyBytes, func(b []byte, i int) []byte {
				b = fmt.Appendf(b, "m,w=%d ", w)
				for c := range 9_000 {
					b = fmt.Appendf(b, "c%d=%d,", c, rng.IntN(1000))
				}
				return fmt.Appendf(b, "z=1 %d\n", n*1_000_000+i)
			})
			return "db", b, rows
		},
	},
	{
		name: "bad lines", writers: 8,
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			b, _ := linesOf(bodyBytes, func(b []byte, i int) []byte { return append(b, "x\n"...) })
			return "db", b, 0
		},
	},
	{
		name: "a thousand writers", writers: 1000, gzip: true, once: true, count: "SELECT count(*) AS n FROM m",
		body: func(rng *rand.Rand, w, n int) (string, []byte, int) {
			same := thousand()
			return "db", same.lines, same.rows
		},
	},
}

// thousand is what the thousand writers send, all of them the same.
var thousand = sync.OnceValue(func() (s struct {
	lines []byte
	rows  int
},
) {
	s.lines, s.rows = linesOf(bodyBytes, func(b []byte, i int) []byte { return fmt.Appendf(b, "m v=1 %d\n", i) })
	s.lines = compressed(s.lines)
	return s
})

// letters have nothing that repeats.
var letters = sync.OnceValue(func() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return b
})

// noise is n letters.
func noise(rng *rand.Rand, n int) []byte {
	from := rng.IntN(len(letters()) - n)
	return letters()[from : from+n]
}

// overloaded is a burst under way.
type overloaded struct {
	burst
	srv                      *server
	accepted                 atomic.Int64
	stored, refused, queries atomic.Int64
	slowest                  atomic.Int64 // query, in nanoseconds
}

// write sends bodies until the end, each until it is stored.
func (o *overloaded) write(writer int, end time.Time) error {
	rng := rand.New(rand.NewPCG(uint64(writer), 1))
	for n := 0; (o.limit == 0 || n < o.limit) && time.Now().Before(end); n++ {
		db, lines, rows := o.body(rng, writer, n)
		header := []string{}
		if o.gzip {
			header = []string{"Content-Encoding", "gzip"}
		}
		if err := o.send(db, lines, header, rows, end); err != nil {
			return err
		}
	}
	return nil
}

func (o *overloaded) send(db string, lines []byte, header []string, rows int, end time.Time) error {
	for time.Now().Before(end) {
		a, err := o.srv.do(http.MethodPost, "/api/v3/write_lp", url.Values{"db": {db}, "precision": {"nanosecond"}}, lines, header...)
		switch {
		case err != nil:
			return err
		case a.status == http.StatusNoContent, rows == 0 && a.status == http.StatusBadRequest:
			if o.once {
				o.accepted.Store(int64(rows))
			} else {
				o.accepted.Add(int64(rows))
			}
			o.stored.Add(1)
			return nil
		case a.status == http.StatusRequestEntityTooLarge && o.gzip:
			return nil
		case a.status == http.StatusRequestEntityTooLarge && rows > 1: // as the answer says
			half := len(lines)/2 + bytes.IndexByte(lines[len(lines)/2:], '\n') + 1
			first := bytes.Count(lines[:half], []byte("\n"))
			if err := o.send(db, lines[:half], header, first, end); err != nil {
				return err
			}
			lines, rows = lines[half:], rows-first
			continue
		case a.status != http.StatusServiceUnavailable, a.header.Get("Retry-After") == "":
			return fmt.Errorf("answered %d, Retry-After %q, %.300s", a.status, a.header.Get("Retry-After"), a.body)
		}
		o.refused.Add(1)
		time.Sleep(20 * time.Millisecond) // a tenth of what a client should wait
	}
	return nil
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// ask asks until the end.
func (o *overloaded) ask(end time.Time) error {
	for time.Now().Before(end) {
		begin := time.Now()
		if _, err := o.srv.ask("other", "SELECT count(*) AS n, max(v) AS v FROM small"); err != nil {
			return err
		}
		o.queries.Add(1)
		if took := int64(time.Since(begin)); took > o.slowest.Load() {
			o.slowest.Store(took)
		}
	}
	return nil
}

func (o *overloaded) run() error {
	end := time.Now().Add(cmp.Or(*overload, shortOverload))
	errs := make(chan error, o.writers+1)
	var clients sync.WaitGroup
	for w := range o.writers {
		clients.Go(func() { errs <- o.write(w, end) })
	}
	clients.Go(func() { errs <- o.ask(end) })
	clients.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// TestOverloadStaysWithinMemory shows X14: a server in a control group with little memory
// gets more than it can take, of each kind. By default that is one kind in each group;
// with -overload 60s it is all of them, for a minute each.
func TestOverloadStaysWithinMemory(t *testing.T) {
	for i, c := range []struct {
		limitMiB int64 // of the control group
		pool     string
	}{
		{512, "20%"}, // the default
		{512, "128MB"},
		{256, "20%"},
		{1024, "20%"},
	} {
		t.Run(fmt.Sprintf("%d MiB, a pool of %s", c.limitMiB, c.pool), func(t *testing.T) {
			for k, b := range bursts {
				if *overload > 0 || k%len(bursts) == shortBursts[i] {
					t.Run(b.name, func(t *testing.T) { overloadIn(t, b, c.limitMiB<<20, c.pool) })
				}
			}
		})
	}
}

// shortBursts are the kinds of load that a short run sends, by group.
var shortBursts = []int{0, 4, 1, 9}

// shortOverload is how long a short run sends each.
const shortOverload = 3 * time.Second

func overloadIn(t *testing.T, b burst, limit int64, pool string) {
	group := newMemoryGroup(t, limit)
	s := newSite(t)
	s.wrapper = group.enter()
	srv := s.start("--exec-mem-pool-bytes", pool)
	idle := srv.peakBytes()
	srv.write("other", "small v=1 1\n")
	// A server has a connection for each 512 KiB of memory; the longest idle ones make room.
	b.writers = min(b.writers, int(limit>>19)-50)
	srv.http.CloseIdleConnections()
	srv.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.writers + 1, MaxConnsPerHost: b.writers + 1}, Timeout: patience}
	o := &overloaded{burst: b, srv: srv}
	if err := o.run(); err != nil {
		t.Errorf("%v; %d processes were killed for lack of memory, peak %d MiB", err, group.kills(), srv.peakBytes()>>20)
	}
	o.mustAgree(t, srv, "after the overload")
	peak := srv.peakBytes()
	srv.kill()
	begin := time.Now()
	srv = s.start("--exec-mem-pool-bytes", pool)
	restart := time.Since(begin)
	o.mustAgree(t, srv, "after a kill")
	if n := group.kills(); n != 0 {
		t.Errorf("the kernel killed %d processes for lack of memory", n)
	}
	t.Logf("%s: %d bodies stored, %d refused, %d rows; %d queries beside them, the slowest in %s; %d MiB idle, at most %d MiB, after a restart of %s %d MiB",
		b.name, o.stored.Load(), o.refused.Load(), o.accepted.Load(), o.queries.Load(), time.Duration(o.slowest.Load()).Round(time.Millisecond),
		idle>>20, peak>>20, restart.Round(time.Millisecond), srv.peakBytes()>>20)
	t.Logf("figures: bodies=%d refused=%d rows=%d", o.stored.Load(), o.refused.Load(), o.accepted.Load())
}

// mustAgree counts what was acknowledged.
func (o *overloaded) mustAgree(t *testing.T, srv *server, when string) {
	t.Helper()
	if o.count == "" || o.accepted.Load() == 0 {
		return
	}
	rows, err := srv.ask("db", o.count)
	switch {
	case err != nil && strings.Contains(err.Error(), "status 422"):
		// Merging what overlaps may take more than queries have in such a server; it says so.
		t.Logf("%s: %v", when, err)
	case err != nil:
		t.Errorf("%s: %v", when, err)
	case int64(rows[0].number("n")) != o.accepted.Load():
		t.Errorf("%s there are %d rows; %d were acknowledged", when, int64(rows[0].number("n")), o.accepted.Load())
	}
}

// TestKilledForLackOfMemoryLosesNothing has the kernel kill the server in the middle of
// writes, as it does when a group's memory is used up, and counts what was acknowledged.
func TestKilledForLackOfMemoryLosesNothing(t *testing.T) {
	const enough = 512 << 20
	group := newMemoryGroup(t, enough)
	s := newSite(t)
	s.wrapper = group.enter()
	srv := s.start("--exec-mem-pool-bytes", "128MB")
	var acknowledged, submitted int64
	for killed := false; !killed; {
		var body bytes.Buffer
		for range 1000 {
			fmt.Fprintf(&body, "m v=%di %d\n", submitted, submitted)
			submitted++
		}
		a, err := srv.post("db", body.Bytes())
		switch {
		case err != nil:
			killed = true // or that is what the next lines find out
		case a.status != http.StatusNoContent:
			t.Fatalf("answered %d %.300s", a.status, a.body)
		default:
			acknowledged = submitted
		}
		if submitted == 50_000 {
			defer group.squeeze(srv, enough)()
		}
		if submitted > 10_000_000 {
			t.Fatal("nothing was killed")
		}
	}
	<-srv.exited
	if group.kills() == 0 {
		t.Fatalf("the server ended by itself: %s", srv.cmd.ProcessState)
	}
	srv = s.start("--exec-mem-pool-bytes", "128MB")
	n := int64(srv.query("db", "SELECT count(*) AS n FROM m")[0].number("n"))
	if n != acknowledged && n != submitted {
		t.Errorf("there are %d rows; %d were acknowledged, %d submitted", n, acknowledged, submitted)
	}
}
