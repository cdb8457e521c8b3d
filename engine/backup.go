package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// A backup is all that the engine holds at one position of the log, as files and an image of
// the catalog: no log is needed to restore it.
//
// What makes it exact is that all buffers are frozen, and the picture of the catalog is taken,
// between two records (applying is held, without any I/O). Then the frozen buffers become
// files, and only they: flusher.mu is held, so that no later row gets into a file, nothing is
// purged and no merge is committed, until the files are pinned. Writers and queries go on
// all the time. Event ids are in the picture for the rows that are in the files and no
// others: one too many would have a later event taken for a repetition, although its row is not there.
//
// The image is written to a file of the data directory first, so that a slow reader of it does
// not keep the catalog from healing or closing.

// Backup pins what a backup consists of until Close. Each method may be called concurrently,
// but none after Close.
type Backup struct {
	// Instance is that of the data directory.
	Instance string
	// Position is the log position: the rows up to it are in Files, those behind it are not.
	Position schema.Seq
	// Time is when it was, by the machine's clock.
	Time time.Time
	// Files are all of them, by Order.
	Files []FileRef
	// ImageBytes and ImageCRC32C describe the image of the catalog.
	ImageBytes  int64
	ImageCRC32C uint32

	e       *Engine
	rollups map[schema.TableID]*schema.RollupState
	image   string // path
	release func()
}

// BeginBackup persists what is buffered and pins all files. Every row that was acknowledged
// before the call is in the backup. The errors are those of Flush.
func (e *Engine) BeginBackup(ctx context.Context) (*Backup, error) {
	if err := e.log.Barrier(ctx); err != nil && ctx.Err() != nil {
		return nil, err
	}
	b, picture, err := e.freezeForBackup(ctx)
	if err != nil {
		return nil, e.noSpace(err)
	}
	err = e.writeImage(b, picture)
	if err = errors.Join(err, picture.Close()); err != nil {
		b.Close()
		return nil, e.noSpace(fmt.Errorf("backing up the catalog: %w", err))
	}
	e.compactor.kick() // there are new files
	return b, nil
}

// freezeForBackup makes the backup but for its image.
func (e *Engine) freezeForBackup(ctx context.Context) (b *Backup, picture *catalog.Picture, err error) {
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	if err := e.catalog.Err(); err != nil {
		return nil, nil, err
	}
	units, position, picture, err := e.freezeAll()
	if err != nil {
		return nil, nil, err
	}
	for _, u := range units {
		if err = ctx.Err(); err == nil {
			err = e.persistFrozen(u, u.table.frozen(u.first, u.last))
		}
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("persisting table %d, %s to %s: %w", u.table.id, u.first, u.last, err), picture.Close())
		}
	}
	b = &Backup{Instance: e.catalog.InstanceID(), Position: position, Time: e.opts.Now(), e: e}
	b.release, b.rollups = e.pinAll(), e.catalog.Rollups()
	for _, f := range e.catalog.Files() {
		b.Files = append(b.Files, FileRef{File: f, Path: e.path(filePath(f))})
	}
	if err := e.advance(); err != nil {
		b.Close()
		return nil, nil, errors.Join(err, picture.Close())
	}
	return b, picture, nil
}

// freezeAll freezes every buffer between two records of the log. The caller holds flusher.mu.
func (e *Engine) freezeAll() ([]unit, schema.Seq, *catalog.Picture, error) {
	e.applying.Lock()
	defer e.applying.Unlock()
	picture, err := e.catalog.TakePicture()
	if err != nil {
		return nil, 0, nil, err
	}
	for _, t := range e.tables.all() {
		t.freeze(math.MinInt32, math.MaxInt32)
	}
	return e.plan(), max(schema.Seq(e.applied.Load()), e.catalog.Position()), picture, nil
}

// pinAll pins the files of every table, and returns what unpins them.
func (e *Engine) pinAll() (release func()) {
	var releases []func()
	for _, t := range e.tables.all() {
		_, _, held := t.pinFiles()
		releases = append(releases, func() { e.removeDoomed(t.unpin(held)) })
	}
	return sync.OnceFunc(func() {
		for _, release := range releases {
			release()
		}
	})
}

// writeImage writes the image of the catalog to a file, which need not survive a crash.
func (e *Engine) writeImage(b *Backup, picture *catalog.Picture) (err error) {
	b.image = e.path(fmt.Sprintf("%s%016x", imagePrefix, uint64(e.catalog.AllocateFileID())))
	file, err := e.opts.FS.Create(b.image, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	files := make([]*schema.File, 0, len(b.Files))
	for _, f := range b.Files {
		files = append(files, f.File)
	}
	sum := &summingWriter{w: file}
	if err := picture.WriteImage(sum, catalog.Contents{Files: files, Position: b.Position, Rollups: b.rollups}); err != nil {
		return err
	}
	b.ImageBytes, b.ImageCRC32C = sum.bytes, sum.crc
	return nil
}

// removeImages removes what a crash left of backups.
func (e *Engine) removeImages() {
	names, err := e.opts.FS.List(e.opts.DataDir)
	if err != nil {
		return // whoever needs the directory will say so
	}
	for _, name := range names {
		if strings.HasPrefix(name, imagePrefix) {
			_ = e.opts.FS.Remove(e.path(name)) // the next start tries again
		}
	}
}

// Image opens the image of the catalog.
func (b *Backup) Image() (io.ReadCloser, error) { return b.e.opts.FS.Open(b.image) }

// Open opens one of the files.
func (b *Backup) Open(f FileRef) (io.ReadCloser, error) { return b.e.opts.FS.Open(f.Path) }

// Close unpins the files. It may be called more than once.
func (b *Backup) Close() {
	b.release()
	if b.image != "" {
		_ = b.e.opts.FS.Remove(b.image) // the next start tries again
		b.image = ""
	}
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// summingWriter counts and checksums what passes.
type summingWriter struct {
	w     io.Writer
	bytes int64
	crc   uint32
}

// Write implements io.Writer. The checksum comes first: a vfs.File may change the bytes.
func (s *summingWriter) Write(b []byte) (int, error) {
	s.crc = crc32.Update(s.crc, crcTable, b)
	s.bytes += int64(len(b))
	return s.w.Write(b)
}
