package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// CreateOptions say what is backed up and where to. Store and Connect are required.
type CreateOptions struct {
	Store Store
	// Connect asks a server for its stream; have lists the files that it need not send.
	Connect func(ctx context.Context, have io.Reader) (io.ReadCloser, error)
	// BytesPerSecond bounds what is received; 0 is no bound.
	BytesPerSecond int64
	// Progress is told now and then how many bytes of all have come; nil is nobody.
	Progress func(done, total int64, what string)
}

// marker is an object that says that a place is a repository. Elsewhere nothing is written,
// nor removed by Prune.
const (
	marker     = "siltstone-backup.json"
	markerText = `{"format":1,"what":"a repository of siltstone backup; docs/format/backup.md describes it"}` + "\n"
)

// ErrNoRepository says that a place is no repository, or, where one may be made, has other objects.
var ErrNoRepository = errors.New("it is no backup repository")

// Create makes a backup and returns its manifest. The errors are ErrDamaged for what came and
// is not what the server meant to send, ErrNoRepository, those of Connect and of the store.
func Create(ctx context.Context, o CreateOptions) (m *Manifest, err error) {
	if o.Progress == nil {
		o.Progress = func(_, _ int64, _ string) {}
	}
	if err := beRepository(ctx, o.Store, true); err != nil {
		return nil, err
	}
	lock, err := o.Store.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	have, err := filesIn(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	stream, err := o.Connect(ctx, namesOf(have))
	if err != nil {
		return nil, err
	}
	c := &creation{CreateOptions: o, ctx: ctx, have: have}
	err = c.receive(&pacedReader{ctx: ctx, r: stream, rate: o.BytesPerSecond, begin: time.Now()})
	if err = errors.Join(err, stream.Close()); err != nil {
		return nil, err
	}
	return &c.manifest, c.commit()
}

// beRepository makes sure that a place is a repository, or empty, when it may become one.
func beRepository(ctx context.Context, s Store, mayBegin bool) error {
	in, err := s.Get(ctx, marker)
	if err == nil {
		return in.Close()
	}
	if !errors.Is(err, ErrNoObject) {
		return err
	}
	if !mayBegin {
		return fmt.Errorf("%s: %w: it has no %s", s, ErrNoRepository, marker)
	}
	err = s.List(ctx, "", func(o Object) error {
		if o.Name == lockName || strings.HasPrefix(o.Name, marker) || o.Name == "lost+found" {
			return nil
		}
		return fmt.Errorf("%s: %w, and not empty: there is %s", s, ErrNoRepository, o.Name)
	})
	if err != nil {
		return err
	}
	return putBytes(ctx, s, marker, []byte(markerText))
}

// filesIn returns the sizes of the files in a repository by name.
func filesIn(ctx context.Context, s Store) (map[string]int64, error) {
	have := make(map[string]int64)
	err := s.List(ctx, filesDir, func(o Object) error {
		have[o.Name] = o.Bytes
		return nil
	})
	return have, err
}

// namesOf reads the names of files whose size is what their name says, a line each.
func namesOf(have map[string]int64) io.Reader {
	var text strings.Builder
	for name, size := range have {
		if strings.HasSuffix(name, fmt.Sprintf("-%d%s", size, parquetExt)) {
			text.WriteString(name)
			text.WriteByte('\n')
		}
	}
	return strings.NewReader(text.String())
}

// creation is the state of one Create.
type creation struct {
	CreateOptions
	ctx         context.Context // of the one call that it is made for
	have        map[string]int64
	manifest    Manifest
	wanted      map[string]*schema.File
	done, total int64
}

// receive takes a stream.
func (c *creation) receive(r io.Reader) error {
	in := tar.NewReader(bufio.NewReaderSize(r, copyBytes))
	for step := 0; ; step++ {
		entry, err := in.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the backup was cut off (what has come is used the next time): %w", err)
		}
		switch {
		case step == 0 && entry.Name == headerEntry:
			err = c.receiveHeader(in)
		case step == 1 && entry.Name == catalogEntry:
			err = c.receiveCatalog(in)
		case step > 1 && entry.Name == endEntry:
			return nil
		case step > 1 && c.wanted[entry.Name] != nil:
			err = c.receiveFile(in, entry.Name)
		default:
			err = fmt.Errorf("%w: %q came, which was not expected", ErrDamaged, entry.Name)
		}
		if err != nil {
			return err
		}
	}
}

