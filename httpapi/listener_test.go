package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// limited is a server on a port with a bound of connections, and a handler that a test holds.
type limited struct {
	t       *testing.T
	api     *Server
	address string
}

func newLimited(t *testing.T, most int) *limited {
	t.Helper()
	api, err := New(Options{MaxConnections: most, WithoutAuth: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := api.HTTPServer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(api.Limit(l)) // it ends when it is closed
	}()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return &limited{t, api, l.Addr().String()}
}

func (s *limited) dial() net.Conn {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// ask sends a request and returns the status of its answer, 0 if the connection was closed.
func ask(c net.Conn) int {
	fmt.Fprint(c, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// await waits until n connections are open.
func (s *limited) await(n int) {
	s.t.Helper()
	s.poll(n, func(c *connections) int { return c.mu.open })
}

// awaitReading waits until n connections wait for their bodies.
func (s *limited) awaitReading(n int) {
	s.t.Helper()
	s.poll(n, func(c *connections) int { return c.mu.reading.length })
}

func (s *limited) poll(n int, count func(*connections) int) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.api.conns.mu.Lock()
		got := count(&s.api.conns)
		s.api.conns.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("there are %d connections, not %d", got, n)
		}
	}
}

// TestNewConnectionTakesThePlaceOfTheLongestIdle, and those that were in use later stay.
func TestNewConnectionTakesThePlaceOfTheLongestIdle(t *testing.T) {
	s := newLimited(t, 3)
	first, second := s.dial(), s.dial()
	for i, c := range []net.Conn{first, second, first} {
		if status := ask(c); status != http.StatusOK {
			t.Fatalf("request %d is answered %d", i, status)
		}
	}
	young := s.dial() // without a request
	s.await(3)
	third := s.dial()
	if status := ask(third); status != http.StatusOK {
		t.Errorf("the newest is answered %d", status)
	}
	if status := ask(second); status != 0 {
		t.Errorf("the longest idle is answered %d", status)
	}
	if status := ask(young); status != http.StatusOK {
		t.Errorf("one that came a moment ago is answered %d", status)
	}
	if status := ask(first); status != http.StatusOK {
		t.Errorf("one that was used later is answered %d", status)
	}
	for _, c := range []net.Conn{first, third, young} {
		_ = c.Close()
	}
	s.await(0)
}

// TestConnectionsInUseAreKept: where all have a request under way, the newest are told so,
// and many more are closed.
func TestConnectionsInUseAreKept(t *testing.T) {
	s := newLimited(t, 2)
	held := make(chan struct{})
	begun := make(chan struct{}, 2)
	s.api.mux.HandleFunc("GET /hold", func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-held })
	busy := []net.Conn{s.dial(), s.dial()}
	for _, c := range busy {
		fmt.Fprint(c, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-begun
	}
	if status := ask(s.dial()); status != http.StatusServiceUnavailable {
		t.Errorf("the third is answered %d", status)
	}
	s.await(2)
	s.dial() // says nothing, and makes room for the next
	s.await(3)
	if status := ask(s.dial()); status != http.StatusServiceUnavailable {
		t.Errorf("one behind the silent ones is answered %d", status)
	}
	close(held)
	for _, c := range busy {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if status := ask(busy[0]); status != http.StatusOK {
		t.Errorf("afterwards one is answered %d", status)
	}
}

// TestBodiesThatDoNotComeKeepNobodyOut: a request that waits for its body is not in use.
func TestBodiesThatDoNotComeKeepNobodyOut(t *testing.T) {
	s := newLimited(t, 2)
	setReady(t, s.api)
	var slow []net.Conn
	for range 2 {
		c := s.dial()
		slow = append(slow, c)
		fmt.Fprint(c, "POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\nm")
		s.awaitReading(len(slow))
	}
	if status := ask(s.dial()); status != http.StatusOK {
		t.Errorf("beside two bodies that do not come one is answered %d", status)
	}
	if status := ask(slow[0]); status != 0 {
		t.Errorf("the first slow one is answered %d", status)
	}
	fmt.Fprint(slow[1], " v=1 1")
	resp, err := http.ReadResponse(bufio.NewReader(slow[1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("the other one is answered %s", resp.Status)
	}
}

// TestRequestsOfAllStreamsAreBounded as if each had a connection.
func TestRequestsOfAllStreamsAreBounded(t *testing.T) {
	s := newLimited(t, 4)
	held, begun := make(chan struct{}), make(chan struct{}, 4)
	s.api.mux.HandleFunc("GET /hold", func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-held })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	get := func(path string) (status int, text string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.address+path, nil)
		if err != nil {
			return 0, err.Error()
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		return resp.StatusCode, fmt.Sprint(b.String(), err)
	}
	statuses := make(chan int)
	for range 4 {
		go func() {
			status, _ := get("/hold")
			statuses <- status
		}()
		<-begun
	}
	if status, text := get("/ping"); status != http.StatusServiceUnavailable {
		t.Errorf("the fifth is answered %d %s", status, text)
	}
	close(held)
	for range 4 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("one of four is answered %d", status)
		}
	}
	if status, text := get("/ping"); status != http.StatusOK {
		t.Errorf("afterwards one is answered %d %s", status, text)
	}
	s.await(1)
}
