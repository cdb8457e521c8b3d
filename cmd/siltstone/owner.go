package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockName is the file that the engine locks.
const lockName = "LOCK"

// lockOwner says which process has a data directory's lock, as far as the system
// tells (Linux does).
func lockOwner(dir string) string {
	info, err := os.Stat(filepath.Join(dir, lockName))
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	pid, ok := ownerOf(string(locks), stat.Ino)
	if !ok {
		return ""
	}
	owner := fmt.Sprintf("\nIts owner is process %d", pid)
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		owner += ": " + strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))
	}
	return owner
}

// ownerOf finds the process that locks an inode in the text of /proc/locks, of which a
// line is "1: FLOCK ADVISORY WRITE 4711 fd:00:131 0 EOF", with device and inode joined.
func ownerOf(locks string, inode uint64) (pid int, ok bool) {
	suffix := ":" + strconv.FormatUint(inode, 10)
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] == "->" || !strings.HasSuffix(f[5], suffix) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid, true
		}
	}
	return 0, false
}