func (c *creation) receiveHeader(r io.Reader) error {
	var h Header
	if err := json.NewDecoder(io.LimitReader(r, maxHeader)).Decode(&h); err != nil {
		return fmt.Errorf("%w: its beginning: %w", ErrDamaged, err)
	}
	if h.Format != Format {
		return fmt.Errorf("%w: the server sends %d, and this one takes %d", ErrNewerFormat, h.Format, Format)
	}
	c.manifest, c.total = h.Manifest, h.SendBytes
	return c.choose()
}

// choose gives the backup a name that is free.
func (c *creation) choose() error {
	for t := c.manifest.Time; ; t = t.Add(time.Millisecond) {
		c.manifest.ID = newID(t)
		in, err := c.Store.Get(c.ctx, c.manifest.object())
		if errors.Is(err, ErrNoObject) {
			return nil
		}
		if err == nil {
			err = in.Close()
		}
		if err != nil {
			return err
		}
	}
}

func (c *creation) receiveCatalog(r io.Reader) error {
	m := &c.manifest
	if err := c.Store.Put(c.ctx, m.catalog(), m.CatalogBytes, newVerifiedReader(r, "the catalog's image", m.CatalogBytes, m.CatalogCRC32C)); err != nil {
		return err
	}
	image, err := readCatalog(c.ctx, c.Store, m)
	if err != nil {
		return err
	}
	m.summarize(image)
	c.wanted = make(map[string]*schema.File, len(image.Files))
	for _, f := range image.Files {
		c.wanted[FileObject(m.Instance, f)] = f
	}
	return nil
}

// receiveFile takes a file, whole and right or not at all.
func (c *creation) receiveFile(r io.Reader, name string) error {
	f := c.wanted[name]
	in := newFileReader(r, name, f)
	in.done = func(n int) {
		c.done += int64(n)
		c.Progress(c.done, c.total, name)
	}
	if err := c.Store.Put(c.ctx, name, int64(f.Bytes), in); err != nil {
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w; if it comes again, look at the server's files with: siltstone check", err)
		}
		return err
	}
	c.manifest.NewFiles++
	c.manifest.NewBytes += int64(f.Bytes)
	return nil
}

// commit makes sure that all files are there, and writes the manifest.
func (c *creation) commit() error {
	have, err := filesIn(c.ctx, c.Store) // somebody else may have removed what was there before
	if err != nil {
		return err
	}
	for name, f := range c.wanted {
		if size, ok := have[name]; !ok || size != int64(f.Bytes) {
			return fmt.Errorf("%s of %s is not there, or not whole: was something removed meanwhile? Make the backup again", name, c.Store)
		}
	}
	text, err := c.manifest.encode()
	if err != nil {
		return err
	}
	return putBytes(c.ctx, c.Store, c.manifest.object(), text)
}

// readCatalog reads the image of a backup.
func readCatalog(ctx context.Context, s Store, m *Manifest) (*catalog.Image, error) {
	in, err := openCatalog(ctx, s, m)
	if err != nil {
		return nil, err
	}
	image, err := catalog.ReadImage(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", m.catalog(), asDamage(err))
	}
	if image.Instance != m.Instance {
		return nil, fmt.Errorf("%w: %s is of instance %s, not %s", ErrDamaged, m.catalog(), image.Instance, m.Instance)
	}
	return image, nil
}

// asDamage makes an error of reading an image one of this package.
func asDamage(err error) error {
	if errors.Is(err, catalog.ErrImage) || catalog.IsDamage(err) || errors.Is(err, ErrNoObject) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// verifiedCloser is a verifiedReader that can be closed.
type verifiedCloser struct {
	*verifiedReader
	io.Closer
}

// openCatalog opens the image of a backup. What is read of it is compared with its checksum.
func openCatalog(ctx context.Context, s Store, m *Manifest) (io.ReadCloser, error) {
	in, err := s.Get(ctx, m.catalog())
	if err != nil {
		return nil, asDamage(err)
	}
	return verifiedCloser{newVerifiedReader(in, m.catalog(), m.CatalogBytes, m.CatalogCRC32C), in}, nil
}

// pacedReader keeps to a rate, and ends with its context.
type pacedReader struct {
	ctx   context.Context
	r     io.Reader
	rate  int64 // bytes a second; 0 is no bound
	begin time.Time
	read  int64
}

// next goes on with another source.
func (p *pacedReader) next(ctx context.Context, r io.Reader) {
	p.ctx, p.r = ctx, r
	if p.begin.IsZero() {
		p.begin = time.Now()
	}
}

// Read implements io.Reader.
func (p *pacedReader) Read(b []byte) (int, error) {
	if p.rate > 0 {
		due := p.begin.Add(time.Duration(float64(p.read) / float64(p.rate) * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-p.ctx.Done():
			}
		}
	}
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.read += int64(n)
	return n, err
}
