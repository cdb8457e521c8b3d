package clients

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// telegrafSource is what is built, with the few plugins that are needed here.
const (
	telegrafSource = "github.com/influxdata/telegraf/cmd/telegraf@v1.39.3"
	telegrafTags   = "custom,inputs.file,outputs.influxdb,outputs.influxdb_v2,outputs.influxdb_v3,parsers.influx,serializers.influx"
)

// telegrafOutputs are the plugins that write to InfluxDB, with their settings. The verbs
// are for the URL, the database and the token.
var telegrafOutputs = []struct{ name, settings string }{
	{"influxdb", "urls = [%q]\ndatabase = %q\nusername = \"anybody\"\npassword = %q\n"},
	{"influxdb_v2", "urls = [%q]\nbucket = %q\ntoken = %q\norganization = \"an org\"\n"},
	{"influxdb_v3", "urls = [%q]\ndatabase = %q\ntoken = %q\n"},
}

// telegraf returns the program, which takes minutes to build for the first time.
func telegraf(t *testing.T) string {
	t.Helper()
	need(t, "telegraf", "go")
	home, err := install("telegraf", nil, step{"go", "install", "-tags", telegrafTags, telegrafSource})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(home, "telegraf")
}

// telegrafConfig writes a configuration that reads metrics from a file, again and again
// if it has the time, and returns its path.
func telegrafConfig(t *testing.T, srv *server, output, database, metrics string) string {
	t.Helper()
	dir := t.TempDir()
	input := filepath.Join(dir, "metrics.lp")
	if err := os.WriteFile(input, []byte(metrics), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := ""
	for _, o := range telegrafOutputs {
		if o.name == output {
			settings = fmt.Sprintf(o.settings, srv.url, database, cmp.Or(srv.token, "none-needed"))
		}
	}
	text := fmt.Sprintf(`[agent]
interval = "500ms"
flush_interval = "200ms"
precision = "1ns" # it would round the metrics' times
omit_hostname = true
debug = true # without it outputs.influxdb_v3 does not log the reasons

[[inputs.file]]
files = [%q]
data_format = "influx"

[[outputs.%s]]
%s`, input, output, settings)
	path := filepath.Join(dir, "telegraf.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// telegrafOnce sends all metrics once and returns what Telegraf logs.
func telegrafOnce(t *testing.T, config string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), telegraf(t), "--once", "--config", config)
	cmd.Env = plainEnvironment()
	log, err := cmd.CombinedOutput()
	// It fails when metrics were dropped, which is what some tests want.
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return string(log)
}

// TestTelegrafDeliversEverything shows the first part of K4.
func TestTelegrafDeliversEverything(t *testing.T) {
	telegraf(t)
	srv := startServer(t)
	srv.createOperator()
	const metrics = 2500 // more than a batch
	var body strings.Builder
	for i := range metrics {
		fmt.Fprintf(&body, "cpu,host=host\\ %d usage=%d.5,n=%di,u=%du,s=\"a \\\"b\\\"\",b=true %d\n", i%10, i, i, i, 1_700_000_000_000_000_000+i)
	}
	for _, o := range telegrafOutputs {
		t.Run(o.name, func(t *testing.T) {
			log := telegrafOnce(t, telegrafConfig(t, srv, o.name, o.name, body.String()))
			got := srv.query(o.name, "SELECT count(*) AS n, sum(usage) AS usage, sum(n) AS i, max(s) AS s, min(time) AS first FROM cpu")
			want := fmt.Sprintf("[map[first:2023-11-14T22:13:20 i:%d n:%d s:a \"b\" usage:%d.0]]", metrics*(metrics-1)/2, metrics, metrics*metrics/2)
			if fmt.Sprint(got) != want {
				t.Errorf("there is %v, not %s\n%s", got, want, log)
			}
			// outputs.influxdb begins with CREATE DATABASE.
			if c := complaints(log, srv); c != noComplaint {
				t.Errorf("it logs\n%s", c)
			}
		})
	}
}

// TestTelegrafDropsWhatIsRejected shows the second part of K4, under each contract: the
// log has the reason, and everything else arrives.
func TestTelegrafDropsWhatIsRejected(t *testing.T) {
	telegraf(t)
	a := openAlbum(t, "telegraf-rejected-metric")
	for _, contract := range contracts {
		t.Run(contract, func(t *testing.T) {
			srv := startServer(t, "--write-contract", contract)
			for _, o := range telegrafOutputs {
				t.Run(o.name, func(t *testing.T) {
					srv.write(o.name, oneLine)
					log := telegrafOnce(t, telegrafConfig(t, srv, o.name, o.name,
						"cpu usage=2.5 2\ncpu usage=\"high\" 3\ncpu usage=3.5 4\n"))
					if n := srv.count(o.name, "cpu"); n != 3 {
						t.Errorf("%d rows, not 3\n%s", n, log)
					}
					complaints := complaints(log, srv)
					a.check(t, contract+": outputs."+o.name, complaints)
					if contract == "core" && !strings.Contains(complaints, "invalid column type for column 'usage'") {
						t.Errorf("the log does not name the reason\n%s", complaints)
					}
				})
			}
		})
	}
}

// complaint is what an output says in Telegraf's log that a user should read. Lines that
// begin without a time belong to the one before.
var complaint = regexp.MustCompile(`(?m)^\S+ ((?:[EW]! \[outputs|D! \[outputs\.\w+\] +writing).*(?:\n[^\d\n].*)*)$`)

// noComplaint is what testdata/seen has where Telegraf logs nothing that a user should read.
const noComplaint = "no complaint"

// complaints returns the warnings and errors of a log without what differs between runs.
func complaints(log string, srv *server) string {
	var b strings.Builder
	for _, m := range complaint.FindAllStringSubmatch(log, -1) {
		fmt.Fprintln(&b, strings.ReplaceAll(m[1], srv.url, "<url>"))
	}
	if b.Len() == 0 {
		return noComplaint
	}
	return b.String()
}

// TestTelegrafRepeatsWhatIsRefusedForNow shows the third part of K4: a server that is
// busy when Telegraf comes gets everything later.
func TestTelegrafRepeatsWhatIsRefusedForNow(t *testing.T) {
	program := telegraf(t)
	const metrics = 100
	var body strings.Builder
	for i := range metrics {
		fmt.Fprintf(&body, "cpu usage=%d %d\n", i, i)
	}
	for _, o := range telegrafOutputs {
		t.Run(o.name, func(t *testing.T) {
			// Contract dedicated answers 503 when the quota is used up.
			const window = 4 * time.Second
			srv := startServer(t, "--write-contract", "dedicated", "--write-quota-requests", "1", "--write-quota-window", window.String())
			config := telegrafConfig(t, srv, o.name, o.name, body.String())
			srv.useUpNextQuota()
			cmd := exec.CommandContext(t.Context(), program, "--config", config)
			cmd.Env = plainEnvironment()
			var log bytes.Buffer
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			srv.await("all metrics", func() bool { return srv.count(o.name, "cpu") == metrics })
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
			if !strings.Contains(log.String(), "503") {
				t.Errorf("no request was refused\n%s", log.String())
			}
		})
	}
}

// useUpNextQuota uses up a quota of one request at the beginning of its window.
func (s *server) useUpNextQuota() {
	s.t.Helper()
	for range 2 { // the first window may be about to end
		s.await("the next window", func() bool {
			status, _ := s.send(http.MethodPost, "/api/v3/write_lp?db=other", []byte(oneLine))
			return status == http.StatusNoContent
		})
	}
}
