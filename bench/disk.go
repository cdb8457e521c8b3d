package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskResult is what the disk does without a database.
type diskResult struct {
	size      int             // bytes of each write
	append    []time.Duration // write at the end of a growing file, fdatasync; sorted
	overwrite []time.Duration // write into space that holds zeros already, fdatasync; sorted
}

// measureDisk writes and syncs, one after the other, for some time in each way.
func measureDisk(dir string, size int, d time.Duration) (diskResult, error) {
	r := diskResult{size: size}
	var err error
	if r.append, err = measureSyncs(filepath.Join(dir, "append"), size, 0, d); err != nil {
		return r, err
	}
	r.overwrite, err = measureSyncs(filepath.Join(dir, "overwrite"), size, zeroedBytes, d)
	return r, err
}

// zeroedBytes is the space that is prepared for overwriting; a writer that reaches
// its end starts again at the beginning.
const zeroedBytes = 16 << 20

// measureSyncs returns the sorted durations of write and fdatasync in a new file that
// holds as many zeros as prepared.
func measureSyncs(name string, size, prepared int, d time.Duration) (took []time.Duration, err error) {
	f, err := vfs.Default.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("measuring the disk: %w", err)
	}
	defer func() {
		err = errors.Join(err, f.Close(), vfs.Default.Remove(name))
	}()
	if prepared > 0 {
		if _, err := f.WriteAt(make([]byte, prepared), 0); err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("measuring the disk: %w", err)
	}
	data := slices.Repeat([]byte{'x'}, size)
	var offset int64
	begin := time.Now()
	for until := begin.Add(d); begin.Before(until); {
		if _, err := f.WriteAt(data, offset); err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		if err := f.SyncData(); err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		end := time.Now()
		took = append(took, end.Sub(begin))
		begin = end
		offset += int64(size)
		if prepared > 0 && offset+int64(size) > int64(prepared) {
			offset = 0
		}
	}
	slices.Sort(took)
	return took, nil
}

// addDisk adds the disk's figures and how the acknowledgements relate to them.
func (c *caseResult) addDisk(disk diskResult) {
	p50, _ := c.value("ack p50 ms")
	c.add("bytes per sync of the disk alone", float64(disk.size))
	for _, way := range []struct {
		name string
		took []time.Duration
	}{{"append", disk.append}, {"overwrite", disk.overwrite}} {
		alone := percentile(way.took, 0.5)
		c.add("disk alone, "+way.name+" p50 ms", alone)
		c.add("disk alone, "+way.name+" p99 ms", percentile(way.took, 0.99))
		c.add("disk alone, "+way.name+" mean ms", mean(way.took))
		c.add("ack p50 / "+way.name+" p50", p50/alone)
	}
}
