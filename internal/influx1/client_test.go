package influx1

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// reply is an answer to a question.
type reply struct {
	status int
	body   string
}

// line writes a reply in one line; a body of several is quoted.
func (r reply) line() string {
	body := r.body
	if strings.ContainsRune(body, '\n') || strings.HasPrefix(body, `"`) {
		body = strconv.Quote(body)
	}
	return fmt.Sprintf("%d %s", r.status, body)
}

func parseReply(line string) (reply, error) {
	status, body, _ := strings.Cut(line, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		return reply{}, fmt.Errorf("an answer begins with its status: %w", err)
	}
	if strings.HasPrefix(body, `"`) {
		if body, err = strconv.Unquote(body); err != nil {
			return reply{}, fmt.Errorf("a quoted answer: %w", err)
		}
	}
	return reply{code, body}, nil
}

// server is one of either kind: they have the same API.
type server struct {
	t    *testing.T
	url  string
	http *http.Client
}

// ask sends a question.
func (s *server) ask(q question) reply {
	s.t.Helper()
	params, accept := q.values()
	form := url.Values{"q": {q.text}}
	for name, value := range params {
		form.Set(name, value)
	}
	return s.do(http.MethodGet, "/query", form, nil, accept)
}

func (s *server) do(method, path string, form url.Values, body []byte, accept string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path+"?"+form.Encode(), bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if accept == "" {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	return reply{resp.StatusCode, string(text)}
}

// write writes line protocol through the API of InfluxDB 1.
func (s *server) write(db, precision string, lines []string) {
	s.t.Helper()
	const linesOnce = 10_000 // stays below the limit of a request
	for len(lines) > 0 {
		n := min(linesOnce, len(lines))
		form := url.Values{"db": {db}, "precision": {precision}}
		a := s.do(http.MethodPost, "/write", form, []byte(strings.Join(lines[:n], "\n")), "")
		if a.status != http.StatusNoContent {
			s.t.Fatalf("writing to %s: %d %.500s", db, a.status, a.body)
		}
		lines = lines[n:]
	}
}

// dataset is what a database holds.
type dataset struct {
	db, precision string
	lines         []string
}

// readData returns the databases, in the order in which they are created.
func readData(t *testing.T) []dataset {
	t.Helper()
	var all []dataset
	for _, d := range []struct {
		db, precision string
		set           datasets.Set
	}{{"weather", "n", datasets.Weather}, {"wind", "s", datasets.Wind}, {"bitcoin", "n", datasets.Bitcoin}, {"tsbs", "n", datasets.DevOps}} {
		text, err := d.set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, dataset{d.db, d.precision, points(strings.Split(string(text), "\n"))})
	}
	return append(all, dataset{"edge", "n", points(readLines(t, "testdata/edge.lp"))})
}

// points drops what is no point: comments and empty lines.
func points(lines []string) []string {
	kept := lines[:0]
	for _, l := range lines {
		if l != "" && l[0] != '#' {
			kept = append(kept, l)
		}
	}
	return kept
}
