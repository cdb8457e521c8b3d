//go:build !linux

package engine

import "os"

// stateOf takes what every system knows about a file.
func stateOf(info os.FileInfo) fileState {
	return fileState{size: info.Size(), written: info.ModTime().UnixNano()}
}
