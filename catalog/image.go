package catalog

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/siltstone-db/siltstone/schema"
)

// An image holds all records of a catalog at one moment, as the key and the sealed value of
// each, in key order and without any of Pebble's files: what a backup keeps of a catalog.
// docs/format/backup.md describes its bytes.

const (
	imageMagic = "SILTCAT1"
	// maxImageKey and maxImageValue bound what a reader makes room for. The largest value is that
	// of a file with 10,000 columns and its bounds.
	maxImageKey   = 64
	maxImageValue = 4 << 20
	// imageWindow bounds the memory of decompressing.
	imageWindow = 8 << 20
)

// ErrImage says that the bytes of an image are not what was written.
var ErrImage = errors.New("the catalog image is damaged")

// Picture is what a catalog holds at the moment at which it was taken. It keeps the catalog
// from being closed or reopened, so it is to be closed soon. It is used by one goroutine.
type Picture struct {
	c        *Catalog
	store    *store
	snapshot *pebble.Snapshot
}

// TakePicture does no I/O. What Remember was called with by then is in the picture, and
// what it is called with later is not. The errors are ErrFailed and ErrClosed.
func (c *Catalog) TakePicture() (*Picture, error) {
	c.checking.RLock()
	s, err := c.usableStore()
	if err != nil {
		c.checking.RUnlock()
		return nil, err
	}
	return &Picture{c: c, store: s, snapshot: s.db.NewSnapshot()}, nil
}

// Close lets go of the catalog.
func (p *Picture) Close() error {
	defer p.c.checking.RUnlock()
	return p.snapshot.Close()
}

// Contents are what an image says in the place of what the picture has: files and a position of a moment at which
// exactly the rows up to the position are in files, and the states of rollups that these files go with.
type Contents struct {
	Files    []*schema.File
	Position schema.Seq
	// Rollups has the states by table; those of the picture are there too.
	Rollups map[schema.TableID]*schema.RollupState
}

// Rollups returns the states of all rollups.
func (c *Catalog) Rollups() map[schema.TableID]*schema.RollupState {
	return maps.Clone(c.files.Load().rollups)
}

// WriteImage writes the picture as an image with other contents. The errors are those of w and of reading.
func (p *Picture) WriteImage(w io.Writer, contents Contents) error {
	out, err := newImageWriter(w)
	if err != nil {
		return err
	}
	if err := p.writeRecords(out, contents); err != nil {
		return fmt.Errorf("copying the catalog: %w", err)
	}
	if err := p.store.fence.err(); err != nil { // behind it Pebble may read what is not on the disk
		return err
	}
	return out.finish()
}

func (p *Picture) writeRecords(out *imageWriter, contents Contents) (err error) {
	it, err := p.snapshot.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	position := contents.Position
	files := slices.SortedFunc(slices.Values(contents.Files), func(a, b *schema.File) int { return cmp.Compare(a.ID, b.ID) })
	before := func(k kind) { // writes what has the place in front of a kind
		if k > kindPosition && position > 0 {
			out.put(positionKey, seal(positionKey, appendNumber(nil, uint64(position))))
			position = 0
		}
		if k > kindFile {
			for _, f := range files {
				key := fileKey(f.ID)
				out.put(key, seal(key, appendFile(nil, f)))
			}
			files = nil
		}
	}
	for ok := it.First(); ok && out.err == nil; ok = it.Next() {
		k := kind(it.Key()[0])
		before(k)
		switch k {
		case kindPosition, kindCommits, kindFile, kindFlushed:
		case kindRollupState:
			if err := contents.putRollupState(out, it.Key()); err != nil {
				return err
			}
		default:
			out.put(it.Key(), it.Value())
		}
	}
	before(kindEvent + 1)
	return out.err
}

func (c *Contents) putRollupState(out *imageWriter, key []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	s := c.Rollups[schema.TableID(id)]
	if s == nil {
		return fmt.Errorf("%w of table %d", errNoState, id)
	}
	out.put(key, seal(key, appendRollupState(nil, s)))
	return nil
}

// imageWriter writes records, and keeps the first error.
type imageWriter struct {
	zip   *zstd.Encoder
	buf   *bufio.Writer
	sum   hash.Hash32
	count uint64
	err   error
}

func newImageWriter(w io.Writer) (*imageWriter, error) {
	if _, err := io.WriteString(w, imageMagic); err != nil {
		return nil, err
	}
	zip, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(imageWindow/2))
	if err != nil {
		return nil, err
	}
	return &imageWriter{zip: zip, buf: bufio.NewWriterSize(zip, 64<<10), sum: crc32.New(castagnoli)}, nil
}

func (w *imageWriter) put(key, stored []byte) {
	w.count++
	head := binary.AppendUvarint(nil, uint64(len(key)))
	w.write(append(head, key...))
	w.write(binary.AppendUvarint(nil, uint64(len(stored))))
	w.write(stored)
}

func (w *imageWriter) write(b []byte) {
	_, _ = w.sum.Write(b) // never fails
	if w.err == nil {
		_, w.err = w.buf.Write(b)
	}
}

