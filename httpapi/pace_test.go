package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

// unreadable has a result that fits into no buffer on the way to a client.
const unreadable = "SELECT md5(r) AS a, md5(r || 'a') AS b, md5(r || 'b') AS c FROM (SELECT range::VARCHAR AS r FROM range(1000000000))"

// pacedSite is a server whose clients may stall for moments only.
func pacedSite(t *testing.T, stall time.Duration) (address string, q *query.Querier) {
	t.Helper()
	api, err := New(Options{OpenWithoutTokens: true, MaxStall: stall})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir, PoolBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CreateDatabase("db", 0); err != nil {
		t.Fatal(err)
	}
	q, err = query.Open(query.Options{View: e.View, DataDir: dir, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	api.SetReady(e, q)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, ended := api.HTTPServer(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
		if err := errors.Join(q.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String(), q
}

// awaitCancelled polls the log of queries until n have ended, all of them cancelled.
func awaitCancelled(t *testing.T, q *query.Querier, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		infos, ended := q.Queries("db"), 0
		for _, info := range infos {
			if info.State.IsFinal() {
				ended++
			}
		}
		if ended == n {
			for _, info := range infos {
				if info.State != query.QueryCancelled {
					t.Errorf("query %d is %s: %s", info.ID, info.State, info.Error)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d queries have ended", ended, n)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAnswersThatNobodyReadsEnd(t *testing.T) {
	const stall = 200 * time.Millisecond
	var paths []string
	for _, format := range []string{"json", "csv", "parquet", "arrow"} {
		paths = append(paths, "/api/v3/query_sql?db=db&format="+format+"&q="+url.QueryEscape(unreadable))
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		address, q := pacedSite(t, stall)
		for _, path := range paths {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
				t.Fatal(err)
			}
		}
		awaitCancelled(t, q, len(paths))
	})
	t.Run("HTTP/2", func(t *testing.T) {
		address, q := pacedSite(t, stall)
		transport := plainHTTP2(nil)
		defer transport.CloseIdleConnections()
		for _, path := range paths {
			defer getHeaders(t, transport, "http://"+address+path).Body.Close()
		}
		awaitCancelled(t, q, len(paths))
		resp := getHeaders(t, transport, "http://"+address+"/api/v3/query_sql?db=db&q=SELECT+1+AS+a")
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != `[{"a":1}]` {
			t.Errorf("afterwards the connection answers %q, %v", text, err)
		}
	})
	t.Run("connection of HTTP/2", func(t *testing.T) {
		address, q := pacedSite(t, stall)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		transport := plainHTTP2(func(c net.Conn) net.Conn { return &deafConn{Conn: c, until: ctx.Done()} })
		defer transport.CloseIdleConnections()
		const requests = 10 // 4 MiB of each, which the client is ready to take, fill all buffers together
		for range requests {
			go func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+paths[1], nil)
				if err != nil {
					t.Error(err)
					return
				}
				if resp, err := transport.RoundTrip(req); err == nil {
					_ = resp.Body.Close()
				}
			}()
		}
		awaitCancelled(t, q, requests)
	})
}

// plainHTTP2 speaks HTTP/2 without TLS; wrap may be nil.
func plainHTTP2(wrap func(net.Conn) net.Conn) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	if wrap != nil {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return wrap(conn), nil
		}
	}
	return transport
}

// getHeaders leaves the body to the caller.
func getHeaders(t *testing.T, transport *http.Transport, target string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// deafConn hears what the server says of itself at first, and then nothing for a while.
type deafConn struct {
	net.Conn
	heard int
	until <-chan struct{}
}

func (c *deafConn) Read(p []byte) (int, error) {
	const settings = 100
	if c.heard >= settings {
		<-c.until
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), settings-c.heard)])
	c.heard += n
	return n, err
}
