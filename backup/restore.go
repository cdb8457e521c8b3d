package backup

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// RestoreOptions say what is restored and where. Store and DataDir are required.
type RestoreOptions struct {
	Store Store
	// ID is the backup; empty is the newest.
	ID string
	// DataDir must be empty or absent.
	DataDir string
	FS      vfs.FS // of DataDir; nil is the real one
	Logger  *slog.Logger
	// BytesPerSecond bounds what is read of the store; 0 is no bound.
	BytesPerSecond int64
	// Progress is told now and then how many bytes of all are there; nil is nobody.
	Progress func(done, total int64, what string)
}

// Restore makes a data directory of a backup, which appears when all of it is there and was
// checked. The errors are those of Find and of engine.Restore.
func Restore(ctx context.Context, o RestoreOptions) (*Manifest, engine.CheckReport, error) {
	if err := beRepository(ctx, o.Store, false); err != nil {
		return nil, engine.CheckReport{}, err
	}
	m, err := Find(ctx, o.Store, o.ID)
	if err != nil {
		return nil, engine.CheckReport{}, err
	}
	report, err := engine.Restore(ctx, engine.RestoreOptions{
		DataDir: o.DataDir, FS: o.FS, Logger: o.Logger, Progress: o.Progress,
		Note:  engine.Restored{Backup: m.ID, From: o.Store.String(), Taken: m.Time},
		Image: func() (io.ReadCloser, error) { return openCatalog(ctx, o.Store, m) },
		File:  newFetcher(o.Store, o.BytesPerSecond).open,
	})
	return m, report, err
}

// fetcher opens files of a repository.
type fetcher struct {
	store Store
	pace  pacedReader
}

func newFetcher(s Store, rate int64) *fetcher {
	return &fetcher{store: s, pace: pacedReader{rate: rate}}
}

// open is for engine.RestoreOptions. Files are opened one after another.
func (f *fetcher) open(ctx context.Context, instance string, file *schema.File) (io.ReadCloser, error) {
	name := FileObject(instance, file)
	in, err := f.store.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, f.store, asDamage(err))
	}
	f.pace.next(ctx, newFileReader(in, name, file))
	return fetched{&f.pace, in}, nil
}

type fetched struct {
	io.Reader
	io.Closer
}