// finish writes an empty key, the number of records and the checksum.
func (w *imageWriter) finish() error {
	w.write(binary.AppendUvarint([]byte{0}, w.count))
	w.write(binary.LittleEndian.AppendUint32(nil, w.sum.Sum32()))
	if w.err != nil {
		return w.err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.zip.Close()
}

// readImage calls visit with each record; key and value are valid during the call only. An
// image that is not whole, or whose checksum does not match, is an error that matches ErrImage, and
// may come after visit was called with all of it.
func readImage(r io.Reader, visit func(key, stored []byte) error) error {
	magic := make([]byte, len(imageMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return fmt.Errorf("%w: its beginning: %w", ErrImage, err)
	}
	if string(magic) != imageMagic {
		return fmt.Errorf("%w: it begins with %q, not %q", ErrImage, magic, imageMagic)
	}
	zip, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(imageWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer zip.Close()
	in := &imageReader{r: bufio.NewReaderSize(zip, 64<<10), sum: crc32.New(castagnoli)}
	return in.read(visit)
}

type imageReader struct {
	r   *bufio.Reader
	sum hash.Hash32
}

func (in *imageReader) read(visit func(key, stored []byte) error) error {
	var last, key, value []byte
	for count := uint64(0); ; count++ {
		var err error
		if key, err = in.bytes(key, maxImageKey); err != nil {
			return err
		}
		if len(key) == 0 {
			return in.end(count)
		}
		if value, err = in.bytes(value, maxImageValue); err != nil {
			return err
		}
		if bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("%w: record %x is behind %x", ErrImage, key, last)
		}
		last = append(last[:0], key...)
		if err := visit(key, value); err != nil {
			return err
		}
	}
}

// bytes reads a length and as many bytes into b.
func (in *imageReader) bytes(b []byte, limit uint64) ([]byte, error) {
	n, err := in.uvarint()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: a length of %d bytes", ErrImage, n)
	}
	if uint64(cap(b)) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	if _, err := io.ReadFull(in.r, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	_, _ = in.sum.Write(b)
	return b, nil
}

func (in *imageReader) uvarint() (uint64, error) {
	var b []byte
	for len(b) < binary.MaxVarintLen64 {
		c, err := in.r.ReadByte()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrImage, err)
		}
		b = append(b, c)
		if c < 0x80 {
			break
		}
	}
	_, _ = in.sum.Write(b)
	n, length := binary.Uvarint(b)
	if length <= 0 {
		return 0, fmt.Errorf("%w: a number is too large", ErrImage)
	}
	return n, nil
}

func (in *imageReader) end(count uint64) error {
	said, err := in.uvarint()
	if err != nil {
		return err
	}
	if said != count {
		return fmt.Errorf("%w: it has %d records, and says %d", ErrImage, count, said)
	}
	want := in.sum.Sum32()
	var sum [crc32.Size]byte
	if _, err := io.ReadFull(in.r, sum[:]); err != nil {
		return fmt.Errorf("%w: its checksum: %w", ErrImage, err)
	}
	if got := binary.LittleEndian.Uint32(sum[:]); got != want {
		return fmt.Errorf("%w: its checksum is %08x, not %08x", ErrImage, got, want)
	}
	if _, err := in.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is something behind its end", ErrImage)
	}
	return nil
}

// Image is what an image says, but for the event ids.
type Image struct {
	Instance string
	Schema   *schema.Snapshot
	Files    []*schema.File // by Order
	Position schema.Seq
	Tokens   []*schema.Token
	// Tombstones are those of each table, by Order.
	Tombstones map[schema.TableID][]*schema.Tombstone
	// Rollups are the states of rollups.
	Rollups map[schema.TableID]*schema.RollupState
}

// ReadImage reads an image. The errors match ErrImage, or are *VersionError, *CorruptError
// or those of r.
func ReadImage(r io.Reader) (*Image, error) {
	return loadImage(r, func(_, _ []byte) error { return nil })
}

// imageName is in the place of a directory in errors.
const imageName = "image"

func loadImage(r io.Reader, visit func(key, stored []byte) error) (*Image, error) {
	l := newLoader()
	err := readImage(r, func(key, stored []byte) error {
		err := error(nil)
		if kind(key[0]) == kindEvent {
			if err = checkEvent(key, stored); err != nil {
				err = &CorruptError{Dir: imageName, Key: bytes.Clone(key), Err: err}
			}
		} else {
			err = l.record(imageName, key, bytes.Clone(stored))
		}
		if err != nil {
			return err
		}
		return visit(key, stored)
	})
	if err != nil {
		return nil, err
	}
	if l.empty {
		return nil, fmt.Errorf("%w: it has no record", ErrImage)
	}
	if err := l.finish(imageName); err != nil {
		return nil, err
	}
	return &Image{
		Instance: l.header.instance.String(), Schema: l.snapshot, Files: l.files, Position: l.position, Tokens: l.tokens,
		Tombstones: l.tombstones, Rollups: l.rollups,
	}, nil
}

// importBytes is how much is written in one batch.
const importBytes = 1 << 20

// Import makes a catalog of an image in o.Dir, which must not exist, and returns what is in
// it. After an error the directory is to be removed. The errors are those of ReadImage and
// of the storage.
func Import(o Options, r io.Reader) (*Image, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s, err := openStore(&o)
	if err != nil {
		return nil, err
	}
	image, err := s.importImage(r)
	if err = errors.Join(err, s.close()); err != nil {
		return nil, fmt.Errorf("make catalog %s of an image: %w", o.Dir, err)
	}
	return image, nil
}

func (s *store) importImage(r io.Reader) (*Image, error) {
	b := s.newBatch()
	image, err := loadImage(r, func(key, stored []byte) error {
		if b.err == nil {
			b.err = b.b.Set(key, stored, nil)
		}
		if b.b.Len() < importBytes {
			return nil
		}
		full := b
		b = s.newBatch()
		return s.add(full)
	})
	if err != nil {
		return nil, errors.Join(err, b.b.Close())
	}
	b.remove(commitsKey) // so that the batch is not empty, whatever was in the last one
	return image, s.commit(b)
}
