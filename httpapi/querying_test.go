package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

var (
	// curlText finds the examples of docs/querying.md that are for curl; those for the
	// clients are run in internal/clients.
	curlText = regexp.MustCompile("(?s)```sh\n(curl .*?)\n```\n")
	// shownText is the answer that stands behind an example.
	shownText = regexp.MustCompile("(?s)\\A\nAnswer:\n\n```\\w+\n.*?\n```\n")
)

// TestEveryQueryOfTheDocumentIsAnsweredAsItSays runs the curl examples in order, on the data
// that the document tells to load. With -update it writes the answers into the document.
func TestEveryQueryOfTheDocumentIsAnsweredAsItSays(t *testing.T) {
	path := filepath.Join("..", "docs", "querying.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, Options{}, true)
	loadExamples(t, s)
	var got bytes.Buffer
	for {
		at := curlText.FindSubmatchIndex(text)
		if at == nil {
			break
		}
		got.Write(text[:at[1]])
		got.WriteString(s.showExample(t, string(text[at[2]:at[3]])))
		text = text[at[1]:]
		text = text[len(shownText.Find(text)):]
	}
	got.Write(text)
	compareGolden(t, path, got.Bytes())
}

// loadExamples stores what docs/querying.md asks about.
func loadExamples(t *testing.T, s *site) {
	t.Helper()
	for _, set := range []datasets.Set{datasets.Wind, datasets.Weather, datasets.Bitcoin} {
		body, err := set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		a := s.post("/api/v3/write_lp?db=examples&precision="+set.Precision, string(body))
		a.is(t, http.StatusNoContent, "")
	}
	s.post("/api/v3/flush", "").is(t, http.StatusNoContent, "")
}

// showExample runs one request and shows the answer as curl does.
func (s *site) showExample(t *testing.T, command string) string {
	t.Helper()
	req, body := parseQueryCurl(t, command)
	a := s.do(req.method, req.path, strings.NewReader(body), req.headers...)
	text := strings.TrimRight(a.text, "\n")
	if slices.Contains(strings.Fields(command), "-i") {
		text = fmt.Sprintf("HTTP/1.1 %s\nContent-Type: %s\n\n%s", a.Status, a.Header.Get("Content-Type"), text)
	} else if a.StatusCode != http.StatusOK {
		t.Errorf("%s\nis answered %s\n%s", command, a.Status, a.text)
	}
	language := "text"
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") && !slices.Contains(strings.Fields(command), "-i") {
		language = "json"
	}
	return "\nAnswer:\n\n```" + language + "\n" + text + "\n```\n"
}

// parseQueryCurl reads the options of curl that the document uses.
func parseQueryCurl(t *testing.T, command string) (request, string) {
	t.Helper()
	var req request
	var data []string
	get := false
	words := shellWords(t, command, nil)
	for i := 1; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch word := words[i]; word {
		case "-i":
		case "-G":
			get = true
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			req.headers = append(req.headers, name, value)
		case "--data-urlencode":
			name, value, _ := strings.Cut(next(), "=")
			data = append(data, url.QueryEscape(name)+"="+url.QueryEscape(value))
		case "-d":
			data = append(data, next())
		default:
			u, err := url.Parse(word)
			if err != nil || u.Host != "localhost:8181" {
				t.Fatalf("%s: what is %q?", command, word)
			}
			req.path = u.RequestURI()
		}
	}
	body := strings.Join(data, "&")
	switch {
	case get:
		req.method = http.MethodGet
		if body != "" {
			req.path, body = req.path+"?"+body, ""
		}
	case body != "":
		req.method = http.MethodPost
		if !slices.Contains(req.headers, "Content-Type") {
			req.headers = append(req.headers, "Content-Type", "application/x-www-form-urlencoded")
		}
	default:
		req.method = http.MethodGet
	}
	return req, body
}
