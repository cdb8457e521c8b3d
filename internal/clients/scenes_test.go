package clients

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// stage is what a program of testdata reads from its standard input. The program uses one
// client in the ways its users do, and prints a scene for each.
type stage struct {
	URL      string `json:"url"`
	Token    string `json:"token"`    // may read Database, and nothing else
	Operator string `json:"operator"` // may do all
	Database string `json:"database"`
}

// shown is one scene: what a user sees.
type shown struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// newStage starts a server with what the programs expect.
func newStage(t *testing.T) stage {
	t.Helper()
	srv, token := startReadingServer(t)
	srv.write("other", oneLine)
	return stage{URL: srv.url, Token: token, Operator: srv.token, Database: readingDatabase}
}

// play runs a program and compares its scenes with a file of testdata/seen.
func (st stage) play(t *testing.T, file string, cmd *exec.Cmd) {
	t.Helper()
	job, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = plainEnvironment(), bytes.NewReader(append(job, '\n')), &stderr
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tooLong := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	tooLong.Stop()
	out := stdout.Bytes()
	if err != nil {
		t.Errorf("%s: %v\n%s\n%s", cmd, err, out, stderr.String())
	}
	a := openAlbum(t, file)
	seen := make(map[string]bool)
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var s shown
		if err := dec.Decode(&s); err != nil {
			t.Fatalf("%s printed %s: %v", cmd, out, err)
		}
		seen[s.Title] = true
		a.checkExactly(t, s.Title, st.withoutNames(s.Text))
	}
	for title := range a.pictures {
		if !seen[title] {
			t.Errorf("%s has a scene %q, which %s does not show", a.path, title, cmd)
		}
	}
}

// withoutNames replaces what differs from run to run.
func (st stage) withoutNames(text string) string {
	return strings.NewReplacer(st.URL, "<url>", strings.TrimPrefix(st.URL, "http://"), "<address>",
		st.Token, "<token>", st.Operator, "<operator>").Replace(text)
}

// TestPythonProgramsRead shows K5 and K6 for the Flight SQL clients of Python, and K7 for its
// client of InfluxDB 1.
func TestPythonProgramsRead(t *testing.T) {
	need(t, "python", "python3")
	for _, p := range []struct{ file, program string }{
		{"read-adbc", "adbc.py"},
		{"read-flightsql-dbapi", "flightsql_dbapi.py"},
		{"read-influxdb1-python", "influxdb1.py"},
	} {
		t.Run(p.program, func(t *testing.T) {
			cmd, err := python(p.program)
			if err != nil {
				t.Fatal(err)
			}
			newStage(t).play(t, p.file, cmd)
		})
	}
}

// TestNodeProgramsRead shows K7 for the client of InfluxDB 1 for Node.
func TestNodeProgramsRead(t *testing.T) {
	need(t, "node", "node", "npm")
	cmd, err := node("influx1.mjs")
	if err != nil {
		t.Fatal(err)
	}
	newStage(t).play(t, "read-influxdb1-node", cmd)
}
