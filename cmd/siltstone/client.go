package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// hostFlag is the part of the command line that all clients share.
type hostFlag struct {
	Host string `help:"URL of the server. Default: ${default}." default:"http://127.0.0.1:8181" env:"SILTSTONE_HOST_URL,INFLUXDB3_HOST_URL" placeholder:"URL"`
}

// databaseFlag names the database of a client.
type databaseFlag struct {
	Database string `short:"d" required:"" help:"Name of the database." env:"SILTSTONE_DATABASE_NAME,INFLUXDB3_DATABASE_NAME" placeholder:"NAME"`
}

// serverError is an answer other than success.
type serverError struct {
	Status     int
	Text       string // the server's error text
	Data       []rejectedLine
	Header     http.Header
	RetryAfter time.Duration // 0 when the server named none
}

func (e *serverError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Text)
}

// rejectedLine is one entry of the data of an answered write.
type rejectedLine struct {
	Message  string `json:"error_message"`
	Line     int    `json:"line_number"`
	Original string `json:"original_line"`
}

// url returns the URL of a path of the server.
func (h hostFlag) url(path string, q url.Values) (string, error) {
	u, err := url.Parse(h.Host)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("--host %q is not a URL such as http://127.0.0.1:8181", h.Host)
	}
	u = u.JoinPath(path)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// post sends a request and returns the answer when its status is 2xx; the caller
// closes its body. Any other answer becomes a *serverError.
func (h hostFlag) post(ctx context.Context, path string, q url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	target, err := h.url(path, q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, h.unreachable(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readServerError(resp)
}

// unreachable says what to do when nobody answers.
func (h hostFlag) unreachable(err error) error {
	var op *url.Error
	if errors.As(err, &op) {
		err = op.Err
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return fmt.Errorf("no answer from %s: %w\nIs the server running? Start one with: siltstone serve", h.Host, err)
}

// maxErrorBody bounds what is read of an error answer: 100 rejected lines are far below it.
const maxErrorBody = 1 << 20

func readServerError(resp *http.Response) error {
	e := &serverError{Status: resp.StatusCode, Header: resp.Header}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return fmt.Errorf("the server answered %s, and then: %w", resp.Status, err)
	}
	var answer struct {
		Error string          `json:"error"`
		Data  json.RawMessage `json:"data"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
		e.Text = strings.TrimSpace(string(text))
		return e
	}
	e.Text = answer.Error
	e.Data, err = rejectedLines(answer.Data)
	if err != nil {
		return fmt.Errorf("%w; its details are unreadable: %w", e, err)
	}
	return e
}

// rejectedLines decodes a list of lines, or the single line of a write that did not
// accept a part.
func rejectedLines(data json.RawMessage) ([]rejectedLine, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if bytes.HasPrefix(data, []byte("{")) {
		one := make([]rejectedLine, 1)
		return one, json.Unmarshal(data, &one[0])
	}
	var all []rejectedLine
	return all, json.Unmarshal(data, &all)
}

type flushCmd struct {
	hostFlag
}

// Run asks the server to persist what it has in memory.
func (c *flushCmd) Run(ctx context.Context, env environment) error {
	start := time.Now()
	resp, err := c.post(ctx, "/api/v3/flush", nil, nil, nil)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("closing the answer: %w", err)
	}
	_, err = fmt.Fprintf(env.stderr, "All rows are in Parquet files (%s).\n", time.Since(start).Round(time.Millisecond))
	return err
}
