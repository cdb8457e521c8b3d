package main

import (
	"bufio"
	"errors"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/catalog"
)

// fallbackMemory is assumed where the system does not say how much memory it has.
const fallbackMemory = 4 << 30

// availableMemory returns the memory this process may use: that of the machine, or
// less when a control group (v1 or v2) limits it. root is the root file system.
func availableMemory(root fs.FS) int64 {
	total := machineMemory(root)
	for _, file := range cgroupLimitFiles(root) {
		if limit, ok := readLimit(root, file); ok {
			total = min(total, limit)
		}
	}
	return total
}

func machineMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return fallbackMemory
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil && kib > 0 && kib < math.MaxInt64>>10 {
				return kib << 10
			}
		}
	}
	return fallbackMemory
}

// cgroupLimitFiles lists the files that may limit this process: those of its groups
// and of all the groups above them. Inside a container the group's own path may not be
// visible; its limit then stands at the root of the mounted hierarchy, listed too.
func cgroupLimitFiles(root fs.FS) []string {
	f, err := root.Open("proc/self/cgroup")
	if err != nil {
		return nil
	}
	defer f.Close()
	var files []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// hierarchy-id:controllers:path, with no controllers for version 2.
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, name := "sys/fs/cgroup", "memory.max"
		if parts[1] == "memory" {
			mount, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			files = append(files, path.Join(mount, group, name))
			if group == "/" {
				break
			}
		}
	}
	return files
}

// readLimit reads a limit file; "max" and the huge number of version 1 mean none.
func readLimit(root fs.FS, file string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if errors.Is(err, strconv.ErrRange) || n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), err == nil && n > 0
}

// nativeMemory is what the process holds beside the Go heap and what DuckDB counts: the
// pages of the program in use, DuckDB's own structures, stacks of threads, and what
// malloc keeps. Measured: 45 MiB idle, and up to 90 under load. With 80 MiB a server in a group of 256 MiB
// was killed in three of five loads of long tag values.
const nativeMemory = 112 << 20

// goMemoryLimit is the soft limit for the Go heap: nine tenths of all memory without
// what is outside of it, which the Go runtime does not see. The collector then works
// harder rather than let the kernel kill the process.
func goMemoryLimit(total, queries int64) int64 {
	return max(total/10*9-queries-min(nativeMemory, total/5*2), total/4)
}

// Who gives the server a small pool wants it to take little memory, of which garbage is to be a
// smaller part then. A limit for the heap that follows the pool would do the same with fewer
// collections, but the definitions of tables are not in the pool: with very many of them the collector
// would do nothing else. Measured at 256 MB, during a load that fills the pool: 468 MiB at
// most with 100 percent, 368 with 50.
const (
	smallPool          = 512 << 20
	smallPoolGCPercent = 40
)

// gcPercent is how much garbage may be there for what lives, in percent, before it is collected.
func gcPercent(pool int64) int {
	if pool < smallPool {
		return smallPoolGCPercent
	}
	return 100
}

// tableBytes is what the definition of a table with five columns takes; all are held in
// memory (see catalog.DefaultMaxTables).
const tableBytes = 768

// tablesLimit is how many tables there may be where nobody asked for a number: an eighth of
// the memory for their definitions, or a client that puts fresh values into names
// would have a small server killed.
func tablesLimit(asked int, total int64) int {
	if asked != catalog.DefaultMaxTables {
		return asked
	}
	return int(min(int64(asked), total/8/tableBytes))
}

// maxBodies bounds the bodies of all requests together, however large the pool is.
const maxBodies = 256 << 20

// bodiesLimit is what the bodies of requests may take until they are read: a quarter of the
// pool, besides it, but at least three of the largest: one may be there compressed and not.
func bodiesLimit(pool, largest int64) int64 {
	return max(min(pool/4, maxBodies), 3*largest)
}

// processLimit is the size of the process from which queries are ended: what is left is for
// what comes in meanwhile.
func processLimit(total int64) int64 { return total / 20 * 17 }
