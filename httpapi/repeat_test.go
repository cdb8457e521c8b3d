package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pipeListener accepts connections in memory, whose pieces arrive as they were sent.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// pipeServer answers on connections in memory.
type pipeServer struct {
	api  *Server
	http *http.Server
	pipe *pipeListener
}

// newPipeServer starts a server. It knows its connections, and so their requests, if knows says so.
func newPipeServer(t *testing.T, opts Options, knows bool) *pipeServer {
	t.Helper()
	opts.WithoutAuth = true
	api, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &pipeServer{api, api.HTTPServer(), &pipeListener{make(chan net.Conn), make(chan struct{})}}
	var l net.Listener = s.pipe
	if knows {
		l = api.Limit(l)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.http.Serve(l) // it ends when it is closed
	}()
	t.Cleanup(func() {
		_ = s.http.Close()
		<-ended
	})
	return s
}

// repeated counts the requests that net/http has not seen.
func (s *pipeServer) repeated(t *testing.T) float64 {
	t.Helper()
	families, err := s.api.opts.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "siltstone_http_repeated_requests_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("there is no count of repeated requests")
	return 0
}

// pipeClient is a connection, and all that was answered on it.
type pipeClient struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Reader
	raw     bytes.Buffer
}

func (s *pipeServer) dial(t *testing.T) *pipeClient {
	t.Helper()
	far, near := net.Pipe()
	s.pipe.conns <- near
	c := &pipeClient{t: t, conn: far}
	c.answers = bufio.NewReader(io.TeeReader(far, &c.raw))
	t.Cleanup(func() { _ = far.Close() })
	return c
}

// send sends pieces while an answer may come.
func (c *pipeClient) send(pieces ...string) {
	for _, piece := range pieces {
		if _, err := io.WriteString(c.conn, piece); err != nil {
			return // the server has closed the connection, which shows in the answers
		}
	}
}

// await reads an answer and returns its status, 0 when there is none.
func (c *pipeClient) await() int {
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode
}

// write is a request to write a line, with headers of its own.
func write(body string, headers ...string) string {
	return fmt.Sprintf("POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s",
		strings.Join(append(headers, ""), "\r\n"), len(body), body)
}

const lastRequest = "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// TestRepeatedRequestsAreAnsweredAsOthers: whatever is sent, in whatever pieces, is answered to
// the byte as by net/http alone.
func TestRepeatedRequestsAreAnsweredAsOthers(t *testing.T) {
	known, plain := newPipeServer(t, Options{}, true), newPipeServer(t, Options{}, false)
	setReady(t, known.api)
	setReady(t, plain.api)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		script := randomRequests(random)
		got, want := script.play(t, known), script.play(t, plain)
		if got != want {
			t.Fatalf("seed %d: %+v\nis answered\n%s\nand by net/http\n%s", seed, script, got, want)
		}
	}
	if n := known.repeated(t); n < 100 {
		t.Errorf("%v requests passed net/http by; what was compared?", n)
	} else {
		t.Logf("%v requests passed net/http by", n)
	}
}

// requests is what a client sends: pieces of one or more requests. Behind each the client waits for that many answers.
type requests []struct {
	pieces  []string
	answers int
}

// randomRequests mostly repeats a request, and ends with one that closes the connection.
func randomRequests(random *rand.Rand) (script requests) {
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	line := func() string {
		return pick("m f=1i 1", "m f=2i 22", "m f=1i,g=\"text\" 3", "m f=1i 4\nm f=2i 5", "m,t=a f=3i 6", "m f=7i", "m f=\"wrong type\" 8", "m f=", "",
			"m g=\""+strings.Repeat("long", random.IntN(2000))+"\" 9")
	}
	pipelines := 1 + random.IntN(2) // from then on net/http answers all
	usual := pick("", "X-A: b", "Connection: keep-alive", "connection: Keep-Alive", "Accept: */*\r\nUser-Agent: test", "content-type: text/plain")
	for range 2 + random.IntN(20) {
		text, answers := "", 0
		for range 1 + random.IntN(4)*random.IntN(pipelines)/3 {
			header := usual
			if random.IntN(8) == 0 {
				header = pick("X-A: c", "Prefer: return=representation", "Authorization: Token none", "X-A: b\r\nX-A: c")
			}
			request := write(line(), strings.Split(header, "\r\n")...)
			if header == "" {
				request = write(line())
			}
			switch random.IntN(24) {
			case 0:
				request = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
			case 1:
				request = "POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nm f=1i 1\r\n0\r\n\r\n"
			case 2:
				request = strings.Replace(request, "Content-Length", pick("content-length", "CONTENT-LENGTH"), 1)
			case 3:
				request = strings.ReplaceAll(request, "\r\n", "\n")
			case 4:
				request = strings.Replace(request, "Content-Length: ", pick("Content-Length: 0", "Content-Length:", "Content-Length:  "), 1)
			case 5:
				request = strings.Replace(request, "db=db", pick("db=other", "db=", "x=db"), 1)
			case 6:
				request = strings.Replace(request, "\r\nHost: localhost", "\r\nHost: localhost\r\nContent-Length: "+fmt.Sprint(len(request)-strings.Index(request, "\r\n\r\n")-4), 1)
			}
			text += request
			answers++
		}
		script = append(script, requests{{cutUp(random, text), answers}}...)
	}
	return append(script, requests{{cutUp(random, lastRequest), 1}}...)
}

