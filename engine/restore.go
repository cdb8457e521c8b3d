package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// A restore builds a data directory beside its final place and renames it when all of it is
// durable and checked, so that one that is killed leaves nothing that could be served:
//
//	begin    make <dir>.restoring, lock it, write RESTORED
//	files    write, sync and compare each file
//	catalog  make it of the image
//	log      begin one behind the position of the backup
//	check    read everything, as siltstone check does
//	end      rename
//
// What an earlier attempt left is removed at the beginning. RESTORED says that the directory
// is one of these, and stays in it to say where the data came from.

const (
	restoringSuffix = ".restoring"
	restoredName    = "RESTORED"
	// restoreBufferBytes is the unit in which files are written.
	restoreBufferBytes = 256 << 10
)

// ErrNotEmpty says that a restore was to go where something is already.
var ErrNotEmpty = errors.New("a restore needs a directory that is empty or does not exist")

// Restored is what the file RESTORED says.
type Restored struct {
	Backup   string     `json:"backup"` // its name
	From     string     `json:"from"`   // where it was
	Taken    time.Time  `json:"taken"`
	Position schema.Seq `json:"position"`
	Restored time.Time  `json:"restored"`
}

// RestoreOptions say what is restored and where. All but Logger, FS and Progress is required.
type RestoreOptions struct {
	DataDir string
	FS      vfs.FS // nil is the real one
	Logger  *slog.Logger
	// Note is kept in the directory; Position and Restored are filled in.
	Note Restored
	// Image opens the image of the catalog.
	Image func() (io.ReadCloser, error)
	// File opens one of the files of the image, below the directory of its instance.
	File func(ctx context.Context, instance string, f *schema.File) (io.ReadCloser, error)
	// Progress is told now and then how many bytes of all are there.
	Progress func(done, total int64, what string)
}

// Restore makes a data directory of a backup. The directory appears when all is there and
// was checked; the report is that of the check. The errors are ErrNotEmpty, ErrInUse, ErrDamaged for a backup that is
// not what was written, those of catalog.ReadImage, of File and of the file system.
func Restore(ctx context.Context, opts RestoreOptions) (CheckReport, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Progress == nil {
		opts.Progress = func(_, _ int64, _ string) {}
	}
	opts.DataDir = path.Clean(opts.DataDir)
	r := &restore{RestoreOptions: opts, building: opts.DataDir + restoringSuffix}
	report, err := r.run(ctx)
	if err != nil {
		return report, fmt.Errorf("restoring to %s: %w", opts.DataDir, err)
	}
	return report, nil
}

// restore is the state of one Restore.
type restore struct {
	RestoreOptions
	building    string
	done, total int64
}

func (r *restore) run(ctx context.Context) (report CheckReport, err error) {
	if err := r.mustBeEmpty(); err != nil {
		return report, err
	}
	lock, err := r.begin()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	image, err := r.importCatalog()
	if err != nil {
		return report, err
	}
	if err := r.writeFiles(ctx, image); err != nil {
		return report, err
	}
	if err := r.beginLog(image.Position); err != nil {
		return report, err
	}
	if report, err = r.check(ctx); err != nil {
		return report, err
	}
	return report, r.end(image.Position)
}

// mustBeEmpty refuses a place at which there is something.
func (r *restore) mustBeEmpty() error {
	names, err := r.FS.List(r.DataDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking into it: %w", err)
	}
	if len(names) > 0 {
		slices.Sort(names)
		return fmt.Errorf("%w: there is %s", ErrNotEmpty, names[0])
	}
	return nil
}

