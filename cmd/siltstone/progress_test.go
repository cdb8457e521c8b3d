package main

import (
	"bytes"
	"testing"
	"time"
)

// TestProgressIsALineNowAndThen where standard error is no terminal.
func TestProgressIsALineNowAndThen(t *testing.T) {
	clock := time.Unix(0, 0)
	var out bytes.Buffer
	lines := func(name string, total int64, unit progressUnit) *progress {
		return newProgressLines(&out, name, total, unit, func() time.Time { return clock })
	}
	backup, load, copied := lines("backing up", -1, byBytes), lines("june.lp", -1, byBytes), lines("db.autogen.m", 200, byShare)
	answer := lines("out.parquet", -1, byBytes)
	for second := range 61 {
		clock = time.Unix(int64(second), 0)
		backup.read(int64(second)<<20, 100<<20, "files/1")
		load.at(int64(second)<<10, 1000)
		copied.at(int64(second), 10)
		if _, err := answer.Write(make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
	}
	backup.clear()
	const want = `backing up: 30 % 30.0 MiB of 100.0 MiB, files/1, after 30s
june.lp: 30.0 KiB, 31,000 rows, after 30s
db.autogen.m: 15 %, 310 rows, after 30s
out.parquet: 31.0 KiB, so far, after 30s
backing up: 60 % 60.0 MiB of 100.0 MiB, files/1, after 1m0s
june.lp: 60.0 KiB, 61,000 rows, after 1m0s
db.autogen.m: 30 %, 610 rows, after 1m0s
out.parquet: 61.0 KiB, so far, after 1m0s
`
	if got := out.String(); got != want {
		t.Errorf("%s\nshould be\n%s", got, want)
	}
}
