package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
)

// TestCompactTellsOfEachMerge prints the lines of an answer: how far a merge is, what it made, and the sum of all.
func TestCompactTellsOfEachMerge(t *testing.T) {
	merge := engine.Compaction{Database: "db", Table: "cpu", Reason: "small files", Inputs: 3, InputBytes: 3 << 20, InputRows: 400, IsRunning: true}
	half, done := merge, merge
	half.Progress = 0.5
	done.IsRunning, done.Progress, done.Outputs, done.OutputBytes, done.Took = false, 1, 1, 2<<20, 1500*time.Millisecond
	summary := engine.CompactReport{Merges: 1, InputFiles: 3, InputBytes: 3 << 20, OutputFiles: 1, OutputBytes: 2 << 20, Files: 7, Took: 2 * time.Second}
	var body bytes.Buffer
	for _, line := range []httpapi.CompactLine{{Running: &merge}, {Running: &half}, {Merged: &done}, {Summary: &summary}} {
		if err := json.NewEncoder(&body).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := runAgainst(t, answer{200, body.String()}, environment{}, "compact", "--wait")
	const want = `db.cpu: small files: 3 files (3.0 MiB), 0% merged
db.cpu: small files: 3 files (3.0 MiB), 50% merged
db.cpu: small files: 3 files (3.0 MiB) became 1 (2.0 MiB) in 1.5s
3 files (3.0 MiB) became 1 (2.0 MiB) in 1 merges; 7 files are there now (2s).
`
	if r.code != 0 || r.errors != want {
		t.Errorf("exit status %d:\n%s", r.code, r.errors)
	}
}
