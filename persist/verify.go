package persist

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// verifyBufferBytes is the unit in which Verify reads.
const verifyBufferBytes = 256 << 10

// MismatchError says in what a file differs from its description.
type MismatchError struct {
	Path      string
	What      string // "size", "checksum", …
	Want, Got string
	// Where is the part of the file that differs: "the footer", or "" where that is not
	// known or said by an error beside this one.
	Where string
}

func (e *MismatchError) Error() string {
	s := fmt.Sprintf("persist: %s of %s is %s, not %s", e.What, e.Path, e.Got, e.Want)
	if e.Where != "" {
		s += "; what differs is " + e.Where
	}
	return s
}

// Verify reads the whole file and compares it with its description: size, checksum,
// rows, time range and columns. The first difference is a *MismatchError; a file
// that cannot be understood is a *CorruptError. Where the file has inner checksums, the
// error says which part of it is damaged, with a *ChunkError for a column chunk.
func Verify(fs vfs.FS, path string, want *schema.File) error {
	bytes, crc, err := checksum(fs, path)
	if err != nil {
		return err
	}
	if bytes != want.Bytes {
		return mismatch(path, "size", want.Bytes, bytes)
	}
	if crc != want.CRC32C {
		return locate(fs, path, want, mismatch(path, "checksum", fmt.Sprintf("%08x", want.CRC32C), fmt.Sprintf("%08x", crc)))
	}
	r, err := Open(fs, path)
	if err != nil {
		return err
	}
	return errors.Join(compare(r, want), r.Close())
}

// locate adds to the fault of a whole file where in it the first damaged part is.
func locate(fs vfs.FS, path string, want *schema.File, whole *MismatchError) error {
	if want.FooterBytes == 0 {
		return whole
	}
	f, err := fs.Open(path, vfs.RandomReadsOption)
	if err != nil {
		return whole
	}
	defer func() { _ = f.Close() }() // it was only read
	all := []schema.ColumnID{0}
	for _, c := range want.Columns {
		all = append(all, c.Column)
	}
	_, err = VerifyColumns(context.Background(), f, path, want, all)
	var chunk *ChunkError
	var footer *MismatchError
	switch {
	case errors.As(err, &chunk):
		return fmt.Errorf("%w; %w", whole, chunk)
	case errors.As(err, &footer):
		whole.Where = "the footer"
	}
	return whole
}

// compare compares what the footer says.
func compare(r *Reader, want *schema.File) error {
	if r.Rows() != want.Rows {
		return mismatch(r.path, "number of rows", want.Rows, r.Rows())
	}
	if r.Time() != want.Time {
		return mismatch(r.path, "time range", want.Time, r.Time())
	}
	var ids, wantIDs []schema.ColumnID
	for _, c := range r.Columns() {
		ids = append(ids, c.ID)
	}
	for _, c := range want.Columns {
		wantIDs = append(wantIDs, c.Column)
	}
	if !slices.Equal(ids, wantIDs) {
		return mismatch(r.path, "list of column ids", wantIDs, ids)
	}
	return nil
}

func mismatch[T any](path, what string, want, got T) *MismatchError {
	return &MismatchError{Path: path, What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}

// checksum reads the file from its start to its end.
func checksum(fs vfs.FS, path string) (bytes uint64, crc uint32, err error) {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return 0, 0, fmt.Errorf("persist: opening %s: %w", path, err)
	}
	hash := crc32.New(castagnoli)
	n, err := io.CopyBuffer(hash, f, make([]byte, verifyBufferBytes))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, 0, fmt.Errorf("persist: reading %s: %w", path, err)
	}
	return uint64(n), hash.Sum32(), nil
}
