package clients

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// influxCLI returns the shell of InfluxDB 1, unpacked from Debian's package without being
// installed.
func influxCLI(t *testing.T) string {
	t.Helper()
	need(t, "influx", "apt-get", "dpkg-deb")
	home, err := install("influx", nil,
		step{"apt-get", "download", "influxdb-client"},
		step{"sh", "-c", "dpkg-deb -x influxdb-client_*.deb ."})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(home, "usr", "bin", "influx")
}

// runInflux runs the shell and returns what it prints.
func runInflux(t *testing.T, srv *server, args ...string) string {
	t.Helper()
	cmd := influxCommand(t, srv, append([]string{"-precision", "ns"}, args...)...)
	out, _ := cmd.CombinedOutput() // it ends with 1 after a refusal
	return string(out)
}

func influxCommand(t *testing.T, srv *server, args ...string) *exec.Cmd {
	t.Helper()
	address, err := url.Parse(srv.url)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), influxCLI(t),
		append([]string{"-host", address.Hostname(), "-port", address.Port()}, args...)...)
	cmd.Env = append(plainEnvironment(), "HOME="+t.TempDir(), "TERM=dumb") // where it keeps a history
	return cmd
}

// typeIntoInflux types lines into the shell and returns what it prints. It has prompts and
// commands of its own only on a terminal, which the program script makes.
func typeIntoInflux(t *testing.T, srv *server, lines ...string) string {
	t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		missing(t, "script is not installed, which typing into the shell needs")
	}
	shell := influxCommand(t, srv)
	cmd := exec.CommandContext(t.Context(), "script", "-qec", strings.Join(shell.Args, " "), "/dev/null")
	cmd.Env, cmd.Stdin = shell.Env, strings.NewReader(strings.Join(lines, "\n")+"\nexit\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	text := strings.ReplaceAll(string(out), "\r\n", "\n")
	if _, answers, ok := strings.Cut(text, "InfluxDB shell version"); ok {
		return "InfluxDB shell version" + answers // without the echo of what was typed
	}
	return text
}

// TestInfluxShellInserts shows K1 and K2 for a client of InfluxDB 1.
func TestInfluxShellInserts(t *testing.T) {
	influxCLI(t)
	srv := startServer(t)
	out := runInflux(t, srv, "-database", "shell", "-execute", `INSERT cpu,host=a\ b usage=1.5,s="x y" 1`)
	got := srv.query("shell", "SELECT * FROM cpu")
	if len(got) != 1 || got[0].text("host") != "a b" || got[0].text("usage") != "1.5" || got[0].text("s") != "x y" {
		t.Errorf("there is %v\n%s", got, out)
	}
	openAlbum(t, "influx-shell").check(t, "INSERT of another type",
		runInflux(t, srv, "-database", "shell", "-execute", `INSERT cpu usage="high" 2`))
}

// TestInfluxShellImportsAFile: of a file with a bad line, everything else arrives.
func TestInfluxShellImportsAFile(t *testing.T) {
	influxCLI(t)
	srv := startServer(t)
	path := filepath.Join(t.TempDir(), "dump.txt")
	dump := "# DML\n# CONTEXT-DATABASE: imported\n# CONTEXT-RETENTION-POLICY: autogen\n" +
		"cpu,host=a usage=1 1\ncpu,host=a usage=2 2\ncpu,host=a usage=\"high\" 3\ncpu,host=a usage=4 4\n"
	if err := os.WriteFile(path, []byte(dump), 0o600); err != nil {
		t.Fatal(err)
	}
	out := runInflux(t, srv, "-import", "-path", path)
	if n := srv.count("imported", "cpu"); n != 3 {
		t.Errorf("%d rows, not 3\n%s", n, out)
	}
	openAlbum(t, "influx-shell").check(t, "import of a file with a bad line", withoutClock(out))
}

