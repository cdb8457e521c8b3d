package httpapi

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	// streamBuffer is how much of a result is held back before it is sent. An error
	// that comes earlier still gets its own status.
	streamBuffer = 64 << 10
	// streamInterval is how long a slow result is held back.
	streamInterval = 200 * time.Millisecond
	// minZipBytes is the size from which an answer is compressed: a smaller one fits a
	// packet anyway.
	minZipBytes = 1400
)

// stream sends what write produces, as it is produced, and compressed if the client
// takes that.
func stream(w http.ResponseWriter, r *http.Request, contentType string, write func(io.Writer) error) error {
	out := newStream(w, r, contentType)
	if err := write(out); err != nil {
		return err
	}
	return out.send()
}

type streamWriter struct {
	w           http.ResponseWriter
	contentType string
	buf         []byte
	sent        time.Time
	mayZip      bool
	begun       bool         // headers were sent
	zip         *gzip.Writer // nil when the answer is not compressed
}

func newStream(w http.ResponseWriter, r *http.Request, contentType string) *streamWriter {
	mayZip := acceptsGzip(r.Header) && contentType != parquetType // which is compressed
	return &streamWriter{w: w, contentType: contentType, sent: time.Now(), mayZip: mayZip}
}

// Write implements io.Writer.
func (s *streamWriter) Write(p []byte) (int, error) {
	if len(s.buf) == 0 && len(p) >= streamBuffer-1 { // no need to keep it
		return s.flushed(p)
	}
	s.buf = append(s.buf, p...)
	if len(s.buf) < streamBuffer && time.Since(s.sent) < streamInterval {
		return len(p), nil
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flushed sends a large piece as it is.
func (s *streamWriter) flushed(p []byte) (int, error) {
	own := s.buf
	s.buf = p
	err := s.flush()
	s.buf = own
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush sends what is held back, and lets nobody else hold it back.
func (s *streamWriter) flush() error {
	s.begin(s.mayZip)
	if err := s.pass(); err != nil {
		return err
	}
	if s.zip != nil {
		if err := s.zip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(s.w).Flush()
}

// send sends what is left. An answer that fails is not ended: neither the compressed
// stream nor the response has its end then.
func (s *streamWriter) send() error {
	s.begin(s.mayZip && len(s.buf) >= minZipBytes)
	if err := s.pass(); err != nil {
		return err
	}
	if s.zip != nil {
		return s.zip.Close()
	}
	return nil
}

// begin sets the headers of the response, once.
func (s *streamWriter) begin(zip bool) {
	if s.begun {
		return
	}
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", s.contentType)
	h.Add("Vary", "Accept-Encoding")
	if zip {
		h.Set("Content-Encoding", "gzip")
		s.zip, _ = gzip.NewWriterLevel(s.w, gzip.BestSpeed) // the level exists
	}
}

// pass hands on what is held back.
func (s *streamWriter) pass() error {
	var err error
	if s.zip != nil {
		_, err = s.zip.Write(s.buf)
	} else {
		_, err = s.w.Write(s.buf)
	}
	s.buf, s.sent = s.buf[:0], time.Now()
	return err
}

// acceptsGzip reports whether a client takes gzip.
func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip") {
			_, q, _ := strings.Cut(weight, "=")
			n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return err != nil || n > 0
		}
	}
	return false
}