// begin makes an empty directory to build in, and locks it.
func (r *restore) begin() (io.Closer, error) {
	if err := durable.MkdirAll(r.FS, r.building); err != nil {
		return nil, err
	}
	lock, err := lockDir(r.FS, r.building, "another restore to the same place is under way")
	if err != nil {
		return nil, err
	}
	if err = r.clear(); err == nil {
		err = r.note(0)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// clear removes what an earlier restore left, and nothing else.
func (r *restore) clear() error {
	names, err := r.FS.List(r.building)
	if err != nil {
		return fmt.Errorf("looking into %s: %w", r.building, err)
	}
	ours := []string{lockName, restoredName, catalogDir, walDir, filesDir}
	for _, name := range names {
		if !slices.Contains(ours, name) {
			return fmt.Errorf("%w: %s is in the way: it holds %s, which no restore has left there; remove or rename it", ErrNotEmpty, r.building, name)
		}
	}
	for _, name := range names {
		if name == lockName {
			continue
		}
		if err := r.FS.RemoveAll(r.path(name)); err != nil {
			return fmt.Errorf("removing what an earlier restore left: %w", err)
		}
	}
	return nil
}

// note writes RESTORED.
func (r *restore) note(position schema.Seq) error {
	r.Note.Position, r.Note.Restored = position, time.Now().UTC()
	text, err := json.MarshalIndent(r.Note, "", "  ")
	if err != nil {
		return err
	}
	file, err := r.FS.Create(r.path(restoredName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func (r *restore) importCatalog() (*catalog.Image, error) {
	in, err := r.Image()
	if err != nil {
		return nil, err
	}
	image, err := catalog.Import(catalog.Options{FS: r.FS, Dir: r.path(catalogDir), Logger: r.Logger}, bufio.NewReaderSize(in, restoreBufferBytes))
	if catalog.IsDamage(err) || errors.Is(err, catalog.ErrImage) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return image, errors.Join(err, in.Close())
}

func (r *restore) writeFiles(ctx context.Context, image *catalog.Image) error {
	for _, f := range image.Files {
		r.total += int64(f.Bytes)
	}
	dirs := make(map[string]bool)
	for _, f := range image.Files {
		dir := r.path(tableDir(f.Database, f.Table))
		if !dirs[dir] {
			dirs[dir] = true
			if err := durable.MkdirAll(r.FS, dir); err != nil {
				return err
			}
		}
		if err := r.writeFile(ctx, image.Instance, f); err != nil {
			return fmt.Errorf("%s: %w", filePath(f), err)
		}
	}
	for dir := range dirs {
		if err := durable.SyncDir(r.FS, dir); err != nil {
			return err
		}
	}
	return durable.MkdirAll(r.FS, r.path(filesDir))
}

// writeFile writes one file, and compares it with its description.
func (r *restore) writeFile(ctx context.Context, instance string, f *schema.File) error {
	in, err := r.File(ctx, instance, f)
	if err != nil {
		return err
	}
	name := filePath(f)
	counted := &progressReader{ctx: ctx, r: in, read: func(n int) {
		r.done += int64(n)
		r.Progress(r.done, r.total, name)
	}}
	return errors.Join(storeFile(r.FS, r.path(name), f, counted), in.Close())
}

// storeFile writes a file that is to be as it is described, durably but for its name. After
// an error there may be something of it.
func storeFile(fs vfs.FS, name string, f *schema.File, in io.Reader) (err error) {
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	sum := &summingWriter{w: file}
	_, err = io.CopyBuffer(sum, in, make([]byte, restoreBufferBytes))
	if err == nil && (sum.bytes != int64(f.Bytes) || sum.crc != f.CRC32C) {
		err = fmt.Errorf("%w: it has %d bytes with checksum %08x, not %d with %08x", ErrDamaged, sum.bytes, sum.crc, f.Bytes, f.CRC32C)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// beginLog makes an empty log behind the position.
func (r *restore) beginLog(position schema.Seq) error {
	log, err := wal.Open(wal.Options{FS: r.FS, Dir: r.path(walDir), Logger: r.Logger}, position, func(schema.Seq, []byte) error { return nil })
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		return fmt.Errorf("beginning a log: %w", err)
	}
	return nil
}

// check reads all that was written.
func (r *restore) check(ctx context.Context) (CheckReport, error) {
	c := newChecker(ctx, CheckOptions{
		DataDir: r.building, FS: r.FS, Logger: r.Logger,
		Progress: func(p CheckProgress) { r.Progress(p.Bytes, p.Total, "checking "+p.File) },
	})
	report, err := c.run((*checker).checkClosed)
	if err == nil {
		err = report.Err()
	}
	return report, err
}

// end makes the directory appear.
func (r *restore) end(position schema.Seq) error {
	if err := r.note(position); err != nil {
		return err
	}
	if err := durable.SyncDir(r.FS, r.building); err != nil {
		return err
	}
	if err := r.mustBeEmpty(); err != nil {
		return err
	}
	if err := r.FS.Remove(r.DataDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing the empty directory: %w", err)
	}
	if err := r.FS.Rename(r.building, r.DataDir); err != nil {
		return err
	}
	return durable.SyncDir(r.FS, path.Dir(r.DataDir))
}

func (r *restore) path(name string) string { return path.Join(r.building, name) }

// progressReader ends with its context, and tells what was read.
type progressReader struct {
	ctx  context.Context
	r    io.Reader
	read func(n int)
}

// Read implements io.Reader.
func (p *progressReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.read(n)
	return n, err
}
