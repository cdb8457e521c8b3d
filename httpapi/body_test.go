package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func gzipped(t *testing.T, members ...string) string {
	t.Helper()
	return compressed(t, "gzip", members...)
}

// read runs one body through b. With chunked the reader does not know its length.
func read(b *bodyReader, text, encoding string, chunked bool) (*body, error) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(text))
	r.Header.Set("Content-Encoding", encoding)
	if chunked {
		r.ContentLength = -1
		r.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader(text)))
	}
	return b.read(httptest.NewRecorder(), r)
}

func TestBodiesOfAllKindsAreRead(t *testing.T) {
	b := &bodyReader{maxBytes: 1 << 20, maxBuffered: 8 << 20}
	long := strings.Repeat("cpu v=1\n", 100_000)
	cases := []struct {
		name, sent, encoding string
		want                 string
	}{
		{"plain", "cpu v=1", "", "cpu v=1"},
		{"identity", "cpu v=1", "identity", "cpu v=1"},
		{"empty", "", "", ""},
		{"long", long, "", long},
		{"gzip", gzipped(t, long), "gzip", long},
		{"gzip in capitals", gzipped(t, "cpu v=1"), "GZIP", "cpu v=1"},
		{"several members, one empty", gzipped(t, "cpu v=1\n", "", "cpu v=2\n"), "gzip", "cpu v=1\ncpu v=2\n"},
	}
	for _, c := range cases {
		for _, chunked := range []bool{false, true} {
			if chunked && len(c.sent) > 100_000 {
				continue // byte by byte takes too long
			}
			got, err := read(b, c.sent, c.encoding, chunked)
			if err != nil {
				t.Errorf("%s, chunked %v: %v", c.name, chunked, err)
				continue
			}
			if string(got.Bytes) != c.want {
				t.Errorf("%s, chunked %v: %d bytes, want %d", c.name, chunked, len(got.Bytes), len(c.want))
			}
			got.Release()
		}
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

func TestBodiesBeyondTheLimitAreRefused(t *testing.T) {
	const limit = 1000
	b := &bodyReader{maxBytes: limit, maxBuffered: 1 << 20}
	exact, over := strings.Repeat("x", limit), strings.Repeat("x", limit+1)
	for _, chunked := range []bool{false, true} {
		got, err := read(b, exact, "", chunked)
		if err != nil || len(got.Bytes) != limit {
			t.Fatalf("a body of exactly the limit: %v", err)
		}
		got.Release()
		bomb := gzipped(t, strings.Repeat("x", 100*limit))
		if len(bomb) > limit {
			t.Fatal("the bomb is too large to be one")
		}
		noise := strings.Repeat(gzipped(t, ""), 200) // many bytes that are nothing
		for name, body := range map[string][2]string{"plain": {over, ""}, "bomb": {bomb, "gzip"}, "padded": {noise, "gzip"}} {
			var large *http.MaxBytesError
			if _, err := read(b, body[0], body[1], chunked); !errors.As(err, &large) || large.Limit != limit {
				t.Errorf("%s, chunked %v: got %v", name, chunked, err)
			}
		}
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

func TestBrokenBodiesAreTheClientsFault(t *testing.T) {
	b := &bodyReader{maxBytes: 1 << 20, maxBuffered: 8 << 20}
	whole := gzipped(t, strings.Repeat("cpu v=1\n", 100))
	for name, c := range map[string]struct{ body, encoding, want string }{
		"not gzip":   {"cpu v=1", "gzip", "error decoding gzip stream"},
		"cut gzip":   {whole[:len(whole)-9], "gzip", "error decoding gzip stream"},
		"bad sum":    {whole[:len(whole)-8] + "\x00\x00\x00\x00" + whole[len(whole)-4:], "gzip", "error decoding gzip stream"},
		"unknown":    {"cpu v=1", "br", "unacceptable content-encoding: br"},
		"no gzip":    {"", "gzip", "error decoding gzip stream"},
		"behind end": {whole + "x", "gzip", "error decoding gzip stream"},
	} {
		_, err := read(b, c.body, c.encoding, false)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if status, text := statusOf(err); status != 400 || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

// TestAllBodiesTogetherAreBounded: what does not fit is refused until room is made.
func TestAllBodiesTogetherAreBounded(t *testing.T) {
	b := &bodyReader{maxBytes: 100 << 10, maxBuffered: 250 << 10} // buffers are no larger than the largest body
	text := strings.Repeat("x", 100<<10-1)
	first, err := read(b, text, "", false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := read(b, text, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(b, text, "", false); !errors.Is(err, errBodiesFull) {
		t.Fatalf("a third body: %v", err)
	}
	first.Release()
	third, err := read(b, text, "", false)
	if err != nil {
		t.Fatalf("after one was released: %v", err)
	}
	if string(second.Bytes) != text || string(third.Bytes) != text {
		t.Error("bodies share a buffer")
	}
	second.Release()
	third.Release()
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

// deadlines records the read deadlines that a handler sets.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestReadDeadlineFollowsTheBytes: each second's worth of bytes at the lowest rate buys
// a second, and nothing is left behind at the end.
func TestReadDeadlineFollowsTheBytes(t *testing.T) {
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	start := time.Now()
	p := &pacedReader{src: strings.NewReader(strings.Repeat("x", 3*minBodyRate)), conn: http.NewResponseController(d), start: start}
	buf := make([]byte, minBodyRate)
	for {
		_, err := p.Read(buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}
	for i, extra := range want {
		if got := d.set[i].Sub(start); got != bodyGrace+extra {
			t.Errorf("deadline %d is %s after the start", i, got)
		}
	}
	if last := d.set[len(d.set)-1]; !last.IsZero() || len(d.set) != len(want)+1 {
		t.Errorf("deadlines %v", d.set)
	}
}

func TestSlowBodyIsTimedOut(t *testing.T) {
	p := &pacedReader{src: iotest.ErrReader(os.ErrDeadlineExceeded), conn: http.NewResponseController(httptest.NewRecorder())}
	_, err := p.Read(make([]byte, 1))
	if status, _ := statusOf(err); status != http.StatusRequestTimeout {
		t.Errorf("status %d for %v", status, err)
	}
}

// TestBodiesHoldWhatArrived, not what their headers announce: of a MiB announced, and of a zstd
// stream, little more than the four bytes that came.
func TestBodiesHoldWhatArrived(t *testing.T) {
	for _, encoding := range []string{"", "zstd", "gzip"} {
		b := &bodyReader{maxBytes: 1 << 20, maxBuffered: 16 << 20}
		src, client := io.Pipe()
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", src)
		r.ContentLength = 1 << 20
		r.Header.Set("Content-Encoding", encoding)
		ended := make(chan error)
		go func() {
			_, err := b.read(httptest.NewRecorder(), r)
			ended <- err
		}()
		for range 4 { // when the pipe takes the last byte, the others were read
			if _, err := client.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		if held := b.buffered.Load(); held != smallestBuffer {
			t.Errorf("%q: four bytes hold %d", encoding, held)
		}
		client.CloseWithError(io.ErrUnexpectedEOF)
		if err := <-ended; err == nil {
			t.Errorf("%q: no error", encoding)
		}
		if held := b.buffered.Load(); held != 0 {
			t.Errorf("%q: %d bytes are still accounted for", encoding, held)
		}
	}
}

// TestSmallBodiesFindRoomBesideLargeOnes: a query is answered however much is written.
func TestSmallBodiesFindRoomBesideLargeOnes(t *testing.T) {
	b := &bodyReader{maxBytes: 1 << 20, maxBuffered: 4 << 20}
	large := strings.Repeat("cpu v=1\n", 100_000)
	var held []*body
	for {
		got, err := read(b, large, "", false)
		if err != nil {
			if !errors.Is(err, errBodiesFull) {
				t.Fatal(err)
			}
			break
		}
		held = append(held, got)
	}
	small, err := read(b, "SELECT 1", "", false)
	if err != nil {
		t.Fatalf("beside %d large bodies: %v", len(held), err)
	}
	small.Release()
	for _, body := range held {
		body.Release()
	}
	if n := b.buffered.Load(); n != 0 || len(held) < 2 {
		t.Errorf("%d large bodies fit, and %d bytes are left of them", len(held), n)
	}
}

// TestBodiesWithoutRoomAreAnswered: a client that sends everything before it looks for an
// answer finds one, and can go on with the connection.
func TestBodiesWithoutRoomAreAnswered(t *testing.T) {
	b := &bodyReader{maxBytes: 16 << 20, maxBuffered: 1 << 20}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := b.read(w, r)
		status, _ := statusOf(err)
		w.WriteHeader(status)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	large := strings.Repeat("cpu v=1\n", 1<<20)
	for range 3 {
		if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large); err != nil {
			t.Fatalf("the connection was closed before everything was sent: %v", err)
		}
		a, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != http.StatusServiceUnavailable || a.Close {
			t.Fatalf("answered %d, connection to be closed: %v", a.StatusCode, a.Close)
		}
		if err := a.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
