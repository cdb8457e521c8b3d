package clients

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document is what the examples are taken from. Those for curl are run where the routes are
// tested.
const document = repository + "/docs/querying.md"

// program finds an example in another language, with what stands behind it: its output.
var program = regexp.MustCompile("(?s)```(python|go|js|java)\n(.*?\n)```\n(?:\nPrints:\n\n```text\n.*?```\n)?")

// TestEveryProgramOfTheDocumentPrintsWhatItSays runs the programs of docs/querying.md on the
// data that it tells to load. With -update it writes what they print into the document.
func TestEveryProgramOfTheDocumentPrintsWhatItSays(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t)
	loadExamples(t, srv)
	got := program.ReplaceAllStringFunc(string(text), func(example string) string {
		m := program.FindStringSubmatch(example)
		shown := example
		t.Run(m[1], func(t *testing.T) {
			out := runExample(t, m[1], strings.ReplaceAll(m[2], "localhost:8181", strings.TrimPrefix(srv.url, "http://")))
			shown = "```" + m[1] + "\n" + m[2] + "```\n\nPrints:\n\n```text\n" + strings.TrimRight(out, "\n") + "\n```\n"
			if shown != example && !*update {
				t.Errorf("an example prints\n%s\nwhich is not what %s says:\n%s", out, document, example)
			}
		})
		return shown
	})
	if *update && got != string(text) {
		if err := os.WriteFile(document, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// loadExamples stores what the document asks about.
func loadExamples(t *testing.T, srv *server) {
	t.Helper()
	for file, precision := range map[string]string{"eu-wind-data": "s", "bay-area-weather": "ns", "bitcoin": "ns"} {
		packed, err := os.Open(filepath.Join(repository, "internal", "datasets", "data", file+".lp.gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer packed.Close()
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		status, answer := srv.send(http.MethodPost, "/api/v3/write_lp?db=examples&precision="+precision, body)
		if status != http.StatusNoContent {
			t.Fatalf("%s was answered %d %s", file, status, answer)
		}
	}
}

// runExample runs a program and returns what it prints.
func runExample(t *testing.T, language, text string) string {
	t.Helper()
	cmd := exampleCommand(t, language, text)
	var out, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = plainEnvironment(), &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, text, out.String(), stderr.String())
	}
	return out.String()
}

// exampleCommand writes a program to a file, and says how to run it.
func exampleCommand(t *testing.T, language, text string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	switch language {
	case "python":
		need(t, "python", "python3")
		home := mustInstall(t, installPython)
		return exec.Command(filepath.Join(home, "venv", "bin", "python3"), file("example.py"))
	case "js":
		need(t, "node", "node", "npm")
		home := mustInstall(t, installNode)
		if err := os.Symlink(filepath.Join(home, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		return exec.Command("node", file("example.mjs"))
	case "java":
		need(t, "jdbc", "java", "mvn")
		return javaCommand(mustInstall(t, installJDBC), file("Example.java"))
	}
	need(t, "go", "go")
	return exec.Command("go", "run", file("example.go")) // in this module, which has the library
}

func mustInstall(t *testing.T, install func() (string, error)) string {
	t.Helper()
	home, err := install()
	if err != nil {
		t.Fatal(err)
	}
	return home
}
