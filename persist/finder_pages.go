package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/thrift/lib/go/thrift"
	"github.com/klauspost/compress/zstd"
)

// chunkPlace is where a column chunk lies, and how its pages follow each other.
type chunkPlace struct {
	offset, length int64
	optional       bool
	floats         bool
	values         int // rows

	once  sync.Once // guards what follows
	err   error
	dict  *page
	pages []page
}

// page is where the body of a page lies, compressed.
type page struct {
	offset           int64
	compressed, full int32
	first, rows      int // of a data page: its first row in the row group, and how many it has
	encoding         parquet.Encoding
}

// Bounds of what a header may say of a page.
const (
	maxPageBytes  = 256 << 20
	maxChunkBytes = 1 << 30
)

// scan finds the pages of the chunk, once.
func (c *chunkPlace) scan(src io.ReaderAt) error {
	c.once.Do(func() { c.err = c.findPages(src) })
	return c.err
}

func (c *chunkPlace) findPages(src io.ReaderAt) error {
	if c.length > maxChunkBytes {
		return fmt.Errorf("%w: a column chunk of %d bytes", ErrNotSupported, c.length)
	}
	chunk := make([]byte, c.length)
	if _, err := src.ReadAt(chunk, c.offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rows := 0
	for at := 0; rows < c.values; {
		h, n, err := parsePageHeader(chunk[at:])
		if err != nil {
			return err
		}
		at += n
		if h.compressed < 0 || h.full < 0 || h.full > maxPageBytes || int(h.compressed) > len(chunk)-at {
			return fmt.Errorf("a page of %d bytes does not fit its column chunk", h.compressed)
		}
		p := page{offset: c.offset + int64(at), compressed: h.compressed, full: h.full, encoding: h.encoding}
		at += int(h.compressed)
		switch {
		case h.kind == dictionaryPage && c.dict == nil && rows == 0:
			p.rows = int(h.values)
			c.dict = &p
		case h.kind == dataPage && h.values >= 0 && int(h.values) <= c.values-rows:
			p.first, p.rows = rows, int(h.values)
			rows += p.rows
			c.pages = append(c.pages, p)
		default:
			return fmt.Errorf("%w: a page of kind %d with %d values", ErrNotSupported, h.kind, h.values)
		}
	}
	return nil
}

// Kinds of pages, and fields of their headers, in Parquet's definition.
const (
	dataPage       = 0
	dictionaryPage = 2

	kindField       = 1
	fullField       = 2
	compressedField = 3
	dataField       = 5 // of one struct each
	dictionaryField = 7
	valuesField     = 1 // of either
	encodingField   = 2
)

// pageHeader is what matters in a page's header.
type pageHeader struct {
	kind, full, compressed, values int32
	encoding                       parquet.Encoding
}

// parsePageHeader returns the header at the start of b, and its length.
func parsePageHeader(b []byte) (h pageHeader, n int, err error) {
	buffer := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(b)}
	p := thrift.NewTCompactProtocolConf(buffer, &thrift.TConfiguration{MaxMessageSize: int32(min(len(b)+1, maxFooterBytes))})
	ctx := context.Background()
	err = eachField(ctx, p, func(id int16, typ thrift.TType) error {
		switch {
		case typ == thrift.I32 && id == kindField:
			return readI32(ctx, p, &h.kind)
		case typ == thrift.I32 && id == fullField:
			return readI32(ctx, p, &h.full)
		case typ == thrift.I32 && id == compressedField:
			return readI32(ctx, p, &h.compressed)
		case typ == thrift.STRUCT && (id == dataField || id == dictionaryField):
			return eachField(ctx, p, func(id int16, typ thrift.TType) error {
				var encoding int32
				switch {
				case typ == thrift.I32 && id == valuesField:
					return readI32(ctx, p, &h.values)
				case typ == thrift.I32 && id == encodingField:
					err := readI32(ctx, p, &encoding)
					h.encoding = parquet.Encoding(encoding)
					return err
				}
				return thrift.SkipDefaultDepth(ctx, p, typ)
			})
		}
		return thrift.SkipDefaultDepth(ctx, p, typ)
	})
	if err != nil {
		return h, 0, fmt.Errorf("header of a page: %w", err)
	}
	return h, len(b) - buffer.Len(), nil
}

func readI32(ctx context.Context, p thrift.TProtocol, to *int32) (err error) {
	*to, err = p.ReadI32(ctx)
	return err
}

// pageBuffers are what a page is read into.
type pageBuffers struct{ compressed, full []byte }

var (
	pagePool = sync.Pool{New: func() any { return new(pageBuffers) }}
	unzstd   = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxPageBytes))
	})
)

// read returns the body of a page, decompressed, until the buffers are used again.
func (b *pageBuffers) read(src io.ReaderAt, p *page) ([]byte, error) {
	decoder, err := unzstd()
	if err != nil {
		return nil, err
	}
	b.compressed = grown(b.compressed, int(p.compressed))
	if _, err := src.ReadAt(b.compressed, p.offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if raw, ok := storedIn(b.compressed, int(p.full)); ok {
		return raw, nil
	}
	b.full, err = decoder.DecodeAll(b.compressed, grown(b.full, int(p.full))[:0])
	if err != nil {
		return nil, err
	}
	if len(b.full) != int(p.full) {
		return nil, fmt.Errorf("a page of %d bytes has %d", p.full, len(b.full))
	}
	return b.full, nil
}

// grown returns a slice of so many bytes, b if it has room for them.
func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// split separates the definition levels of a data page from its values.
func (c *chunkPlace) split(body []byte, rows int) (presence, []byte, error) {
	if !c.optional {
		return presence{all: true}, body, nil
	}
	levels, values, err := cutLevels(body)
	if err != nil {
		return presence{}, nil, err
	}
	p, err := readPresence(levels, rows)
	return p, values, err
}
