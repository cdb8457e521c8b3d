package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// TestOpenServerAnswersNoPageOfAnotherSite as browsers send their requests.
func TestOpenServerAnswersNoPageOfAnotherSite(t *testing.T) {
	s := newSite(t, Options{OpenWithoutTokens: true}, true)
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"no browser":                {nil, 200},
		"a local page":              {[]string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 200},
		"typed into the address":    {[]string{"Sec-Fetch-Site", "none"}, 200},
		"a link on another site":    {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		"a script on another site":  {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"an image on another site":  {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"a file":                    {[]string{"Origin", "null"}, 403},
		"a name that points here":   {[]string{"Host", "evil.example:8181"}, 403},
		"a name of this machine":    {[]string{"Host", "workstation:8181"}, 200},
		"a number that points here": {[]string{"Host", "127.0.0.1:8181", "Sec-Fetch-Site", "same-origin"}, 200},
	} {
		a := s.do("GET", databases, nil, c.header...)
		if a.StatusCode != c.status {
			t.Errorf("%s: %s %s", name, a.Status, a.text)
		}
		if cors := a.Header.Get("Access-Control-Allow-Origin"); c.status == 403 && cors != "" {
			t.Errorf("%s may be read by %s", name, cors)
		}
	}
	if a := s.do("POST", tokenPath+"/admin", nil, "Origin", "https://evil.example"); a.StatusCode != 403 {
		t.Errorf("the first token for a page: %s %s", a.Status, a.text)
	}
	s.addToken(schema.Token{Name: "admin", Admin: true}, "secret")
	if a := s.do("GET", databases, nil, "Origin", "https://app.example", "Authorization", "Bearer secret"); a.StatusCode != 200 {
		t.Errorf("with a token: %s %s", a.Status, a.text)
	}
}

// TestBodyThatNeverComesHoldsNoConnection of a sender who is refused before it is read.
func TestBodyThatNeverComesHoldsNoConnection(t *testing.T) {
	s, _ := newGuarded(t, Options{})
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", framing)
		// Ten times as long as it may take.
		if err := conn.SetReadDeadline(time.Now().Add(10 * unreadBodyGrace)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", framing, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", framing, resp.Status)
		}
	}
}

// TestBodyThatStallsBeyondTheLimitHoldsNoConnection, nor one that cannot be decompressed.
func TestBodyThatStallsBeyondTheLimitHoldsNoConnection(t *testing.T) {
	s := newSite(t, Options{MaxRequestBytes: 1000}, true)
	for name, c := range map[string]struct {
		head, body string
		status     int
	}{
		"too large":    {"Transfer-Encoding: chunked", "7d0\r\n" + strings.Repeat("x", 2000) + "\r\n", 413},
		"corrupt gzip": {"Content-Encoding: gzip\r\nContent-Length: 900", strings.Repeat("x", 900), 400},
	} {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v3/write_lp?db=db HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s", c.head, c.body)
		if err := conn.SetReadDeadline(time.Now().Add(10 * unreadBodyGrace)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

func TestPathsThatAreNotCleanAreNotFound(t *testing.T) {
	s, _ := newGuarded(t, Options{})
	for _, path := range []string{"//ping", "/api//v3/query_sql", "/nothing/../ping"} {
		if a := s.do("GET", path, nil, "Authorization", "Bearer admin"); a.StatusCode != 404 {
			t.Errorf("%s: %s", path, a.Status)
		}
		if a := s.do("GET", path, nil); a.StatusCode != 401 {
			t.Errorf("%s without a token: %s", path, a.Status)
		}
	}
}
