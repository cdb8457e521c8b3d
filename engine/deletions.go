package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// Notes of deletions
//
// Tombstones are in the catalog, and go when no file needs them. A salvage needs more: should the
// catalog be lost, files have rows that were deleted, and the log has them as long as it
// is not trimmed, whatever has become of files. So each deletion of rows is noted in a file of its own
// beside the catalog, durably before it is committed. The name says whether it was: what ends in
// .pending is being committed, and a start finds out. Notes go when the catalog has none of their
// tombstones, the log none of the rows, and no file waits for its removal.
//
// Nothing but a salvage reads them. A start that cannot write one goes on.

const (
	deletionsDir = "deletions"
	pendingExt   = ".pending"
	deletedExt   = ".deleted"
	// maxNotes are so many that they are joined: each is a file that a start reads.
	maxNotes       = 256
	deletionMagic  = "SILTDEL1"
	maxDeletionLen = 256 << 20 // what a reader believes: a predicate for each of many tables
)

// deletionNote is one deletion, of one or several tables.
type deletionNote struct {
	order     uint64 // of all its tombstones
	isPending bool
	// added and removed are a file of its commit each, by which it is known where no tombstone is; 0 is none.
	added, removed schema.FileID
	tombstones     []*schema.Tombstone
}

var errDeletionNote = errors.New("malformed note of a deletion")

func (n *deletionNote) name() string {
	ext := deletedExt
	if n.isPending {
		ext = pendingExt
	}
	return path.Join(deletionsDir, fmt.Sprintf("%0*x", fileIDWidth, n.order)+ext)
}

func (n *deletionNote) encode() []byte {
	payload := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(n.added)), uint64(n.removed))
	payload = catalog.AppendTombstones(payload, n.tombstones)
	b := binary.LittleEndian.AppendUint32([]byte(deletionMagic), uint32(len(payload)))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
}

// decodeDeletion reads what encode wrote; the name says the rest.
func decodeDeletion(b []byte) (*deletionNote, error) {
	head := len(deletionMagic) + 4
	if len(b) < head+4 || string(b[:len(deletionMagic)]) != deletionMagic ||
		uint64(binary.LittleEndian.Uint32(b[len(deletionMagic):])) != uint64(len(b)-head-4) {
		return nil, errDeletionNote
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crcTable) != sum {
		return nil, errDeletionNote
	}
	n, payload := new(deletionNote), body[head:]
	for _, id := range []*schema.FileID{&n.added, &n.removed} {
		v, size := binary.Uvarint(payload)
		if size <= 0 {
			return nil, errDeletionNote
		}
		*id, payload = schema.FileID(v), payload[size:]
	}
	var err error
	if n.tombstones, err = catalog.DecodeTombstones(payload); err != nil {
		return nil, fmt.Errorf("%w: %w", errDeletionNote, err)
	}
	return n, nil
}

// readDeletions reads the notes that verify. Of the others only the names are returned.
func (e *Engine) readDeletions() (notes []*deletionNote, bad []string, err error) {
	names, err := e.list(deletionsDir)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		base, isPending := strings.CutSuffix(name, pendingExt)
		if !isPending {
			base = strings.TrimSuffix(name, deletedExt)
		}
		order, err := strconv.ParseUint(base, 16, 64)
		if err != nil || base == name || len(base) != fileIDWidth {
			continue // not ours
		}
		n, err := e.readDeletion(path.Join(deletionsDir, name))
		if err != nil {
			if !errors.Is(err, errDeletionNote) {
				return nil, nil, err
			}
			bad = append(bad, path.Join(deletionsDir, name))
			continue
		}
		n.order, n.isPending = order, isPending
		notes = append(notes, n)
	}
	return notes, bad, nil
}

func (e *Engine) readDeletion(name string) (n *deletionNote, err error) {
	f, err := e.opts.FS.Open(e.path(name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.path(name), err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, maxDeletionLen))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.path(name), err)
	}
	return decodeDeletion(b)
}

// noteDeletion makes the note of a deletion durable, of which edit is the commit.
func (e *Engine) noteDeletion(n *deletionNote, edit *catalog.Edit) error {
	if len(n.tombstones) == 0 { // buffers were persisted in vain
		return nil
	}
	if len(edit.Add) > 0 {
		n.added = edit.Add[0].ID
	}
	if len(edit.Remove) > 0 {
		n.removed = edit.Remove[0]
	}
	return e.writeDeletion(n)
}

// writeDeletion makes a note durable. The caller holds flusher.mu, or nobody else is there.
func (e *Engine) writeDeletion(n *deletionNote) error {
	fs, name := e.opts.FS, e.path(n.name())
	if err := durable.MkdirAll(fs, e.path(deletionsDir)); err != nil {
		return err
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("noting a deletion: %w", err)
	}
	_, err = f.Write(n.encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = durable.SyncDir(fs, e.path(deletionsDir))
	}
	if err != nil {
		return fmt.Errorf("noting a deletion: %w", errors.Join(err, fs.Remove(name)))
	}
	e.flusher.deletions = append(e.flusher.deletions, n)
	return nil
}