// cutUp cuts a text into pieces, or not.
func cutUp(random *rand.Rand, text string) (pieces []string) {
	for random.IntN(3) == 0 && len(text) > 1 {
		n := 1 + random.IntN(len(text)-1)
		pieces, text = append(pieces, text[:n]), text[n:]
	}
	return append(pieces, text)
}

// isOwn is what is another in each answer.
var isOwn = regexp.MustCompile(`(?m)^(X-Request-Id|Request-Id|Date|Cluster-Uuid): .*$|"process_id":"[^"]*"`)

// play sends the requests and returns the answers as they came.
func (script requests) play(t *testing.T, s *pipeServer) string {
	t.Helper()
	c := s.dial(t)
	for _, r := range script {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			c.send(r.pieces...)
		}()
		for range r.answers {
			if c.await() == 0 {
				break
			}
		}
		<-sent
	}
	_, _ = io.Copy(io.Discard, c.answers)
	return isOwn.ReplaceAllString(c.raw.String(), "$1")
}

// TestWhatIsInARequestIsNoRequest: what net/http has read ahead is the beginning of a request, whose rest looks like the
// known one. It must not be answered: who can send a body could have it taken for a request of somebody else.
func TestWhatIsInARequestIsNoRequest(t *testing.T) {
	known, plain := newPipeServer(t, Options{}, true), newPipeServer(t, Options{}, false)
	setReady(t, known.api)
	setReady(t, plain.api)
	usual := write("m f=1i 1")
	head, _, _ := strings.Cut(write(usual), usual)
	line, rest, _ := strings.Cut(head, "\r\n")
	for name, pieces := range map[string][]string{
		"body":           {usual + head, usual},
		"body, in parts": {usual, head, usual},
		"head":           {usual + line + "\r\n", usual + rest + "m f=1i 1"},
		"header":         {usual + line + "\r\nX: a", usual + rest + "m f=1i 1"},
		"bare newlines":  {"GET /ping HTTP/1.1\nHost: localhost\nContent-Length: 20\n\n" + strings.Repeat("x", 16) + "\r\n\r\n" + line + "\r\n", usual},
	} {
		script := requests{{[]string{usual}, 1}, {[]string{usual}, 1}, {[]string{usual}, 1}, {pieces, 2}, {[]string{lastRequest}, 1}}
		got, want := script.play(t, known), script.play(t, plain)
		if got != want {
			t.Errorf("%s: %q is answered\n%s\nand by net/http\n%s", name, pieces, got, want)
		}
	}
}

// TestRepeatedRequestsPassNetHTTPBy, or all of this is for nothing.
func TestRepeatedRequestsPassNetHTTPBy(t *testing.T) {
	s := newPipeServer(t, Options{}, true)
	setReady(t, s.api)
	c := s.dial(t)
	for i := range 5 {
		go c.send(write("m f=1i 1"))
		if status := c.await(); status != http.StatusNoContent {
			t.Fatalf("request %d is answered %d", i, status)
		}
	}
	go c.send(lastRequest)
	if status := c.await(); status != http.StatusOK {
		t.Fatalf("another request is answered %d", status)
	}
	if n := s.repeated(t); n != 4 { // the first is remembered
		t.Errorf("%v requests of 5 passed net/http by, not 4", n)
	}
}

// TestRepeatedRequestsAreChecked: a quota holds for each of them.
func TestRepeatedRequestsAreChecked(t *testing.T) {
	s := newPipeServer(t, Options{WriteQuotaRequests: 7}, true)
	setReady(t, s.api)
	c := s.dial(t)
	for i := range 9 {
		want := http.StatusNoContent
		if i >= 7 {
			want = http.StatusTooManyRequests
		}
		go c.send(write("m f=1i 1"))
		if status := c.await(); status != want {
			t.Errorf("request %d is answered %d, not %d", i, status, want)
		}
	}
}

// TestStopLetsRepeatedRequestsFinish: a connection that seems to be idle gets its answer, and then it ends.
func TestStopLetsRepeatedRequestsFinish(t *testing.T) {
	s := newPipeServer(t, Options{}, true)
	begun, held := make(chan struct{}), make(chan struct{})
	s.api.mux.HandleFunc("POST /hold", func(w http.ResponseWriter, r *http.Request) {
		lookAway(r)
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		mayRepeat(r)
		begun <- struct{}{}
		<-held
		w.WriteHeader(http.StatusNoContent)
	})
	c := s.dial(t)
	const request = "POST /hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
	for range 3 {
		go c.send(request)
		<-begun
		held <- struct{}{}
		if status := c.await(); status != http.StatusNoContent {
			t.Fatalf("answered %d", status)
		}
	}
	go c.send(request)
	<-begun
	s.api.SetStopping()
	if err := s.http.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.api.AwaitAnswers(soon); err == nil {
		t.Error("nothing was waited for")
	}
	held <- struct{}{}
	if status := c.await(); status != http.StatusNoContent {
		t.Errorf("the last request is answered %d", status)
	}
	if err := s.api.AwaitAnswers(context.Background()); err != nil {
		t.Error(err)
	}
	if status := c.await(); status != 0 {
		t.Errorf("the connection goes on with %d", status)
	}
}
