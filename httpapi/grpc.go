package httpapi

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// grpcRequestTime is how long a gRPC request may take to arrive. What clients send is a
// query, or a batch of parameters; only the answers are long.
const grpcRequestTime = 30 * time.Second

// grpcRoute is whom gRPC requests are from. What they may read is decided where the database
// is known.
var grpcRoute = route{path: "grpc", access: forKnown}

// isGRPC reports whether a request is one of gRPC, as InfluxDB 3 tells them apart.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// serveGRPC passes a gRPC request on if it is admitted. Its body is bounded here: the gRPC
// library reads all of it ahead of the handler, whatever the size.
func (s *Server) serveGRPC(w http.ResponseWriter, r *http.Request) {
	if s.opts.GRPC == nil {
		refuseGRPC(w, grpcUnimplemented, "this server does not answer gRPC")
		return
	}
	_, r, err := s.admit(&grpcRoute, r)
	if err != nil {
		status, text := statusOf(err)
		if status == http.StatusInternalServerError {
			s.opts.Logger.Error("gRPC request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
			text = "internal error; the server's log has the details"
		}
		refuseGRPC(w, grpcCodeOf(status), text)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(grpcRequestTime))
	counted := &countedBody{ReadCloser: http.MaxBytesReader(w, r.Body, s.opts.MaxRequestBytes), reader: &s.bodies}
	defer counted.release()
	wait := awaitBody(r)
	counted.over = wait.end
	defer wait.end()
	r.Body = counted
	s.opts.GRPC.ServeHTTP(w, r)
}

// countedBody counts what has been read of a body against the bound of all bodies (H4): the
// gRPC library keeps it until the call ends.
type countedBody struct {
	io.ReadCloser
	reader *bodyReader
	held   atomic.Int64
	over   func() // is called when nothing more will come
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.held.Add(int64(n))
	if b.reader.buffered.Add(int64(n)) > b.reader.maxBuffered {
		return 0, errBodiesFull
	}
	if err != nil {
		b.over()
	}
	return n, err
}

// release is for when nothing reads any more.
func (b *countedBody) release() { b.reader.buffered.Add(-b.held.Swap(0)) }

// Codes of https://grpc.github.io/grpc/core/md_doc_statuscodes.html
const (
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcCodeOf returns the code for a request that admit refuses with an HTTP status.
func grpcCodeOf(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusBadRequest: // the latter says that the header is malformed
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusServiceUnavailable:
		return grpcUnavailable
	}
	return grpcInternal
}

// refuseGRPC answers a gRPC request with an error alone.
func refuseGRPC(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(code))
	h.Set("Grpc-Message", percentEncode(text))
	w.WriteHeader(http.StatusOK)
}

// percentEncode writes text as Grpc-Message wants it.
func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
