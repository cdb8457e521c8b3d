package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// What a server sends is a tar archive:
//
//	backup.json   a Header
//	catalog       the image
//	files/…       each file that the receiver lacks, under its object's name
//	end           nothing: without it the stream was cut off
//
// The receiver sends the names of the files that it has before, a line each.

const (
	headerEntry  = "backup.json"
	catalogEntry = "catalog"
	endEntry     = "end"
	maxHeader    = 1 << 20
)

// Header is the first entry of a stream.
type Header struct {
	Manifest
	SendFiles int   `json:"send_files"` // that follow
	SendBytes int64 `json:"send_bytes"`
}

// MaxHave bounds the text of a receiver's list: a million files.
const MaxHave = 128 << 20

// ReadHave reads the names of files that a receiver has, and keeps those of the instance.
func ReadHave(r io.Reader, instance string) (map[string]bool, error) {
	have := make(map[string]bool)
	lines := bufio.NewScanner(io.LimitReader(r, MaxHave))
	for lines.Scan() {
		if name := lines.Text(); strings.HasPrefix(name, filesDir+instance+"/") {
			have[strings.Clone(name)] = true
		}
	}
	return have, lines.Err()
}

// Send sends a backup but for the files that the receiver has. server is the release.
func Send(ctx context.Context, w io.Writer, b *engine.Backup, have map[string]bool, server string) error {
	h := Header{Manifest: Manifest{
		Format: Format, Instance: b.Instance, Server: server, Time: b.Time.UTC(), Position: b.Position,
		CatalogBytes: b.ImageBytes, CatalogCRC32C: b.ImageCRC32C,
	}}
	var lacking []engine.FileRef
	for _, f := range b.Files {
		if !have[FileObject(b.Instance, f.File)] {
			lacking = append(lacking, f)
			h.SendFiles++
			h.SendBytes += int64(f.Bytes)
		}
	}
	out, err := beginStream(ctx, w, &h, b.Image)
	if err != nil {
		return err
	}
	for _, f := range lacking {
		if err := out.send(FileObject(b.Instance, f.File), int64(f.Bytes), func() (io.ReadCloser, error) { return b.Open(f) }); err != nil {
			return err
		}
	}
	return out.end()
}

type sender struct {
	ctx    context.Context // of the one call that it is made for
	tar    *tar.Writer
	buffer []byte
}

// beginStream sends what comes before the files.
func beginStream(ctx context.Context, w io.Writer, h *Header, catalog func() (io.ReadCloser, error)) (*sender, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	s := &sender{ctx: ctx, tar: tar.NewWriter(w), buffer: make([]byte, copyBytes)}
	err = s.send(headerEntry, int64(len(head)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil })
	if err != nil {
		return nil, err
	}
	return s, s.send(catalogEntry, h.CatalogBytes, catalog)
}

// end ends the stream.
func (s *sender) end() error {
	if err := s.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: endEntry, Mode: 0o600}); err != nil {
		return err
	}
	return s.tar.Close()
}

func (s *sender) send(name string, size int64, open func() (io.ReadCloser, error)) error {
	in, err := open()
	if err != nil {
		return err
	}
	err = s.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600})
	if err == nil {
		_, err = io.CopyBuffer(s.tar, &endingReader{s.ctx, in}, s.buffer)
	}
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("sending %s: %w", name, err)
	}
	return nil
}

// endingReader ends with its context.
type endingReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (e *endingReader) Read(b []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// verifiedReader reads an object, of which it is an error that it is not what it should be.
type verifiedReader struct {
	r     io.Reader
	name  string
	bytes int64
	want  uint32
	crc   uint32
	read  int64
	done  func(n int) // is told what was read
}

func newVerifiedReader(r io.Reader, name string, bytes int64, crc uint32) *verifiedReader {
	return &verifiedReader{r: r, name: name, bytes: bytes, want: crc, done: func(int) {}}
}

// newFileReader verifies one of the files.
func newFileReader(r io.Reader, name string, f *schema.File) *verifiedReader {
	return newVerifiedReader(r, name, int64(f.Bytes), f.CRC32C)
}

// Read implements io.Reader. It gives the last bytes away only when all of them are right: who
// sends them elsewhere, after a length, would have sent a whole object otherwise.
func (v *verifiedReader) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.crc = crc32.Update(v.crc, castagnoli, b[:n])
	v.read += int64(n)
	v.done(n)
	isEnd := errors.Is(err, io.EOF)
	if isEnd && v.read < v.bytes || v.read > v.bytes || v.read == v.bytes && v.crc != v.want {
		return 0, fmt.Errorf("%w: %s has %d bytes with checksum %08x, not %d with %08x", ErrDamaged, v.name, v.read, v.crc, v.bytes, v.want)
	}
	return n, err
}
