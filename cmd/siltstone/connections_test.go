package main

import (
	"strings"
	"testing"
)

func TestConnectionsLeaveFilesAndMemory(t *testing.T) {
	for _, c := range []struct {
		asked, files int
		memory       int64
		want         int
		fault        string
	}{
		{0, 20_000, 8 << 30, 10_000, ""},
		{0, 1 << 20, 64 << 30, 10_000, ""},
		{0, 1024, 8 << 30, 512, ""},
		{0, 20_000, 512 << 20, 1024, ""},
		{0, 1, 1, 1, ""},
		{5, 1024, 8 << 30, 5, ""},
		{896, 1024, 8 << 30, 896, ""},
		{897, 1024, 8 << 30, 0, "take at most 896, or raise the limit with ulimit -n"},
	} {
		got, err := maxConnections(c.asked, c.files, c.memory)
		if got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.HasSuffix(err.Error(), c.fault) {
			t.Errorf("%d of %d files and %d bytes: %d, %v", c.asked, c.files, c.memory, got, err)
		}
	}
	if n, err := openFileLimit(); err != nil || n < fewestFiles {
		t.Errorf("this process may open %d files, %v", n, err)
	}
}