// confirmDeletion says in a note's name that it was committed. If that fails the next start does it.
func (e *Engine) confirmDeletion(n *deletionNote) {
	if n == nil || len(n.tombstones) == 0 { // a rollup's refresh has none
		return
	}
	old := e.path(n.name())
	n.isPending = false
	err := e.opts.FS.Rename(old, e.path(n.name()))
	if err == nil {
		err = durable.SyncDir(e.opts.FS, e.path(deletionsDir))
	}
	if err != nil {
		e.opts.Logger.Warn("a note of a deletion could not be renamed; the next start does it", "file", old, "error", err)
	}
}

// withdrawDeletion removes the note of a deletion that was not committed.
func (e *Engine) withdrawDeletion(n *deletionNote) {
	if len(n.tombstones) == 0 {
		return
	}
	e.flusher.deletions = slices.DeleteFunc(e.flusher.deletions, func(o *deletionNote) bool { return o == n })
	e.removeNote(n.name())
}

// removeNote removes a note; if that fails or does not last, the next start does it.
func (e *Engine) removeNote(name string) {
	if err := e.opts.FS.Remove(e.path(name)); err != nil {
		e.opts.Logger.Warn("a note of a deletion could not be removed; the next start does it", "file", e.path(name), "error", err)
	}
}

// isMade reports whether the catalog has the deletion's commit, as long as nothing came behind it.
func (n *deletionNote) isMade(c *catalog.Catalog) bool {
	if !n.isPending || slices.ContainsFunc(n.tombstones, func(d *schema.Tombstone) bool { return isBuried(c, d) }) {
		return true
	}
	named := func(id schema.FileID) bool {
		return slices.ContainsFunc(c.Files(), func(f *schema.File) bool { return f.ID == id })
	}
	if n.added != 0 {
		return named(n.added)
	}
	return n.removed != 0 && !named(n.removed)
}

// isBuried reports whether the catalog has a tombstone.
func isBuried(c *catalog.Catalog, d *schema.Tombstone) bool {
	return slices.ContainsFunc(c.Tombstones(d.Table), func(o *schema.Tombstone) bool { return o.Order == d.Order })
}

// openDeletions takes over the notes of the directory, and completes them: a restore writes
// none, and earlier releases wrote none.
func (e *Engine) openDeletions() {
	notes, bad, err := e.readDeletions()
	if err != nil {
		e.opts.Logger.Warn("the notes of deletions cannot be read; a salvage would do without them", "error", err)
		return
	}
	for _, name := range bad {
		e.removeNote(name)
	}
	e.flusher.deletions = nil
	for _, n := range notes {
		switch {
		case !n.isMade(e.catalog):
			e.removeNote(n.name())
			continue
		case n.isPending:
			e.confirmDeletion(n)
		}
		e.flusher.deletions = append(e.flusher.deletions, n)
	}
	e.completeDeletions()
	e.retireDeletions()
}

// completeDeletions notes tombstones of the catalog that no note has.
func (e *Engine) completeDeletions() {
	noted := make(map[uint64]bool)
	for _, n := range e.flusher.deletions {
		for _, d := range n.tombstones {
			noted[d.Order] = true
		}
	}
	missing := make(map[uint64]*deletionNote)
	for _, d := range e.catalog.AllTombstones() {
		if noted[d.Order] {
			continue
		}
		if missing[d.Order] == nil {
			missing[d.Order] = &deletionNote{order: d.Order}
		}
		missing[d.Order].tombstones = append(missing[d.Order].tombstones, d)
	}
	for _, n := range missing {
		if err := e.writeDeletion(n); err != nil {
			e.opts.Logger.Warn("a deletion is noted in the catalog only; a salvage without it would not know of it", "error", err)
			return
		}
	}
}

// retireDeletions removes notes that no salvage would need. The caller holds flusher.mu, or nobody else
// is there.
func (e *Engine) retireDeletions() {
	e.flusher.deletions = slices.DeleteFunc(e.flusher.deletions, func(n *deletionNote) bool {
		if n.isPending || slices.ContainsFunc(n.tombstones, e.isNeeded) {
			return false
		}
		e.removeNote(n.name())
		return true
	})
	if len(e.flusher.deletions) > maxNotes {
		e.joinDeletions()
	}
}

// joinDeletions makes one note of all, with the tombstones that are still needed.
func (e *Engine) joinDeletions() {
	old := e.flusher.deletions
	joined := &deletionNote{order: uint64(e.catalog.AllocateFileID())}
	for _, n := range old {
		if n.isPending {
			return // its outcome is unknown
		}
		for _, d := range n.tombstones {
			if e.isNeeded(d) {
				joined.tombstones = append(joined.tombstones, d)
			}
		}
	}
	if err := e.writeDeletion(joined); err != nil {
		e.opts.Logger.Warn("notes of deletions could not be joined; the next flush tries again", "error", err)
		return
	}
	for _, n := range old {
		e.removeNote(n.name())
	}
	e.flusher.deletions = []*deletionNote{joined}
}

// isNeeded reports whether a salvage may need a tombstone: files, also those that the catalog has given up, or
// the log still have rows that it deleted.
func (e *Engine) isNeeded(d *schema.Tombstone) bool {
	t := e.tables.find(d.Table)
	return isBuried(e.catalog, d) || e.log == nil || e.log.MayHold(d.Seq) || t != nil && t.hasDoomed()
}
