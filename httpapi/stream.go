package httpapi

import (
	"io"
	"net/http"
	"time"
)

const (
	// streamBuffer is how much of a result is held back before it is sent. An error
	// that comes earlier still gets its own status.
	streamBuffer = 64 << 10
	// streamInterval is how long a slow result is held back.
	streamInterval = 200 * time.Millisecond
)

// stream sends what write produces, as it is produced.
func stream(w http.ResponseWriter, contentType string, write func(io.Writer) error) error {
	out := newStream(w, contentType)
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
}

func newStream(w http.ResponseWriter, contentType string) *streamWriter {
	return &streamWriter{w: w, contentType: contentType, sent: time.Now()}
}

// Write implements io.Writer.
func (s *streamWriter) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	if len(s.buf) < streamBuffer && time.Since(s.sent) < streamInterval {
		return len(p), nil
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush sends what is held back, and lets nobody else hold it back.
func (s *streamWriter) flush() error {
	if err := s.send(); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

func (s *streamWriter) send() error {
	s.w.Header().Set("Content-Type", s.contentType)
	_, err := s.w.Write(s.buf)
	s.buf, s.sent = s.buf[:0], time.Now()
	return err
}
