package ingestapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the answers in the documentation")

const docsFile = "../docs/ingest-api.md"

// untilRefused stands before an example that is sent until the rate limit is reached.
const untilRefused = "<!-- until the limit is reached -->"

// Each example of the documentation is sent to a server, in their order, and must be
// answered as it says there.
func TestDocumentationShowsWhatIsAnswered(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.limit = DefaultRequestsPerMinute
	s.restart()
	var out strings.Builder
	var answer string // what the next block should say
	examples := 0
	rest := string(text)
	for {
		before, language, block, after, ok := cutBlock(rest)
		if !ok {
			out.WriteString(rest)
			break
		}
		rest = after
		switch {
		case answer != "":
			if !*update && block != answer {
				t.Errorf("the documentation says\n%s\nthe answer is\n%s", block, answer)
			}
			block, answer = answer, ""
		case language == "http":
			answer = s.runExample(block, strings.HasSuffix(strings.TrimSpace(before), untilRefused))
			examples++
		case language == "sql":
			answer = s.sql(block) + "\n"
			examples++
		}
		fmt.Fprintf(&out, "%s```%s\n%s```\n", before, language, block)
	}
	if examples < 15 {
		t.Errorf("the documentation has %d examples only", examples)
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cutBlock finds the next fenced block of code.
func cutBlock(text string) (before, language, block, after string, ok bool) {
	before, rest, ok := strings.Cut(text, "```")
	if !ok {
		return text, "", "", "", false
	}
	language, rest, _ = strings.Cut(rest, "\n")
	if after, ok := strings.CutPrefix(rest, "```\n"); ok {
		return before, language, "", after, true
	}
	block, after, ok = strings.Cut(rest, "\n```\n")
	return before, language, block + "\n", after, ok
}

// runExample sends a request that is written as in HTTP, and returns the answer likewise.
func (s *site) runExample(text string, repeat bool) string {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	var headers []string
	for _, line := range lines[1:] {
		if name, value, _ := strings.Cut(line, ": "); !strings.Contains(value, "$TOKEN") {
			headers = append(headers, name, value)
		}
	}
	a := s.do(method, path, body, headers...)
	for repeat && a.StatusCode == http.StatusOK {
		a = s.do(method, path, body, headers...)
	}
	return a.show(strings.HasSuffix(path, "/stream"))
}

// show writes an answer down, with its headers where they are what the example is about.
func (a answer) show(headers bool) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\n", a.Status)
	if headers {
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"} {
			if v := a.Header.Get(name); v != "" {
				fmt.Fprintf(&b, "%s: %s\n", name, v)
			}
		}
	}
	if a.text != "" {
		b.WriteString("\n" + layOut(a.text) + "\n")
	}
	return b.String()
}

// layOut breaks the lines of an answer so that each item of a list has one.
func layOut(text string) string {
	var list struct {
		Entity struct{ Items []json.RawMessage }
		Specs  []json.RawMessage
	}
	if json.Unmarshal([]byte(text), &list) != nil {
		return text
	}
	for _, item := range append(list.Entity.Items, list.Specs...) {
		text = strings.Replace(text, string(item), "\n  "+string(item), 1)
	}
	return text
}
