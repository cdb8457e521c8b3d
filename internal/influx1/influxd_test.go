package influx1

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/siltstone-db/siltstone/internal/thirdparty"
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
	if err := thirdparty.Need("apt-get", "dpkg-deb"); err != nil {
		t.Skipf("%s names no influxd: %v", influxdVariable, err)
	}
	path, err := thirdparty.Influxd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startInfluxd runs InfluxDB over an empty directory until the test ends.
func startInfluxd(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(path, thirdparty.InfluxdConfig(dir, ""), 0o600); err != nil {
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
		address, _ = thirdparty.InfluxdAddress(lines.Text())
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
