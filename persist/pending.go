package persist

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
)

// TempSuffix ends the name of a file that is being written. What carries it after a
// crash is rubbish.
const TempSuffix = ".tmp"

// writeBufferBytes gathers the many small writes of page headers into large ones.
const writeBufferBytes = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pendingFile is a file under its temporary name. It counts and checksums what is
// written to it. It ends with either commit or abort.
type pendingFile struct {
	fs         vfs.FS
	dir        string
	tmp, final string // paths
	file       vfs.File
	buf        *bufio.Writer
	bytes      uint64
	crc        uint32
	section    section
}

// section is a run of bytes with a checksum of its own.
type section struct {
	bytes uint64
	crc   uint32
}

// createPending creates the file under its temporary name; a left-over of that name
// is replaced. A file of the final name is an error that wraps fs.ErrExist.
func createPending(fs vfs.FS, dir, name string) (*pendingFile, error) {
	p := &pendingFile{fs: fs, dir: dir, final: fs.PathJoin(dir, name), tmp: fs.PathJoin(dir, name+TempSuffix)}
	switch _, err := fs.Stat(p.final); {
	case err == nil:
		return nil, fmt.Errorf("persist: creating %s: %w", p.final, iofs.ErrExist)
	case !errors.Is(err, iofs.ErrNotExist):
		return nil, fmt.Errorf("persist: looking for %s: %w", p.final, err)
	}
	file, err := fs.Create(p.tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("persist: creating %s: %w", p.tmp, err)
	}
	p.file = file
	p.buf = bufio.NewWriterSize(&drain{file: file}, writeBufferBytes)
	return p, nil
}

// Write implements io.Writer. The checksum comes first: a vfs.File may change the
// bytes that it is given.
func (p *pendingFile) Write(b []byte) (int, error) {
	p.crc = crc32.Update(p.crc, castagnoli, b)
	p.bytes += uint64(len(b))
	p.section.crc = crc32.Update(p.section.crc, castagnoli, b)
	p.section.bytes += uint64(len(b))
	return p.buf.Write(b)
}

// drainBytes are written between two calls that have the disk take what is in memory.
const drainBytes = 512 << 10

// drain has the disk take a file while it is written. Otherwise all of it were left to the
// sync in the end, which cannot be interrupted: on a slow disk a server that is asked to
// stop, or killed, would not end for as long as that takes.
type drain struct {
	file    vfs.File
	written int64
	begun   int64 // up to where the disk was asked to take the file
}

// Write implements io.Writer. What it drains is not durable for that; a failure is final.
func (d *drain) Write(b []byte) (int, error) {
	n, err := d.file.Write(b)
	d.written += int64(n)
	if err != nil || d.written-d.begun < drainBytes {
		return n, err
	}
	d.begun = d.written
	_, err = d.file.SyncTo(d.written)
	return n, err
}

// endSection returns what was written since the last call, and begins a section whose
// checksum continues crc.
func (p *pendingFile) endSection(crc uint32) section {
	ended := p.section
	p.section = section{crc: crc}
	return ended
}

// commit makes the file durable and only then gives it its final name. After an
// error the file has been removed under either name, as far as that was possible.
func (p *pendingFile) commit() error {
	if err := p.buf.Flush(); err != nil {
		return p.fail("writing", p.tmp, err)
	}
	if err := p.file.Sync(); err != nil {
		return p.fail("syncing", p.tmp, err)
	}
	err := p.file.Close()
	p.file = nil
	if err != nil {
		return p.fail("closing", p.tmp, err)
	}
	if err := p.fs.Rename(p.tmp, p.final); err != nil {
		return p.fail("renaming", p.tmp, err)
	}
	if err := durable.SyncDir(p.fs, p.dir); err != nil {
		// The name may or may not survive a crash, so it must not be relied on.
		return errors.Join(err, p.fs.Remove(p.final))
	}
	return nil
}

func (p *pendingFile) fail(doing, path string, err error) error {
	return errors.Join(fmt.Errorf("persist: %s %s: %w", doing, path, err), p.abort())
}

// abort removes the file.
func (p *pendingFile) abort() error {
	if p.file != nil {
		// What Close says of a file that is given up does not matter.
		_ = p.file.Close()
		p.file = nil
	}
	return p.fs.Remove(p.tmp)
}
