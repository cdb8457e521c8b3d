package influx1

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const (
	// influxdVariable names a server of InfluxDB 1.6.7 to record.
	influxdVariable = "SILTSTONE_INFLUXD"
	// clientsVariable is that of internal/clients; all allows to get InfluxDB from Debian
	// and checks the recording.
	clientsVariable = "SILTSTONE_CLIENTS"
)

// influxd returns the path of the server, which it gets from Debian if need be.
func influxd(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(influxdVariable); path != "" {
		return path
	}
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s names no influxd, and %s is not there to get it", influxdVariable, program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(cache, "siltstone-clients", "influxd-1.6.7")
	path := filepath.Join(home, "usr", "bin", "influxd")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	unpackInfluxd(t, home)
	return path
}

// unpackInfluxd makes home whole or not at all.
func unpackInfluxd(t *testing.T, home string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		t.Fatal(err)
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(home), "influxd-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(unfinished)
	for _, command := range []string{"apt-get download influxdb", "dpkg-deb -x influxdb_1.6.7*.deb ."} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = unfinished
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	if err := os.Rename(unfinished, home); err != nil {
		t.Fatal(err)
	}
}

// config keeps influxd to loopback and to its directory, and silent.
const config = `
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "%[1]s/meta"
[data]
  dir = "%[1]s/data"
  wal-dir = "%[1]s/wal"
[http]
  bind-address = "127.0.0.1:0"
  log-enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[subscriber]
  enabled = false
`

// listening is what influxd logs when it can be asked.
var listening = regexp.MustCompile(`msg="Listening on HTTP".* addr=(\S+)`)

// startInfluxd runs InfluxDB over an empty directory until the test ends.
func startInfluxd(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, config, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(influxd(t), "run", "-config", path)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		<-drained
		_ = cmd.Wait()
	})
	address := ""
	for address == "" && lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	go func() {
		defer close(drained)
		for lines.Scan() { // or it would block
		}
	}()
	if address == "" {
		t.Fatal("influxd ended before it listened")
	}
	return &server{t: t, url: "http://" + address, http: &http.Client{Transport: &http.Transport{}}}
}

// fill creates the databases of InfluxDB and writes the data. A shard holds everything but
// in the last database, so that a query need not open one for each week.
func (s *server) fill(data []dataset) {
	s.t.Helper()
	for i, d := range data {
		statement := "CREATE DATABASE " + d.db
		if i < len(data)-1 {
			statement += " WITH SHARD DURATION 1000w NAME autogen"
		}
		form := url.Values{"q": {statement}}
		if a := s.do(http.MethodPost, "/query", form, nil, ""); strings.Contains(a.body, "error") {
			s.t.Fatalf("%s: %s", statement, a.body)
		}
		s.write(d.db, d.precision, d.lines)
	}
}
