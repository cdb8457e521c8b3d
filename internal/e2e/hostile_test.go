//go:build duckdb_arrow

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bystanders write and ask while others misbehave. Each of their requests must succeed.
type bystanders struct {
	srv     *server
	writer  *ledger
	refused int // writes that were answered 503 with Retry-After, which are repeated
	again   int // requests on connections that were closed for want of room, likewise

	mu             sync.Mutex
	writes, reads  []time.Duration
	ended          chan struct{}
	once           sync.Once // of closing it
	clients        sync.WaitGroup
	mostRSS        int64
	mostFiles      int
	mayBeRefused   bool
	mayBeCut       bool // for want of room, when it rests
	openFilesFirst int
}

// bystandersDB holds what the reader asks for; the writer writes to ledgerDB.
const bystandersDB = "bystanders"

// stand starts a writer, a reader and a watcher of the process. They end with the test.
func (s *server) stand(drawn uint64, change func(*bystanders)) *bystanders {
	s.site.t.Helper()
	b := &bystanders{srv: s, writer: newLedger(0), ended: make(chan struct{}), openFilesFirst: s.openFiles()}
	change(b)
	b.writer.rng = rand.New(rand.NewPCG(drawn, 0))
	s.write(bystandersDB, "m,host=a v=1 1\nm,host=b v=2 2\n")
	b.clients.Go(func() { b.repeat(&b.writes, b.writeOnce) })
	b.clients.Go(func() { b.repeat(&b.reads, b.readOnce) })
	b.clients.Go(b.watch)
	s.site.t.Cleanup(b.end)
	return b
}

// strict wants every request to succeed at once.
func strict(*bystanders) {}

// pace is how often a bystander sends something; what it measures is not its own load.
const pace = 10 * time.Millisecond

func (b *bystanders) repeat(took *[]time.Duration, once func() error) {
	for {
		select {
		case <-b.ended:
			return
		case <-time.After(pace):
		}
		begin := time.Now()
		err := once()
		var cut *url.Error
		for tries := 0; tries < 3 && b.mayBeCut && errors.As(err, &cut) && !cut.Timeout(); tries++ {
			b.mu.Lock()
			b.again++
			b.mu.Unlock()
			err = once()
		}
		if err != nil {
			b.srv.site.t.Errorf("a bystander after %s: %v", time.Since(begin), err)
			return
		}
		b.mu.Lock()
		*took = append(*took, time.Since(begin))
		b.mu.Unlock()
	}
}

func (b *bystanders) writeOnce() error {
	l := b.writer
	body, submitted := l.request(novelties{"new", "n"})
	for {
		a, err := b.srv.post(ledgerDB, body)
		for tries := 0; tries < 3 && err != nil && b.mayBeCut; tries++ {
			a, err = b.srv.post(ledgerDB, body)
		}
		switch {
		case err != nil:
			return err
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && b.mayBeRefused:
			b.refused++
			continue
		case a.status != http.StatusNoContent:
			return fmt.Errorf("a write is answered %d %.300s", a.status, a.body)
		}
		for id, fields := range submitted {
			l.book(id, fields)
		}
		return nil
	}
}

func (b *bystanders) readOnce() error {
	rows, err := b.srv.ask(bystandersDB, "SELECT host, sum(v) AS v FROM m GROUP BY host ORDER BY host")
	if err == nil && len(rows) != 2 {
		err = fmt.Errorf("the answer is %v", rows)
	}
	return err
}

// watch notes how much the process takes.
func (b *bystanders) watch() {
	for {
		select {
		case <-b.ended:
			return
		case <-time.After(5 * pace):
			b.mostRSS = max(b.mostRSS, b.srv.residentBytes())
			b.mostFiles = max(b.mostFiles, b.srv.openFiles())
		}
	}
}

// end stops them.
func (b *bystanders) end() {
	b.once.Do(func() { close(b.ended) })
	b.clients.Wait()
}

// leave ends them, checks that nothing of what they wrote is lost, and says how it went.
func (b *bystanders) leave(t *testing.T, mostRSS int64) {
	t.Helper()
	b.end()
	if len(b.writes) == 0 || len(b.reads) == 0 {
		t.Errorf("bystanders made %d writes and %d reads", len(b.writes), len(b.reads))
		return
	}
	t.Logf("%d writes, p99 %s, longest %s, %d times refused and %d requests made again; %d reads, p99 %s, longest %s; at most %d MiB resident and %d open files, %d at first",
		len(b.writes), p99(b.writes), slices.Max(b.writes), b.refused, b.again, len(b.reads), p99(b.reads), slices.Max(b.reads), b.mostRSS>>20, b.mostFiles, b.openFilesFirst)
	if b.mostRSS > mostRSS {
		t.Errorf("the server took %d MiB, more than %d MiB", b.mostRSS>>20, mostRSS>>20)
	}
	_, findings := ledgers{b.writer}.check(b.srv)
	for _, f := range findings {
		t.Error(f)
	}
}

func p99(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*99/100].Round(100 * time.Microsecond)
}

// residentBytes is the memory that the server's process has; 0 when it has ended.
func (s *server) residentBytes() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// processorTime is what the server has used so far, in all its threads.
func (s *server) processorTime() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ, which is 100 on every Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name of the program
	fields := strings.Fields(rest)
	var sum time.Duration
	for _, i := range []int{11, 12} { // utime and stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// openFiles is the number of descriptors that the server has; 0 when it has ended.
func (s *server) openFiles() int {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(names)
}

// needsProc skips a test where the system does not tell about processes.
func needsProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("this test reads the memory of a process from /proc, which is missing here")
	}
}

// raiseOpenFiles gives this process as many descriptors as it may have.
func raiseOpenFiles(t *testing.T, needed int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < uint64(needed) {
		t.Skipf("this process may open %d files, and %d are needed; raise the limit with ulimit -Hn", limit.Max, needed)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