// withoutClock drops the time at the beginning of the importer's lines, and its figures
// of speed.
func withoutClock(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if len(line) > len("2006/01/02 15:04:05 ") && line[4] == '/' && line[13] == ':' {
			line = line[len("2006/01/02 15:04:05 "):]
		}
		if !strings.Contains(line, "PPS") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestInfluxShellShowsThatATokenIsNeeded: its password is a token.
func TestInfluxShellShowsThatATokenIsNeeded(t *testing.T) {
	influxCLI(t)
	srv := startServer(t)
	srv.createOperator()
	a := openAlbum(t, "influx-shell")
	const insert = "INSERT cpu usage=1.5 1"
	a.check(t, "INSERT without a token", runInflux(t, srv, "-database", "shell", "-execute", insert))
	if n := srv.count("shell", "cpu"); n != 0 {
		t.Errorf("%d rows without a token", n)
	}
	out := runInflux(t, srv, "-database", "shell", "-username", "anybody", "-password", srv.token, "-execute", insert)
	if n := srv.count("shell", "cpu"); n != 1 {
		t.Errorf("%d rows with a token\n%s", n, out)
	}
}

// shellReads are what people type into the shell.
var shellReads = []struct {
	name string
	args []string
}{
	{"databases", []string{"-execute", "SHOW DATABASES"}},
	{"measurements", []string{"-database", readingDatabase, "-execute", "SHOW MEASUREMENTS"}},
	{"series", []string{"-database", readingDatabase, "-execute", "SHOW SERIES"}},
	{"tag keys", []string{"-database", readingDatabase, "-execute", "SHOW TAG KEYS"}},
	{"tag values", []string{"-database", readingDatabase, "-execute", "SHOW TAG VALUES FROM home WITH KEY = room"}},
	{"field keys", []string{"-database", readingDatabase, "-execute", "SHOW FIELD KEYS FROM kinds"}},
	{"retention policies", []string{"-database", readingDatabase, "-execute", "SHOW RETENTION POLICIES"}},
	{"column format", []string{"-database", readingDatabase, "-execute", "SELECT * FROM kinds"}},
	{"json format", []string{"-database", readingDatabase, "-format", "json", "-pretty", "-execute", "SELECT * FROM kinds LIMIT 1"}},
	{"csv format", []string{"-database", readingDatabase, "-format", "csv", "-execute", "SELECT * FROM kinds"}},
	{"times as text", []string{"-database", readingDatabase, "-precision", "rfc3339", "-execute", "SELECT temp FROM home LIMIT 2"}},
	{"times in seconds", []string{"-database", readingDatabase, "-precision", "s", "-execute", "SELECT temp FROM home LIMIT 2"}},
	{"groups", []string{"-database", readingDatabase, "-execute", `SELECT mean(temp) FROM home WHERE time >= '2025-01-01T00:00:00Z' AND time < '2025-01-01T00:04:00Z' GROUP BY time(2m), room`}},
	{"two statements", []string{"-database", readingDatabase, "-execute", "SELECT count(temp) FROM home; SELECT count(f) FROM kinds"}},
	{"the database in the query", []string{"-execute", `SELECT count(temp) FROM "reading".."home"`}},
	{"no database", []string{"-execute", "SELECT count(temp) FROM home"}},
	{"a statement that is wrong", []string{"-database", readingDatabase, "-execute", "SELECT FROM home"}},
	{"a measurement that there is not", []string{"-database", readingDatabase, "-execute", "SELECT * FROM attic"}},
	{"a database that there is not", []string{"-database", "nowhere", "-execute", "SELECT * FROM attic"}},
	{"what InfluxDB 1 has and Siltstone has not", []string{"-database", readingDatabase, "-execute", "CREATE USER ada WITH PASSWORD 'x'"}},
}

// TestInfluxShellReads shows K7.
func TestInfluxShellReads(t *testing.T) {
	influxCLI(t)
	srv := startServer(t)
	srv.write(readingDatabase, readingPoints)
	a := openAlbum(t, "read-influx-shell")
	for _, r := range shellReads {
		t.Run(r.name, func(t *testing.T) { a.checkExactly(t, r.name, runInflux(t, srv, r.args...)) })
	}
	t.Run("typed in", func(t *testing.T) {
		a.checkExactly(t, "typed in", typeIntoInflux(t, srv, "CREATE DATABASE made", "USE made", "INSERT m f=1 1", "SELECT * FROM m",
			"precision rfc3339", "SELECT * FROM m", "DROP MEASUREMENT m", "SHOW MEASUREMENTS", "USE nowhere", "DROP DATABASE made", "SHOW DATABASES"))
	})
}
