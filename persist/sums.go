package persist

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/siltstone-db/siltstone/schema"
)

// Checksums inside a file
//
// Parquet has a place for a checksum in the header of a page. Neither does the library that
// writes our files fill it nor DuckDB look at it, and it would cover neither
// the headers themselves nor the footer. So each file carries its own sums, which form a
// chain: the catalog has the sum of the footer, the footer has those of the column chunks.
// A query needs the footer and the chunks of its columns; these are verified before it
// reads them, and no other byte of the file.
//
// Every byte is in one of the sums. The column chunks follow each other without gaps,
// from behind the magic at the start; what follows a chunk's pages, a copy of its
// metadata that nobody reads, is counted to it. Everything else, from the last chunk on
// and the magic at the start, is the footer's.

// sumBytes is the shortest encoding of one chunk's sum: its length and its checksum.
const sumBytes = 1 + crc32.Size

// maxFooterBytes bounds what is read by a length that the catalog gives.
const maxFooterBytes = 1 << 30

// encodeSums returns the text that the footer carries.
func encodeSums(sums []section) string {
	var b []byte
	for _, s := range sums {
		b = binary.AppendUvarint(b, s.bytes)
		b = binary.LittleEndian.AppendUint32(b, s.crc)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// decodeSums expects n sums, of chunks that have so many bytes together.
func decodeSums(text string, n int, total uint64) ([]section, error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sumsKey, err)
	}
	if n > len(b)/sumBytes {
		return nil, fmt.Errorf("%s has %d bytes for %d column chunks", sumsKey, len(b), n)
	}
	sums := make([]section, n)
	for i := range sums {
		length, used := binary.Uvarint(b)
		if used <= 0 || len(b) < used+crc32.Size || length > total {
			return nil, fmt.Errorf("%s: entry %d is malformed", sumsKey, i)
		}
		total -= length
		sums[i] = section{length, binary.LittleEndian.Uint32(b[used:])}
		b = b[used+crc32.Size:]
	}
	if len(b) > 0 || total > 0 {
		return nil, fmt.Errorf("%s leaves %d bytes of column chunks", sumsKey, total)
	}
	return sums, nil
}

// ChunkError says that a column chunk does not match its checksum.
type ChunkError struct {
	Path          string
	Column        string // its name at the time of writing
	RowGroup      int
	Offset, Bytes int64 // of the chunk
}

func (e *ChunkError) Error() string {
	return fmt.Sprintf("persist: %s: the checksum of column %q in row group %d does not match (%d bytes at offset %d)",
		e.Path, e.Column, e.RowGroup, e.Bytes, e.Offset)
}

// VerifyColumns compares the footer of the file, and the column chunks of the given
// columns, with their checksums; 0 stands for the time column, and columns that the file
// does not have are passed over. A file without inner checksums is compared as a whole.
// It returns whether it was: then all columns are verified.
//
// The error is a *MismatchError, a *ChunkError or a *CorruptError where the file is not
// what was written, else that of reading or of ctx.
func VerifyColumns(ctx context.Context, src io.ReaderAt, path string, want *schema.File, columns []schema.ColumnID) (whole bool, err error) {
	v := verifier{ctx: ctx, src: src, path: path, want: want}
	if want.FooterBytes == 0 {
		return true, v.verifyWhole()
	}
	sums, layout, err := v.readFooter()
	if err != nil {
		return false, err
	}
	offset := int64(len(magic))
	for i, s := range sums {
		at := i % len(layout)
		if slices.Contains(columns, layout[at].ID) {
			crc, err := v.sum(0, offset, int64(s.bytes))
			if err != nil {
				return false, err
			}
			if crc != s.crc {
				return false, &ChunkError{Path: path, Column: layout[at].Name, RowGroup: i / len(layout), Offset: offset, Bytes: int64(s.bytes)}
			}
		}
		offset += int64(s.bytes)
	}
	return false, nil
}

