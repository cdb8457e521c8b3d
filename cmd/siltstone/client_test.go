package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/siltstone-db/siltstone/httpapi"
)

// scripted answers each request with the next step and keeps the bodies.
type scripted struct {
	t      *testing.T
	steps  []http.HandlerFunc
	bodies []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(r.Body)
		if err != nil {
			s.t.Error(err)
			return
		}
		src = zr
	}
	body, err := io.ReadAll(src)
	if err != nil {
		s.t.Error(err)
	}
	s.bodies = append(s.bodies, string(body))
	if len(s.steps) == 0 {
		s.t.Error("one request too many")
		return
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	step(w, r)
}

// reply answers with counts and, unless it is empty, a JSON body.
func reply(status, accepted, rejected int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(httpapi.AcceptedHeader, fmt.Sprint(accepted))
		w.Header().Set(httpapi.RejectedHeader, fmt.Sprint(rejected))
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// busy answers 503 as a server does that has no room.
func busy(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `{"error":"the memory pool is full"}`)
}

// newLoader returns a loader of two-line chunks against a scripted server.
func newLoader(t *testing.T, steps ...http.HandlerFunc) (*loader, *scripted) {
	t.Helper()
	s := &scripted{t: t, steps: steps}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &loader{
		host: hostFlag{Host: srv.URL}, retryFor: time.Minute, offset: func() int64 { return 0 },
		maxListed: 3, chunkLines: 2,
	}, s
}

func TestLoaderReportsLinesOfTheFile(t *testing.T) {
	const rejected = `{"error":"partial write of line protocol occurred","data":[{"error_message":"bad","line_number":2,"original_line":"x"}]}`
	l, s := newLoader(t, reply(204, 2, 0, ""), reply(400, 1, 1, rejected), reply(204, 1, 0, ""))
	if err := l.load(context.Background(), strings.NewReader("a v=1\nb v=1\nc v=1\nx\ne v=1\n")); err != nil {
		t.Fatal(err)
	}
	if l.sum.accepted != 4 || l.sum.rejected != 1 || len(l.sum.lines) != 1 || l.sum.lines[0].Line != 4 {
		t.Errorf("%+v", l.sum)
	}
	if got := strings.Join(s.bodies, "|"); got != "a v=1\nb v=1\n|c v=1\nx\n|e v=1\n" {
		t.Errorf("sent %q", got)
	}
}

func TestLoaderListsABoundedNumberOfLines(t *testing.T) {
	line := `{"error_message":"bad","line_number":1,"original_line":"x"}`
	body := `{"error":"partial write of line protocol occurred","data":[` + line + `,` + line + `]}`
	l, _ := newLoader(t, reply(400, 0, 2, body), reply(400, 0, 2, body))
	if err := l.load(context.Background(), strings.NewReader("x\nx\nx\nx\n")); err != nil {
		t.Fatal(err)
	}
	if len(l.sum.lines) != 3 || l.sum.rejected != 4 {
		t.Errorf("%+v", l.sum)
	}
}

func TestLoaderOffersAChunkAgainToABusyServer(t *testing.T) {
	l, s := newLoader(t, busy, busy, reply(204, 1, 0, ""))
	l.gzip = true
	if err := l.load(context.Background(), strings.NewReader("a v=1\n")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.bodies, "|"); got != "a v=1\n|a v=1\n|a v=1\n" || l.sum.accepted != 1 {
		t.Errorf("sent %q, accepted %d", got, l.sum.accepted)
	}
}

func TestLoaderGivesUpOnAServerThatStaysBusy(t *testing.T) {
	l, _ := newLoader(t, busy)
	l.retryFor = -1
	err := l.load(context.Background(), strings.NewReader("a v=1\n"))
	if err == nil || !strings.Contains(err.Error(), "the memory pool is full") {
		t.Errorf("got %v", err)
	}
}

func TestLoaderStopsAtARefusedChunk(t *testing.T) {
	l, s := newLoader(t, reply(204, 2, 0, ""), func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"db name cannot be empty"}`)
	})
	err := l.load(context.Background(), strings.NewReader("a v=1\nb v=1\nc v=1\nd v=1\ne v=1\n"))
	if err == nil || !strings.Contains(err.Error(), "line 3 and following") || !strings.Contains(err.Error(), "db name cannot be empty") {
		t.Errorf("got %v", err)
	}
	if len(s.bodies) != 2 || l.sum.accepted != 2 {
		t.Errorf("%d requests, %+v", len(s.bodies), l.sum)
	}
}

// TestChunkOfCommentsIsNoError: a server refuses a body without points, but in the
// middle of a file there may be one.
func TestChunkOfCommentsIsNoError(t *testing.T) {
	l, _ := newLoader(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"incoming write was empty"}`)
	}, reply(204, 1, 0, ""))
	if err := l.load(context.Background(), strings.NewReader("# one\n\na v=1\n")); err != nil {
		t.Error(err)
	}
}

// TestRefusalOfTheWholeStopsTheLoad: without partial writes the first bad line ends it.
func TestRefusalOfTheWholeStopsTheLoad(t *testing.T) {
	const body = `{"error":"parsing failed for write_lp endpoint","data":{"error_message":"bad","line_number":2,"original_line":"x"}}`
	l, s := newLoader(t, reply(400, 0, 2, body))
	l.whole = true
	if err := l.load(context.Background(), strings.NewReader("a v=1\nx\nb v=1\n")); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 1 || l.sum.rejected != 2 || len(l.sum.lines) != 1 || l.sum.lines[0].Line != 2 {
		t.Errorf("%d requests, %+v", len(s.bodies), l.sum)
	}
}

func TestCutOffResultIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "a,b\n1,2\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	var out bytes.Buffer
	_, err := runQuery(context.Background(), hostFlag{Host: srv.URL}, &out, sqlQuery{Database: "db", SQL: "SELECT 1", Format: "csv"})
	if err == nil || !strings.Contains(err.Error(), "the result is incomplete") {
		t.Errorf("got %v after %q", err, &out)
	}
}

func TestTableRowsAreCounted(t *testing.T) {
	const table = "+---+\n| a |\n+---+\n| 1 |\n| 2 |\n+---+"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, table) }))
	defer srv.Close()
	var out bytes.Buffer
	rows, err := runQuery(context.Background(), hostFlag{Host: srv.URL}, &out, sqlQuery{Database: "db", SQL: "SELECT 1", Format: "pretty"})
	if err != nil || rows != 2 || out.String() != table+"\n" {
		t.Errorf("%d rows, %v, %q", rows, err, &out)
	}
}

func TestUnreachableServerIsExplained(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := hostFlag{Host: srv.URL}.post(context.Background(), "/x", nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "siltstone serve") {
		t.Errorf("got %v", err)
	}
	_, err = hostFlag{Host: "localhost:8181"}.post(context.Background(), "/x", nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is not a URL") {
		t.Errorf("got %v", err)
	}
}
