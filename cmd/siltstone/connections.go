package main

import (
	"fmt"
	"syscall"
)

const (
	// connectionBytes is what a connection takes: its goroutine, its two buffers, and the
	// kernel's part. 6,000 idle and slow ones took 24 KB each without TLS; the rest is for TLS and for the
	// kernel, which were not measured.
	connectionBytes = 64 << 10
	// mostConnections is the default's bound. Siltstone has few clients, which write in batches.
	mostConnections = 10_000
	// fewestFiles are the descriptors that the log, the catalog and one query need at the least.
	fewestFiles = 128
)

// openFileLimit returns how many descriptors this process may have. The Go runtime has raised
// the limit as far as it may go.
func openFileLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("the limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// defaultConnections leaves half of the descriptors to files, so that the log can begin a segment and a
// query can open its files however many clients come, and takes no more than an eighth
// of the memory.
func defaultConnections(files int, memory int64) int {
	return int(max(1, min(int64(files/2), memory/8/connectionBytes, mostConnections)))
}

// maxConnections returns the bound of connections; asked is --max-connections, 0 by default.
func maxConnections(asked, files int, memory int64) (int, error) {
	if asked == 0 {
		return defaultConnections(files, memory), nil
	}
	if asked > files-fewestFiles {
		return 0, fmt.Errorf("--max-connections %d leaves too few of the %d files that this process may open; take at most %d, or raise the limit with ulimit -n",
			asked, files, max(1, files-fewestFiles))
	}
	return asked, nil
}
