package wal

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// segmentID numbers the files of a log. IDs grow, and one that was ever seen in the
// directory is not used again.
type segmentID uint64

const (
	segmentSuffix = ".wal"
	tornInfix     = ".torn-"
	tmpSuffix     = ".tmp"
	idDigits      = 16
)

// segmentName is 16 hexadecimal digits and .wal, so that names sort as ids do.
func segmentName(id segmentID) string {
	return fmt.Sprintf("%0*x%s", idDigits, uint64(id), segmentSuffix)
}

// tornName names the copy of the bytes that were cut off a segment at an offset.
func tornName(id segmentID, offset int64) string {
	return fmt.Sprintf("%0*x%s%d", idDigits, uint64(id), tornInfix, offset)
}

func parseSegmentName(name string) (segmentID, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != idDigits {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || id == 0 || segmentName(segmentID(id)) != name {
		return 0, false
	}
	return segmentID(id), true
}

func isTornName(name string) bool { return strings.Contains(name, tornInfix) }

// directory is where a log lives.
type directory struct {
	fs   vfs.FS
	path string
}

func (d directory) segment(id segmentID) string { return d.join(segmentName(id)) }

func (d directory) join(name string) string { return d.fs.PathJoin(d.path, name) }

// sync makes the names in the directory durable.
func (d directory) sync() error { return durable.SyncDir(d.fs, d.path) }
