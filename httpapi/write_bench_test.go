package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// BenchmarkAck has clients write single lines, each of which is answered when it is durable.
// The CPU time is that of clients, kernel and server together. The log is in the temporary
// directory: with TMPDIR on a file system in memory, syncs cost nothing, and neither does the
// disk's noise.
func BenchmarkAck(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) { benchAck(b, clients) })
	}
}

func benchAck(b *testing.B, clients int) {
	address := serveForBench(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	writers := make([]*lineWriter, clients)
	for i := range writers {
		writers[i] = newLineWriter(b, address, i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpuTime(b)
	var running sync.WaitGroup
	for _, w := range writers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				w.write(b)
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64((cpuTime(b)-begin).Nanoseconds())/float64(b.N)/1e3, "cpu-µs/op")
	b.StopTimer()
}

func serveForBench(b *testing.B) (address string) {
	b.Helper()
	api, err := New(Options{OpenWithoutTokens: true})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(engine.Options{DataDir: b.TempDir(), PoolBytes: 1 << 30, Gen1Duration: 1000 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	api.SetReady(e, nil)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := api.HTTPServer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(api.Limit(l)) // it ends when it is closed
	}()
	b.Cleanup(func() {
		_ = srv.Close()
		<-ended
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// lineWriter writes lines of one host over one connection.
type lineWriter struct {
	net.Conn
	request []byte
	time    int64
	answer  [4 << 10]byte
}

func newLineWriter(b *testing.B, address string, host int) *lineWriter {
	b.Helper()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	w := &lineWriter{Conn: c, time: 1_700_000_000_000_000_000}
	line := fmt.Sprintf("cpu,hostname=host_%d,region=eu-central-1,datacenter=eu-central-1a,rack=6,os=Ubuntu15.10,arch=x86,team=SF,service=19,service_version=1,service_environment=test "+
		"usage_user=58i,usage_system=2i,usage_idle=24i,usage_nice=61i,usage_iowait=22i,usage_irq=63i,usage_softirq=6i,usage_steal=44i,usage_guest=80i,usage_guest_nice=38i %d", host, w.time)
	w.request = fmt.Appendf(nil, "POST /api/v3/write_lp?db=bench&precision=nanosecond HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
	return w
}

// write writes a line and waits for its answer.
func (w *lineWriter) write(b *testing.B) {
	w.time += int64(10 * time.Second)
	strconv.AppendInt(w.request[len(w.request)-19:len(w.request)-19], w.time, 10)
	if _, err := w.Write(w.request); err != nil {
		b.Error(err)
		return
	}
	n := 0
	for !bytes.HasSuffix(w.answer[:n], []byte("\r\n\r\n")) {
		m, err := w.Read(w.answer[n:])
		if n += m; err != nil {
			b.Error(err)
			return
		}
	}
	if !bytes.HasPrefix(w.answer[:n], []byte("HTTP/1.1 204 ")) {
		b.Errorf("answered %s", w.answer[:n])
	}
}

// cpuTime is what the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
