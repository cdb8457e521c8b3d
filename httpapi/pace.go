package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// pacedWriter is an answer on its way to a client that must go on reading it. One that stops
// would hold what makes the answer for ever: a query its turn among the others, its memory, and
// the buffers and files that it reads.
//
// A deadline is set for each piece, not for the answer. Over HTTP/2 net/http ends a stream at
// its deadline even if nothing is to be written, so that it must not outlast the writing. It
// is a deadline of the stream alone; for a client that reads nothing of the whole
// connection there is HTTP2Config.WriteByteTimeout.
type pacedWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	limit    time.Duration
	isStream bool // of HTTP/2
}

// pieceBytes is what a client must read in the time that the limit gives: four kilobytes a second
// under the default, to be sure that it reads at all. Each piece costs two calls of the system, one for the
// head of its chunk.
const pieceBytes = 256 << 10

func newPacedWriter(w http.ResponseWriter, r *http.Request, limit time.Duration) *pacedWriter {
	return &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: limit, isStream: r.ProtoMajor >= 2}
}

// clientGoneError occurs when a client takes no more of an answer.
type clientGoneError struct {
	stalled time.Duration // how long it took nothing; 0 if it hung up
	cause   error
}

func (e *clientGoneError) Error() string {
	if e.stalled > 0 {
		return fmt.Sprintf("the client has taken nothing of the answer for %s: %v", e.stalled, e.cause)
	}
	return fmt.Sprintf("the client takes no more of the answer: %v", e.cause)
}

func (e *clientGoneError) Unwrap() error { return e.cause }

// isStall reports whether an answer was ended because its client took nothing of it.
func isStall(err error) bool {
	var gone *clientGoneError
	return errors.As(err, &gone) && gone.stalled > 0
}

// Write implements http.ResponseWriter.
func (w *pacedWriter) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(n+pieceBytes, len(p))]
		err = w.pace(func() error {
			m, err := w.ResponseWriter.Write(piece)
			n += m
			return err
		})
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController looks for.
func (w *pacedWriter) FlushError() error { return w.pace(w.control.Flush) }

// Flush implements http.Flusher, which gRPC needs.
func (w *pacedWriter) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController reach the connection.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// pace lets write wait for the client as long as the limit allows.
func (w *pacedWriter) pace(write func() error) error {
	begin := time.Now()
	_ = w.control.SetWriteDeadline(begin.Add(w.limit)) // fails where nothing is behind w that could stall
	if err := write(); err != nil {
		return w.gone(err, time.Since(begin))
	}
	if w.isStream {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return nil
}

func (w *pacedWriter) gone(err error, waited time.Duration) error {
	if waited < w.limit {
		waited = 0
	}
	return &clientGoneError{stalled: waited.Round(time.Millisecond), cause: err}
}

// end gives what is buffered behind w its time.
func (w *pacedWriter) end() { _ = w.control.SetWriteDeadline(time.Now().Add(w.limit)) }
