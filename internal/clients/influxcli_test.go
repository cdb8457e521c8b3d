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
	address, err := url.Parse(srv.url)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), influxCLI(t),
		append([]string{"-host", address.Hostname(), "-port", address.Port(), "-precision", "ns"}, args...)...)
	cmd.Env = append(plainEnvironment(), "HOME="+t.TempDir()) // where it keeps a history
	out, _ := cmd.CombinedOutput()                            // it ends with 1 after a refusal
	return string(out)
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
