package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// SendDatabase sends one database of a backup as a stream, for ReceiveDatabase: the files of
// its tables, table by table in the order of engine.FilesOf. progress is told how many bytes of all were sent.
func SendDatabase(ctx context.Context, w io.Writer, s Store, id, database string, rate int64, progress func(done, total int64, what string)) error {
	if err := beRepository(ctx, s, false); err != nil {
		return err
	}
	m, err := Find(ctx, s, id)
	if err != nil {
		return err
	}
	image, err := readCatalog(ctx, s, m)
	if err != nil {
		return err
	}
	files, err := engine.FilesOf(image, database)
	if err != nil {
		return err
	}
	h := Header{Manifest: *m, SendFiles: len(files)}
	for _, f := range files {
		h.SendBytes += int64(f.Bytes)
	}
	out, err := beginStream(ctx, w, &h, func() (io.ReadCloser, error) { return openCatalog(ctx, s, m) })
	if err != nil {
		return err
	}
	fetch, done := newFetcher(s, rate), int64(0)
	for _, f := range files {
		name := FileObject(m.Instance, f)
		if err := out.send(name, int64(f.Bytes), func() (io.ReadCloser, error) { return fetch.open(ctx, m.Instance, f) }); err != nil {
			return err
		}
		done += int64(f.Bytes)
		progress(done, h.SendBytes, name)
	}
	return out.end()
}

// ReceiveDatabase makes a database of a stream of SendDatabase. The errors are ErrDamaged,
// ErrNewerFormat and those of engine.RestoreDatabase.
func ReceiveDatabase(ctx context.Context, e *engine.Engine, r io.Reader, database, as string) (done engine.RestoredDatabase, err error) {
	in := tar.NewReader(bufio.NewReaderSize(r, copyBytes))
	if err := nextEntry(in, headerEntry); err != nil {
		return done, err
	}
	var h Header
	if err := json.NewDecoder(io.LimitReader(in, maxHeader)).Decode(&h); err != nil {
		return done, fmt.Errorf("%w: its beginning: %w", ErrDamaged, err)
	}
	if h.Format != Format {
		return done, fmt.Errorf("%w: %d, and this one takes %d", ErrNewerFormat, h.Format, Format)
	}
	if err := nextEntry(in, catalogEntry); err != nil {
		return done, err
	}
	image, err := catalog.ReadImage(newVerifiedReader(in, catalogEntry, h.CatalogBytes, h.CatalogCRC32C))
	if err != nil {
		return done, asDamage(err)
	}
	return e.RestoreDatabase(ctx, engine.RestoreDatabaseOptions{
		Image: image, Database: database, As: as,
		File: func(_ context.Context, f *schema.File) (io.ReadCloser, error) {
			return io.NopCloser(in), nextEntry(in, FileObject(image.Instance, f))
		},
	})
}

// nextEntry goes on to the next entry, which must have a name.
func nextEntry(in *tar.Reader, name string) error {
	entry, err := in.Next()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%w: it was cut off before %s: %w", ErrDamaged, name, err)
	}
	if entry.Name != name {
		return fmt.Errorf("%w: %q came, and not %q", ErrDamaged, entry.Name, name)
	}
	return nil
}
