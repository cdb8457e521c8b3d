package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// plainWriter is the http.ResponseWriter of a request that net/http does not see: a short answer, sent
// with one call, to the byte as net/http would send it. It is used again.
type plainWriter struct {
	conn    *limitedConn
	request http.Request
	source  requestBody

	header  http.Header
	status  int // 0 as long as there is none
	body    []byte
	isEmpty bool // the status has no body

	keys   []string
	out    []byte
	date   []byte // of second
	second int64
}

// requestBody is the body of a request, all of which is there.
type requestBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*requestBody) Close() error { return nil }

var plainWriters = sync.Pool{New: func() any { return &plainWriter{header: make(http.Header)} }}

// maxPlainBytes bounds the answer whose memory is kept.
const maxPlainBytes = 16 << 10

// begin makes a request with a body of one that is known.
func (w *plainWriter) begin(c *limitedConn, known *http.Request, body []byte) {
	w.conn, w.request, w.status = c, *known, 0
	w.source.Reset(body)
	w.request.Body, w.request.ContentLength = &w.source, int64(len(body))
	if length := strconv.Itoa(len(body)); known.Header.Get("Content-Length") != length {
		known.Header["Content-Length"] = []string{length} // which belongs to the connection
	}
}

// end lets go of what belongs to the request.
func (w *plainWriter) end() {
	w.conn, w.request = nil, http.Request{}
	w.source.Reset(nil)
	clear(w.header)
	w.body, w.out = kept(w.body), kept(w.out)
}

func kept(b []byte) []byte {
	if cap(b) > maxPlainBytes {
		return nil
	}
	return b[:0]
}

// Header implements http.ResponseWriter.
func (w *plainWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Headers must not be changed afterwards.
func (w *plainWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.isEmpty = status < http.StatusOK || status == http.StatusNoContent || status == http.StatusNotModified
	}
}

// Write implements http.ResponseWriter.
func (w *plainWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.isEmpty {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// SetReadDeadline is what http.ResponseController looks for.
func (w *plainWriter) SetReadDeadline(t time.Time) error { return w.conn.SetReadDeadline(t) }

// SetWriteDeadline is what http.ResponseController looks for.
func (w *plainWriter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// send sends the answer. It returns io.EOF where the connection ends behind that.
func (w *plainWriter) send() error {
	w.WriteHeader(http.StatusOK)
	w.out = w.appendHead(w.out[:0])
	w.out = append(w.out, w.body...)
	if _, err := w.conn.Write(w.out); err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Time{})
	if strings.EqualFold(w.header.Get("Connection"), "close") {
		return io.EOF
	}
	return nil
}

// appendHead writes status and headers, in net/http's order.
func (w *plainWriter) appendHead(b []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(append(append(b, ' '), http.StatusText(w.status)...), "\r\n"...)
	w.keys = w.keys[:0]
	for key := range w.header {
		w.keys = append(w.keys, key)
	}
	slices.Sort(w.keys)
	for _, key := range w.keys {
		for _, value := range w.header[key] {
			b = appendHeader(b, key, value)
		}
	}
	b = append(append(append(b, "Date: "...), w.dateOf(time.Now())...), "\r\n"...)
	if !w.isEmpty {
		b = appendHeader(b, "Content-Length", strconv.Itoa(len(w.body)))
	}
	if len(w.body) > 0 && w.header["Content-Type"] == nil {
		b = appendHeader(b, "Content-Type", http.DetectContentType(w.body))
	}
	return append(b, "\r\n"...)
}

// appendHeader writes a header of one line whatever its value is.
func appendHeader(b []byte, key, value string) []byte {
	b = append(append(b, key...), ": "...)
	from := len(b)
	b = append(b, strings.Trim(value, " \t\r\n")...)
	for i := from; i < len(b); i++ {
		if b[i] == '\r' || b[i] == '\n' {
			b[i] = ' '
		}
	}
	return append(b, "\r\n"...)
}

// dateOf formats a time as HTTP does, once a second.
func (w *plainWriter) dateOf(now time.Time) []byte {
	if second := now.Unix(); second != w.second || len(w.date) == 0 {
		w.second, w.date = second, now.UTC().AppendFormat(w.date[:0], http.TimeFormat)
	}
	return w.date
}
