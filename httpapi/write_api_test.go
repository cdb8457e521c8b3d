package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// example is a request of docs/write-api.md: a curl command, and the setup it names.
type example struct {
	setup   string
	command string
}

var (
	// exampleText finds the requests; what follows up to answerText's end is generated.
	exampleText = regexp.MustCompile("(?s)```sh( [a-z]+)?\n(curl .*?)\n```\n")
	// answerText is what showExample writes.
	answerText = regexp.MustCompile("(?s)\\A(\nAnswer[^\n]*:\n\n```http\n.*?\n```\n)*")
)

// TestEveryExampleOfTheDocumentIsAnsweredAsItSays runs the requests in order, under each
// contract; those with the same setup meet the same server. With -update it writes the
// answers into the document.
func TestEveryExampleOfTheDocumentIsAnsweredAsItSays(t *testing.T) {
	path := filepath.Join("..", "docs", "write-api.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	servers := make(stages)
	used := make(map[string]bool)
	for {
		at := exampleText.FindSubmatchIndex(text)
		if at == nil {
			break
		}
		e := example{command: string(text[at[4]:at[5]])}
		if at[2] >= 0 {
			e.setup = strings.TrimSpace(string(text[at[2]:at[3]]))
		}
		got.Write(text[:at[1]])
		got.WriteString(servers.show(t, e))
		text = text[at[1]:]
		text = text[len(answerText.Find(text)):]
		used[e.setup] = true
	}
	got.Write(text)
	for name := range setups {
		if !used[name] {
			t.Errorf("the document has no example with the setup %q", name)
		}
	}
	compareGolden(t, path, got.Bytes())
}

// show runs an example and prints its answers.
func (st stages) show(t *testing.T, e example) string {
	t.Helper()
	var shown [3]string
	for i, c := range contracts {
		at := st.get(t, c, e.setup)
		req, body := parseCurl(t, e.command, at.vars)
		a := at.site.do(req.method, req.path, strings.NewReader(body), req.headers...)
		checkAnswer(t, e.command, a)
		shown[i] = "```http\n" + strings.TrimRight(a.show(), "\n") + "\n```\n"
	}
	text := byContract(shown, "\nAnswer under `%s`:\n\n", "`, `")
	return strings.Replace(text, "Answer under `core`, `dedicated`, `serverless`:", "Answer:", 1)
}

// request is what a curl command asks for; headers are pairs of name and value.
type request struct {
	method, path string
	headers      []string
}

// parseCurl reads the few options of curl that the document uses.
func parseCurl(t *testing.T, command string, vars map[string]string) (request, string) {
	t.Helper()
	req := request{method: http.MethodPost}
	body := ""
	words := shellWords(t, command, vars)
	for i := 1; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch word := words[i]; word {
		case "-i":
		case "-X":
			req.method = next()
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			req.headers = append(req.headers, name, value)
		case "--data-binary":
			body = next()
		default:
			u, err := url.Parse(word)
			if err != nil || u.Host != "localhost:8181" {
				t.Fatalf("%s: what is %q?", command, word)
			}
			req.path = u.RequestURI()
		}
	}
	return req, body
}

// shellWords splits a command as a shell does, as far as the document goes: both kinds of
// quotes, variables between double ones, and a backslash before a line break.
func shellWords(t *testing.T, command string, vars map[string]string) []string {
	t.Helper()
	var words []string
	for rest := strings.TrimSpace(command); rest != ""; {
		word, quote := "", rest[:1]
		if quote == "'" || quote == `"` {
			var closed bool
			if word, rest, closed = strings.Cut(rest[1:], quote); !closed {
				t.Fatalf("%s: a quote is not closed", command)
			}
		} else if end := strings.IndexAny(rest, " \n"); end < 0 {
			word, rest = rest, ""
		} else {
			word, rest = rest[:end], rest[end:]
		}
		if quote == `"` {
			word = os.Expand(word, func(name string) string { return vars[name] })
		}
		if word != `\` {
			words = append(words, word)
		}
		rest = strings.TrimLeft(rest, " \n")
	}
	return words
}

func TestDocumentHasEveryRowOfTheContract(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "write-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	for o := range outcomes {
		for _, c := range contracts {
			status := fmt.Sprintf("HTTP/1.1 %d", c.reply(o).status)
			if !bytes.Contains(text, []byte(status)) {
				t.Errorf("no example of %s, outcome %d under %s", status, o, c)
			}
		}
	}
}
