package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is how far back a zstd frame may refer, which is memory that its decoder
// has to hold. RFC 9659 obliges HTTP clients to stay within 8 MiB.
const zstdMaxWindow = 8 << 20

// contentCoding is a way to compress a body.
type contentCoding struct {
	name string
	// memoryBytes is what a decoder holds, where that is worth accounting for.
	memoryBytes int64
	fresh       func() decoder
	idle        sync.Pool // of decoder
}

// decoder decompresses one body after the other.
type decoder interface {
	io.Reader
	// reset starts a new body; nil forgets the last one.
	reset(src io.Reader) error
}

var (
	gzipCoding    = &contentCoding{name: "gzip", fresh: func() decoder { return new(gzipDecoder) }}
	deflateCoding = &contentCoding{name: "deflate", fresh: func() decoder { return new(deflateDecoder) }}
	zstdCoding    = &contentCoding{name: "zstd", memoryBytes: zstdMaxWindow, fresh: func() decoder { return new(zstdDecoder) }}
)

// contentCodings are the codings by their names in HTTP.
var contentCodings = map[string]*contentCoding{
	"gzip": gzipCoding, "x-gzip": gzipCoding, "deflate": deflateCoding, "zstd": zstdCoding,
}

// codingOf returns how a body is compressed; nil is not at all.
func codingOf(h http.Header) (*contentCoding, error) {
	header := strings.Join(h.Values("Content-Encoding"), ", ")
	var found *contentCoding
	for name := range strings.SplitSeq(header, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" || name == "identity" {
			continue
		}
		c, ok := contentCodings[name]
		if !ok {
			return nil, badRequest("unacceptable content-encoding: %s", header)
		}
		if found != nil {
			return nil, badRequest("unacceptable content-encoding: %s; compress the body once, with gzip, zstd or deflate", header)
		}
		found = c
	}
	return found, nil
}

// open returns a reader of what src holds compressed. Its owner must close it.
func (c *contentCoding) open(src io.Reader) (*decodedBody, error) {
	d, ok := c.idle.Get().(decoder)
	if !ok {
		d = c.fresh()
	}
	body := &decodedBody{coding: c, decoder: d}
	if err := d.reset(src); err != nil {
		body.close()
		return nil, c.blame(err)
	}
	return body, nil
}

// decodedBody reads a compressed body.
type decodedBody struct {
	coding  *contentCoding
	decoder decoder
}

func (b *decodedBody) Read(p []byte) (int, error) {
	n, err := b.decoder.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, b.coding.blame(err)
}

// close keeps the decoder for another body.
func (b *decodedBody) close() {
	// A decoder that complains about having nothing to decode has forgotten the body.
	_ = b.decoder.reset(nil)
	b.coding.idle.Put(b.decoder)
	b.decoder = nil
}

// blame keeps errors of the transport and blames the client for the others.
func (c *contentCoding) blame(err error) error {
	var large *http.MaxBytesError
	var transport *transportError
	if errors.As(err, &large) || errors.As(err, &transport) {
		return err
	}
	return badRequest("error decoding %s stream: %v", c.name, err)
}

// gzipDecoder reads all members of a gzip stream.
type gzipDecoder struct {
	src  bufio.Reader
	gzip gzip.Reader
}

func (d *gzipDecoder) reset(src io.Reader) error {
	d.src.Reset(src)
	if src == nil {
		return nil
	}
	return d.gzip.Reset(&d.src)
}

func (d *gzipDecoder) Read(p []byte) (int, error) { return d.gzip.Read(p) }

// deflateDecoder reads zlib streams, which HTTP means by deflate, and the bare ones that
// some clients send instead.
type deflateDecoder struct {
	src     bufio.Reader
	zlib    io.ReadCloser // a zlib.Resetter; nil until there was one to read
	bare    io.ReadCloser // a flate.Resetter; likewise
	current io.Reader
}

func (d *deflateDecoder) reset(src io.Reader) error {
	d.src.Reset(src)
	d.current = nil
	if src == nil {
		return nil
	}
	head, err := d.src.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if isZlib(head) {
		return d.resetZlib()
	}
	return d.resetBare()
}

// isZlib tells a zlib header from the beginning of a bare stream. Its low half byte is 8,
// with which no encoder begins a bare stream: that is a stored block with dirty padding.
func isZlib(head []byte) bool {
	return len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0
}

func (d *deflateDecoder) resetZlib() (err error) {
	if d.zlib == nil {
		d.zlib, err = zlib.NewReader(&d.src)
	} else {
		err = d.zlib.(zlib.Resetter).Reset(&d.src, nil)
	}
	d.current = d.zlib
	return err
}

func (d *deflateDecoder) resetBare() error {
	if d.bare == nil {
		d.bare = flate.NewReader(&d.src)
		d.current = d.bare
		return nil
	}
	d.current = d.bare
	return d.bare.(flate.Resetter).Reset(&d.src, nil)
}

func (d *deflateDecoder) Read(p []byte) (int, error) {
	n, err := d.current.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	switch _, behind := d.src.ReadByte(); {
	case behind == nil:
		return n, errors.New("there are bytes behind its end")
	case !errors.Is(behind, io.EOF):
		return n, behind
	}
	return n, io.EOF
}

// zstdDecoder reads all frames of a zstd stream.
type zstdDecoder struct{ zstd *zstd.Decoder }

func (d *zstdDecoder) reset(src io.Reader) (err error) {
	if d.zstd == nil {
		// Without concurrency it decodes in Read, and starts no goroutine.
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			return err
		}
	}
	return d.zstd.Reset(src)
}

func (d *zstdDecoder) Read(p []byte) (int, error) {
	n, err := d.zstd.Read(p)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("a frame needs a window of more than %d bytes; compress at a lower level", zstdMaxWindow)
	}
	return n, err
}
