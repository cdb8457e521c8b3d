package engine

import (
	"os"
	"syscall"
)

// stateOf takes what the kernel knows about a file. A file system in memory has no
// inodes; tests that change files there change their times too.
func stateOf(info os.FileInfo) fileState {
	s := fileState{size: info.Size(), written: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.device, s.moved = stat.Ino, uint64(stat.Dev), stat.Ctim.Nano()
	}
	return s
}