// verifier is the state of one VerifyColumns.
type verifier struct {
	ctx  context.Context
	src  io.ReaderAt
	path string
	want *schema.File
}

func (v *verifier) verifyWhole() error {
	crc, err := v.sum(0, 0, int64(v.want.Bytes))
	if err == nil && crc != v.want.CRC32C {
		err = v.mismatch("checksum", v.want.CRC32C, crc)
	}
	return err
}

// readFooter verifies the footer. It returns the sums of the column chunks, row group
// by row group, and the columns of each in file order, of which time has id 0.
func (v *verifier) readFooter() ([]section, []schema.Column, error) {
	b, crc, err := v.footerBytes()
	if err != nil {
		return nil, nil, err
	}
	if crc != v.want.FooterCRC32C {
		return nil, nil, v.mismatch("checksum of the footer", v.want.FooterCRC32C, crc)
	}
	sums, layout, err := v.parseSums(b)
	if err != nil {
		return nil, nil, &CorruptError{Path: v.path, Err: err}
	}
	return sums, layout, nil
}

// footerBytes reads the footer, and computes its checksum.
func (v *verifier) footerBytes() (b []byte, crc uint32, err error) {
	n := v.want.FooterBytes
	if n > v.want.Bytes || n > maxFooterBytes {
		return nil, 0, mismatch(v.path, "size of the footer", n, v.want.Bytes)
	}
	if crc, err = v.sum(0, 0, int64(len(magic))); err != nil {
		return nil, 0, err
	}
	b = make([]byte, n)
	if err := v.read(b, int64(v.want.Bytes-n)); err != nil {
		return nil, 0, err
	}
	return b, crc32.Update(crc, castagnoli, b), nil
}

// parseSums reads a footer. Of one that is intact, what it cannot read was written wrongly.
func (v *verifier) parseSums(b []byte) (sums []section, layout []schema.Column, err error) {
	defer recoverTo(&err, v.path)
	if b, err = splitMetadata(b); err != nil {
		return nil, nil, err
	}
	meta, err := parseMetadata(b)
	if err != nil {
		return nil, nil, err
	}
	columns, err := parseColumns(meta.Schema)
	if err != nil {
		return nil, nil, err
	}
	tags, fields := split(columns)
	layout = slices.Concat(tags, []schema.Column{{Name: schema.TimeColumn}}, fields)
	text := meta.KeyValueMetadata().FindValue(sumsKey)
	if text == nil {
		return nil, nil, fmt.Errorf("metadata has no %s", sumsKey)
	}
	total := v.want.Bytes - v.want.FooterBytes - uint64(len(magic))
	sums, err = decodeSums(*text, len(meta.GetRowGroups())*len(layout), total)
	return sums, layout, err
}

func (v *verifier) mismatch(what string, want, got uint32) error {
	return mismatch(v.path, what, fmt.Sprintf("%08x", want), fmt.Sprintf("%08x", got))
}

var verifyBuffers = sync.Pool{New: func() any { return new([verifyBufferBytes]byte) }}

// sum continues a checksum with n bytes of the file.
func (v *verifier) sum(crc uint32, offset, n int64) (uint32, error) {
	buffer := verifyBuffers.Get().(*[verifyBufferBytes]byte)
	defer verifyBuffers.Put(buffer)
	for b := buffer[:]; n > 0; {
		if err := context.Cause(v.ctx); err != nil {
			return 0, err
		}
		part := b[:min(n, int64(len(b)))]
		if err := v.read(part, offset); err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, castagnoli, part)
		offset += int64(len(part))
		n -= int64(len(part))
	}
	return crc, nil
}

// read fills b. A file that ends before is not what was written.
func (v *verifier) read(b []byte, offset int64) error {
	n, err := v.src.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return mismatch(v.path, "size", v.want.Bytes, uint64(offset)+uint64(n))
	}
	return fmt.Errorf("persist: reading %d bytes of %s at offset %d: %w", len(b), v.path, offset, err)
}
