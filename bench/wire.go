package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
)

// conn is one keep-alive connection, used by one goroutine. http.Client would put two
// more goroutines between a worker and its socket; on a small machine they cost as
// much as the server (B2).
type conn struct {
	net    net.Conn
	reader *bufio.Reader
	answer bytes.Buffer
}

// endpoint is where a server answers HTTP.
type endpoint struct{ address string }

func (e endpoint) dial() (*conn, error) {
	c, err := net.Dial("tcp", e.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to the server: %w", err)
	}
	return &conn{net: c, reader: bufio.NewReaderSize(c, 64<<10)}, nil
}

func (c *conn) close() { _ = c.net.Close() }

// request is a request that is ready to be sent.
type request struct {
	head, body []byte
}

// newRequest prepares a request; encoding is the body's, or empty.
func newRequest(method, target, encoding string, body []byte) request {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", method, target, len(body))
	if encoding != "" {
		head = fmt.Appendf(head, "Content-Encoding: %s\r\n", encoding)
	}
	return request{append(head, "\r\n"...), body}
}

// do sends a request and returns status and answer, which is valid until the next call.
func (c *conn) do(r request) (status int, answer []byte, err error) {
	buffers := net.Buffers{r.head, r.body}
	if _, err := buffers.WriteTo(c.net); err != nil {
		return 0, nil, fmt.Errorf("sending a request: %w", err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("reading an answer: %w", err)
	}
	c.answer.Reset()
	if _, err := c.answer.ReadFrom(response.Body); err != nil {
		return 0, nil, fmt.Errorf("reading an answer: %w", err)
	}
	return response.StatusCode, c.answer.Bytes(), response.Body.Close()
}

// expect is do for requests that must succeed.
func (c *conn) expect(r request, want int) ([]byte, error) {
	status, answer, err := c.do(r)
	if err != nil {
		return nil, err
	}
	if status != want {
		return nil, statusError(r, status, answer)
	}
	return answer, nil
}

// acknowledge sends a request that must be answered 204, which has no body. It takes a third less of the
// client's CPU than expect: what the client takes of a machine that it shares, the server lacks (B2).
func (c *conn) acknowledge(request []byte) error {
	if _, err := c.net.Write(request); err != nil {
		return fmt.Errorf("sending a request: %w", err)
	}
	first, err := c.reader.Peek(len(noContent))
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if string(first) != noContent {
		return c.refused(request)
	}
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		if len(line) <= len("\r\n") {
			return nil
		}
	}
}

const noContent = "HTTP/1.1 204 "

// refused describes an answer that is there and not the one that was wanted.
func (c *conn) refused(r []byte) error {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return errors.Join(statusError(request{head: r}, response.StatusCode, answer), err)
}

func statusError(r request, status int, answer []byte) error {
	line, _, _ := bytes.Cut(r.head, []byte("\r\n"))
	return fmt.Errorf("%s: status %d: %s", line, status, answer[:min(len(answer), 500)])
}

// database is where every scenario puts its rows.
const database = "bench"

const writeTarget = "/api/v3/write_lp?db=" + database + "&precision=nanosecond"

// queryRequest asks for a result as JSON.
func queryRequest(sql string) request {
	q := url.Values{"db": {database}, "q": {sql}, "format": {"json"}}
	return newRequest("GET", "/api/v3/query_sql?"+q.Encode(), "", nil)
}

// once sends a request on a connection of its own.
func (e endpoint) once(r request, want int) ([]byte, error) {
	c, err := e.dial()
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.expect(r, want)
}

func (e endpoint) get(target string) ([]byte, error) {
	return e.once(newRequest("GET", target, "", nil), http.StatusOK)
}

// flush has the server persist everything.
func (s *server) flush() error {
	_, err := s.once(newRequest("POST", "/api/v3/flush", "", nil), http.StatusNoContent)
	return err
}

// errNoCompaction occurs when the server is one that cannot merge files.
var errNoCompaction = errors.New("the server does not know POST /api/v3/compact")

// compact has the server merge files, waits for it and returns what was done.
func (e endpoint) compact() (report engine.CompactReport, err error) {
	c, err := e.dial()
	if err != nil {
		return report, err
	}
	defer c.close()
	r := newRequest("POST", "/api/v3/compact?wait=true", "", nil)
	status, answer, err := c.do(r)
	switch {
	case err != nil:
		return report, err
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return report, errNoCompaction
	case status != http.StatusOK:
		return report, statusError(r, status, answer)
	}
	var last struct {
		Summary *engine.CompactReport `json:"summary"`
	}
	answer = bytes.TrimSpace(answer)
	if err := json.Unmarshal(answer[bytes.LastIndexByte(answer, '\n')+1:], &last); err != nil || last.Summary == nil {
		return report, fmt.Errorf("the compaction was cut off: %.500s", answer)
	}
	return *last.Summary, nil
}

// expectRows asks for the number of rows in some tables and compares (B3).
func (e endpoint) expectRows(want int, tables ...string) error {
	counted, err := e.countRows(tables...)
	if err == nil && counted != want {
		err = fmt.Errorf("%d rows were acknowledged, and the server counts %d", want, counted)
	}
	return err
}

// countRows asks Siltstone for the number of rows in some tables.
func (e endpoint) countRows(tables ...string) (int, error) {
	counts := make([]string, len(tables))
	for i, t := range tables {
		counts[i] = "(SELECT count(*) FROM " + t + ")"
	}
	answer, err := e.once(queryRequest("SELECT "+strings.Join(counts, " + ")+" AS n"), http.StatusOK)
	if err != nil {
		return 0, fmt.Errorf("counting the rows: %w", err)
	}
	var counted []struct{ N int }
	if err := json.Unmarshal(answer, &counted); err != nil {
		return 0, fmt.Errorf("counting the rows: %w", err)
	}
	if len(counted) != 1 {
		return 0, fmt.Errorf("counting the rows: the server answers %s", answer)
	}
	return counted[0].N, nil
}
