package main

import (
	"testing"
	"testing/fstest"

	"github.com/siltstone-db/siltstone/catalog"
)

func TestAvailableMemoryIsTheTightestLimit(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree: 1 kB\n"
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	cases := map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"no limit":              {fstest.MapFS{"proc/meminfo": file(meminfo)}, 8 << 30},
		"no system information": {fstest.MapFS{}, fallbackMemory},
		"unreadable total":      {fstest.MapFS{"proc/meminfo": file("MemTotal: lots kB\n")}, fallbackMemory},
		"cgroup v2": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/app/server\n"),
			"sys/fs/cgroup/app/server/memory.max": file("1073741824\n"),
		}, 1 << 30},
		"a group above is tighter": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/app/server\n"),
			"sys/fs/cgroup/app/server/memory.max": file("1073741824\n"),
			"sys/fs/cgroup/app/memory.max":        file("536870912\n"),
		}, 512 << 20},
		"v2 without a limit": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("max\n"),
		}, 8 << 30},
		"cgroup v1 in a container": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("5:cpu:/docker/1\n4:memory:/docker/1\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("268435456\n"),
		}, 256 << 20},
		"v1 without a limit": {fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("4:memory:/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		}, 8 << 30},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := availableMemory(c.root); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestGoMemoryLimitLeavesRoomForQueries(t *testing.T) {
	for _, c := range []struct{ total, queries, want int64 }{
		{10 << 30, 0, 9<<30 - nativeMemory},
		{10 << 30, 2 << 30, 7<<30 - nativeMemory},
		{1000, 200, 300},  // two fifths at most are kept for what is native
		{1000, 1000, 250}, // never so low that the collector does nothing else
	} {
		if got := goMemoryLimit(c.total, c.queries); got != c.want {
			t.Errorf("%d of which %d for queries: %d, want %d", c.total, c.queries, got, c.want)
		}
	}
}

func TestSmallPoolsHoldLessGarbage(t *testing.T) {
	for pool, want := range map[int64]int{32 << 20: 40, 256e6: 40, 512 << 20: 100, 16 << 30: 100} {
		if got := gcPercent(pool); got != want {
			t.Errorf("pool of %d bytes: %d percent, want %d", pool, got, want)
		}
	}
}

func TestTablesLimitFollowsTheMemory(t *testing.T) {
	for _, c := range []struct {
		asked int
		total int64
		want  int
	}{
		{catalog.DefaultMaxTables, 24 << 30, catalog.DefaultMaxTables},
		{catalog.DefaultMaxTables, 512 << 20, 87_381},
		{2_000_000, 512 << 20, 2_000_000},
		{10, 512 << 20, 10},
	} {
		if got := tablesLimit(c.asked, c.total); got != c.want {
			t.Errorf("--max-tables %d with %d bytes of memory: %d, want %d", c.asked, c.total, got, c.want)
		}
	}
}

func TestBodiesLimitFollowsThePool(t *testing.T) {
	for _, c := range []struct{ pool, largest, want int64 }{
		{200 << 20, 10 << 20, 50 << 20},
		{16 << 20, 10 << 20, 30 << 20}, // there must be room for some
		{100 << 30, 10 << 20, 256 << 20},
		{100 << 30, 1 << 30, 3 << 30},
	} {
		if got := bodiesLimit(c.pool, c.largest); got != c.want {
			t.Errorf("a pool of %d and bodies of %d: %d, want %d", c.pool, c.largest, got, c.want)
		}
	}
}
