package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// compressed is text compressed by a coding; each part is a member or frame of its own.
func compressed(t testing.TB, coding string, parts ...string) string {
	t.Helper()
	var buf bytes.Buffer
	for _, part := range parts {
		zw := compressor(t, coding, &buf)
		if _, err := io.WriteString(zw, part); err != nil {
			t.Fatal(err)
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.String()
}

// compressor makes the writer of a coding; "bare" is deflate without zlib's header.
func compressor(t testing.TB, coding string, w io.Writer) io.WriteCloser {
	t.Helper()
	var zw io.WriteCloser
	var err error
	switch coding {
	case "gzip", "x-gzip":
		zw = gzip.NewWriter(w)
	case "deflate":
		zw = zlib.NewWriter(w)
	case "bare":
		zw, err = flate.NewWriter(w, flate.DefaultCompression)
	case "zstd":
		zw, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	default:
		t.Fatalf("no coding %s", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	return zw
}

// header is the name of a test's coding in HTTP.
func header(coding string) string {
	if coding == "bare" {
		return "deflate"
	}
	return coding
}

var testCodings = []string{"gzip", "x-gzip", "deflate", "bare", "zstd"}

// roomy is a reader with room for what a zstd decoder may hold.
func roomy(maxBytes int64) *bodyReader {
	return &bodyReader{maxBytes: maxBytes, maxBuffered: zstdMaxWindow + 8<<20}
}

func TestEveryCodingIsDecoded(t *testing.T) {
	b := roomy(1 << 20)
	long := strings.Repeat("cpu,host=a v=1\n", 50_000)
	for _, coding := range testCodings {
		for _, text := range []string{"cpu v=1", "", long, "cpu v=2"} {
			sent := compressed(t, coding, text)
			for _, chunked := range []bool{false, true} {
				got, err := read(b, sent, header(coding), chunked)
				if err != nil {
					t.Errorf("%s of %d bytes, chunked %v: %v", coding, len(text), chunked, err)
					continue
				}
				if string(got.Bytes) != text {
					t.Errorf("%s, chunked %v: %d bytes, want %d", coding, chunked, len(got.Bytes), len(text))
				}
				got.Release()
			}
		}
	}
	for _, coding := range []string{"gzip", "zstd"} {
		got, err := read(b, compressed(t, coding, "cpu v=1\n", "", "cpu v=2\n"), coding, true)
		if err != nil || string(got.Bytes) != "cpu v=1\ncpu v=2\n" {
			t.Fatalf("%s of several parts: %v", coding, err)
		}
		got.Release()
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

// TestBombsAreStoppedAtTheLimit whatever they would become.
func TestBombsAreStoppedAtTheLimit(t *testing.T) {
	const limit = 4096
	for _, coding := range testCodings {
		b := roomy(limit)
		bomb := compressed(t, coding, strings.Repeat("x", 1<<20))
		if len(bomb) > limit {
			t.Fatalf("%s: %d bytes are no bomb", coding, len(bomb))
		}
		var large *http.MaxBytesError
		if _, err := read(b, bomb, header(coding), false); !errors.As(err, &large) || large.Limit != limit {
			t.Errorf("%s: %v", coding, err)
		}
		exact := compressed(t, coding, strings.Repeat("x", limit))
		got, err := read(b, exact, header(coding), false)
		if err != nil || len(got.Bytes) != limit {
			t.Fatalf("%s of exactly the limit: %v", coding, err)
		}
		got.Release()
		if held := b.buffered.Load(); held != 0 {
			t.Errorf("%s: %d bytes are still accounted for", coding, held)
		}
	}
}

// TestTruncatedStreamsAreRefused at every length, and so is what follows the end.
func TestTruncatedStreamsAreRefused(t *testing.T) {
	b := roomy(1 << 20)
	for _, coding := range testCodings {
		whole := compressed(t, coding, "cpu,host=a v=1\ncpu,host=b v=2\n")
		for cut := 1; cut < len(whole); cut++ {
			checkUndecodable(t, b, whole[:cut], coding)
		}
		checkUndecodable(t, b, whole+"x", coding)
		checkUndecodable(t, b, "cpu v=1\n", coding)
		flipped := []byte(whole)
		flipped[len(flipped)-1] ^= 0x10
		if coding != "bare" { // has no checksum
			checkUndecodable(t, b, string(flipped), coding)
		}
		got, err := read(b, whole, header(coding), false)
		if err != nil {
			t.Errorf("%s: a decoder that failed does not decode again: %v", coding, err)
			continue
		}
		got.Release()
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

func checkUndecodable(t *testing.T, b *bodyReader, sent, coding string) {
	t.Helper()
	got, err := read(b, sent, header(coding), false)
	if err == nil {
		t.Errorf("%s of %q is %q", coding, sent, got.Bytes)
		got.Release()
		return
	}
	want := "error decoding " + strings.TrimPrefix(header(coding), "x-") + " stream: "
	if status, text := statusOf(err); status != 400 || !strings.HasPrefix(text, want) {
		t.Errorf("%s of %q: %d %s", coding, sent, status, text)
	}
}

// TestZstdWindowIsLimited: a frame may not make its decoder hold more than HTTP allows.
func TestZstdWindowIsLimited(t *testing.T) {
	const magic = "\x28\xb5\x2f\xfd" // magic
	window := func(log byte) string {
		return magic + "\x00" + string([]byte{(log - 10) << 3}) + "\x01\x00\x00" // one empty last block
	}
	b := roomy(1 << 20)
	got, err := read(b, window(23), "zstd", false)
	if err != nil || len(got.Bytes) != 0 {
		t.Fatalf("8 MiB: %v", err)
	}
	got.Release()
	_, err = read(b, window(24), "zstd", false)
	want := "error decoding zstd stream: a frame needs a window of more than 8388608 bytes; compress at a lower level"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("16 MiB: %v", err)
	}
}

// TestZstdDecodersAreAccountedFor like the bodies they read.
func TestZstdDecodersAreAccountedFor(t *testing.T) {
	b := &bodyReader{maxBytes: 1 << 20, maxBuffered: zstdMaxWindow - 1}
	if _, err := read(b, compressed(t, "zstd", "cpu v=1"), "zstd", false); !errors.Is(err, errBodiesFull) {
		t.Errorf("got %v", err)
	}
	if held := b.buffered.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

func TestContentEncodingIsOneOrNone(t *testing.T) {
	cases := []struct {
		values []string
		want   *contentCoding
		err    string
	}{
		{nil, nil, ""},
		{[]string{""}, nil, ""},
		{[]string{"identity"}, nil, ""},
		{[]string{"identity, gzip"}, gzipCoding, ""},
		{[]string{" GZip "}, gzipCoding, ""},
		{[]string{"zstd"}, zstdCoding, ""},
		{[]string{"gzip, zstd"}, nil, "unacceptable content-encoding: gzip, zstd; compress the body once, with gzip, zstd or deflate"},
		{[]string{"gzip", "gzip"}, nil, "unacceptable content-encoding: gzip, gzip; compress the body once, with gzip, zstd or deflate"},
		{[]string{"br"}, nil, "unacceptable content-encoding: br"},
		{[]string{"gzip;q=1"}, nil, "unacceptable content-encoding: gzip;q=1"},
	}
	for _, c := range cases {
		got, err := codingOf(http.Header{"Content-Encoding": c.values})
		if got != c.want {
			t.Errorf("%q: another coding", c.values)
		}
		if err != nil && err.Error() != c.err || err == nil && c.err != "" {
			t.Errorf("%q: %v", c.values, err)
		}
	}
}

// FuzzEncodings: no stream of bytes gets beyond the limit, leaves bytes accounted for, or
// is anything but a body, too large, or the client's fault.
func FuzzEncodings(f *testing.F) {
	for _, coding := range testCodings {
		f.Add(header(coding), []byte(compressed(f, coding, "cpu v=1\n")))
		f.Add(header(coding), []byte(compressed(f, coding, strings.Repeat("x", 5000))))
	}
	f.Add("gzip, zstd", []byte{})
	f.Add("deflate", []byte("\x78"))
	f.Fuzz(func(t *testing.T, encoding string, sent []byte) {
		b := roomy(4096)
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", bytes.NewReader(sent))
		r.Header.Set("Content-Encoding", encoding)
		got, err := b.read(httptest.NewRecorder(), r)
		if err == nil {
			if len(got.Bytes) > 4096 {
				t.Errorf("%d bytes", len(got.Bytes))
			}
			got.Release()
		} else if status, text := statusOf(err); status != 400 && status != 413 {
			t.Errorf("%d %s", status, text)
		}
		if held := b.buffered.Load(); held != 0 {
			t.Errorf("%d bytes are still accounted for", held)
		}
	})
}
