package influx1

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var record = flag.Bool("record", false, "ask InfluxDB 1.6 again and rewrite what it answered")

const recordingPath = "testdata/influxdb-1.6.7.txt"

// readRecording returns recorded answers by the key of the question.
func readRecording(t *testing.T, path string) map[string]reply {
	t.Helper()
	answers := make(map[string]reply)
	lines := readLines(t, path)
	for i := 0; i+1 < len(lines); i += 2 {
		r, err := parseReply(lines[i+1])
		if err != nil {
			t.Fatalf("%s line %d: %v", path, i+2, err)
		}
		answers[strings.TrimPrefix(lines[i], "? ")] = r
	}
	return answers
}

func writeAnswer(b *strings.Builder, q question, r reply) {
	b.WriteString("? " + q.key() + "\n" + r.line() + "\n")
}

func writeRecording(t *testing.T, path string, b *strings.Builder) {
	t.Helper()
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecording asks a real InfluxDB 1.6 everything. Its answers are as they were recorded,
// or with -record become the recording.
func TestRecording(t *testing.T) {
	if !*record && os.Getenv(clientsVariable) != "all" {
		t.Skipf("%s=all, or -record, runs this", clientsVariable)
	}
	srv := startInfluxd(t)
	srv.fill(readData(t))
	var b strings.Builder
	for _, q := range readCorpus(t) {
		writeAnswer(&b, q, srv.ask(q))
	}
	compareRecording(t, recordingPath, &b)
}

// TestRecordingOfDeletions is TestRecording for statements that delete.
func TestRecordingOfDeletions(t *testing.T) {
	if !*record && os.Getenv(clientsVariable) != "all" {
		t.Skipf("%s=all, or -record, runs this", clientsVariable)
	}
	srv := startInfluxd(t)
	all, data := readDeletions(t)
	srv.fill(data)
	var b strings.Builder
	for _, d := range all {
		srv.delete(d, func(q question, r reply) { writeAnswer(&b, q, r) })
	}
	compareRecording(t, deletionsPath, &b)
}

// compareRecording compares answers with those that were recorded, or with -record records them.
func compareRecording(t *testing.T, path string, b *strings.Builder) {
	t.Helper()
	if *record {
		writeRecording(t, path, b)
		return
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(recorded), "\n"), strings.Split(b.String(), "\n")); d != "" {
		t.Errorf("InfluxDB answers otherwise than recorded (-recorded +now)\n%s", d)
	}
}
