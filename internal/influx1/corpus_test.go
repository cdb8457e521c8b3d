package influx1

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// question is a line of testdata/queries.txt.
type question struct {
	section string
	// params are URL parameters, name=value with spaces between, as they stand in the file.
	// One called accept is the header of that name.
	params string
	text   string
}

// key names a question in the other files.
func (q question) key() string { return strings.TrimSpace(q.params + " " + q.text) }

// readCorpus reads the questions in their order.
func readCorpus(t *testing.T) []question {
	t.Helper()
	var all []question
	var section, params string
	seen := make(map[string]bool)
	for _, line := range readLines(t, "testdata/queries.txt") {
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "", "#":
		case "=":
			section, params = rest, ""
		case "@":
			params = rest
		default:
			q := question{section, params, line}
			if seen[q.key()] {
				t.Errorf("queries.txt asks twice: %s", q.key())
			}
			seen[q.key()] = true
			all = append(all, q)
		}
	}
	return all
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const longest = 1 << 20
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longest)
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return all
}

// values splits a question's parameters.
func (q question) values() (params map[string]string, accept string) {
	params = make(map[string]string)
	for _, p := range strings.Fields(q.params) {
		name, value, _ := strings.Cut(p, "=")
		if name == "accept" {
			accept = value
			continue
		}
		params[name] = value
	}
	return params, accept
}

// String shows where a question stands.
func (q question) String() string { return fmt.Sprintf("[%s] %s", q.section, q.key()) }
