package main

import (
	"bytes"
	"context"
	"crypto/tls"
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
	tokenFlag
	clientTLSFlags
}

// tokenFlag says who a client is.
type tokenFlag struct {
	Token secret `help:"Token to show the server. Others on this machine can see a command line, so the variable is the better place." env:"SILTSTONE_AUTH_TOKEN,INFLUXDB3_AUTH_TOKEN" placeholder:"TOKEN"`
}

// authorize shows the token to the server, if there is one.
func (t tokenFlag) authorize(req *http.Request) {
	if t.Token != "" {
		req.Header.Set("Authorization", "Bearer "+string(t.Token))
	}
}

// secret is text that nothing prints, whatever the format and whatever it is a part of.
type secret string

// UnmarshalText implements encoding.TextUnmarshaler; files and variables often end a
// token with a line end.
func (s *secret) UnmarshalText(text []byte) error {
	*s = secret(bytes.TrimSpace(text))
	return nil
}

// Format implements fmt.Formatter.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(hidden)") }

// databaseFlag names the database of a client.
type databaseFlag struct {
	Database string `short:"d" aliases:"db" required:"" help:"Name of the database." env:"SILTSTONE_DATABASE_NAME,INFLUXDB3_DATABASE_NAME" placeholder:"NAME"`
}

// serverError is an answer other than success.
type serverError struct {
	Status     int
	Text       string // the server's error text
	Advice     string // what the user can do; may be empty
	Data       []rejectedLine
	Header     http.Header
	RetryAfter time.Duration // 0 when the server named none
}

func (e *serverError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.advised())
}

// advised is the text with the advice below it.
func (e *serverError) advised() string {
	if e.Advice == "" {
		return e.Text
	}
	return e.Text + "\n" + e.Advice
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

// post is do with the method POST.
func (h hostFlag) post(ctx context.Context, path string, q url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	return h.do(ctx, http.MethodPost, path, q, body, header)
}

// do sends a request and returns the answer when its status is 2xx; the caller closes
// its body. Any other answer becomes a *serverError.
func (h hostFlag) do(ctx context.Context, method, path string, q url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	target, err := h.url(path, q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	h.authorize(req)
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, h.unreachable(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	err = readServerError(resp)
	var refused *serverError
	if errors.As(err, &refused) {
		refused.Advice = h.advice(refused.Status)
	}
	return nil, err
}

// call sends in as JSON, nothing if it is nil, and decodes the answer into out unless
// that is nil.
func (h hostFlag) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	var body io.Reader
	header := http.Header{}
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
		header.Set("Content-Type", "application/json")
	}
	resp, err := h.do(ctx, method, path, q, body, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("the server's answer to %s %s is unreadable: %w", method, path, err)
	}
	return nil
}

// advice says what the user can do about an answer that concerns tokens.
func (h hostFlag) advice(status int) string {
	switch {
	case status == http.StatusUnauthorized && h.Token == "":
		return "Give a token with the variable SILTSTONE_AUTH_TOKEN or with --token. While a server has none, this makes the first:\n" +
			"  siltstone create token --admin"
	case status == http.StatusUnauthorized:
		return "The token that was given is not known there, has expired, or may not do this.\n" +
			"The owner of an admin token sees all with: siltstone show tokens"
	case status == http.StatusForbidden:
		return "The token that was given may not do this. The owner of an admin token makes one that may, for example:\n" +
			"  siltstone create token --name NAME --permission \"db:DATABASE:read,write\""
	}
	return ""
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
	if untrusted := new(tls.CertificateVerificationError); errors.As(err, &untrusted) {
		return fmt.Errorf("%s has a certificate that is not trusted: %w\nName the certificate of its issuer with --tls-ca FILE; for a certificate that the server made itself, that is the certificate", h.Host, err)
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
