package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDeadlinesAreKeptToTheMoment: reading and writing end at the same times, and with the same
// results, with deadlines that are set late as with those of the connection itself.
func TestDeadlinesAreKeptToTheMoment(t *testing.T) {
	for seed := range uint64(300) {
		plain := deadlineHistory(t, seed, func(c net.Conn) net.Conn { return c })
		limited := deadlineHistory(t, seed, func(c net.Conn) net.Conn {
			conns := &connections{max: 1, metrics: newMetrics(prometheus.NewRegistry())}
			return conns.admit(c)
		})
		if !slices.Equal(plain, limited) {
			t.Fatalf("seed %d: the connection itself\n%s\nwith late deadlines\n%s", seed, strings.Join(plain, "\n"), strings.Join(limited, "\n"))
		}
	}
}

// deadlineHistory reads and writes at random under random deadlines, and says what came of it
// and when.
func deadlineHistory(t *testing.T, seed uint64, wrap func(net.Conn) net.Conn) (history []string) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 1))
		far, near := net.Pipe()
		c := wrap(near)
		begin := time.Now()
		note := func(format string, args ...any) {
			history = append(history, fmt.Sprintf("%s: ", time.Since(begin))+fmt.Sprintf(format, args...))
		}
		for range 30 {
			pause := func() { time.Sleep(time.Duration(random.IntN(3)) * time.Second) }
			pause()
			setRandomDeadline(random, c)
			if random.IntN(3) == 0 {
				continue
			}
			done := make(chan struct{})
			isRead, bytes := random.IntN(2) == 0, 1+random.IntN(5)
			go func() {
				defer close(done)
				b := make([]byte, bytes)
				if isRead {
					n, err := c.Read(b)
					note("read %d, time-out %t", n, errors.Is(err, os.ErrDeadlineExceeded))
					return
				}
				n, err := c.Write(b)
				note("written %d, time-out %t", n, errors.Is(err, os.ErrDeadlineExceeded))
			}()
			synctest.Wait() // so that each deadline takes effect before the next thing happens
			pause()
			setRandomDeadline(random, c) // while it waits
			synctest.Wait()
			pause()
			if isRead { // the other side does a part of it, and perhaps the rest
				_ = far.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = far.Write(make([]byte, 1))
			} else {
				_ = far.SetReadDeadline(time.Now().Add(3 * time.Second))
				_, _ = io.CopyN(io.Discard, far, int64(random.IntN(bytes+1)))
			}
			synctest.Wait()
			pause()
			_ = c.SetDeadline(time.Now().Add(-time.Second))
			<-done
		}
		_ = c.Close()
		_ = far.Close()
	})
	return history
}

// setRandomDeadline sets one in the past, one to come, or none.
func setRandomDeadline(random *rand.Rand, c net.Conn) {
	set := []func(time.Time) error{c.SetReadDeadline, c.SetWriteDeadline, c.SetDeadline}[random.IntN(3)]
	at := time.Time{}
	if random.IntN(3) > 0 {
		// Never at a moment at which something else happens, which could go either way.
		at = time.Now().Add(time.Duration(random.IntN(8)-1)*time.Second + 500*time.Millisecond)
	}
	_ = set(at)
}

// TestHangUpIsNoticedBehindWrites: nobody looks for it while a small write is stored; the next
// request of the connection is ended with its client as ever.
func TestHangUpIsNoticedBehindWrites(t *testing.T) {
	s := newLimited(t, 10)
	setReady(t, s.api)
	ended := make(chan struct{})
	s.api.mux.HandleFunc("GET /hold", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	c := s.dial()
	answers := bufio.NewReader(c)
	const line = "m f=1 1"
	write := fmt.Sprintf("POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(line), line)
	for _, requests := range []int{1, 1, 3, 1} { // some at once, before the first is answered
		fmt.Fprint(c, strings.Repeat(write, requests))
		for range requests {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusNoContent {
				t.Fatalf("answered %s", resp.Status)
			}
		}
	}
	fmt.Fprint(c, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = c.Close()
	<-ended
}
