package persist

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// magic begins and ends every Parquet file.
const magic = "PAR1"

// source is a file as the Parquet library reads it: at any offset within its size. It
// remembers the first error of the file itself.
type source struct {
	*io.SectionReader
	file vfs.File
	mu   struct {
		sync.Mutex
		err error
	}
}

func openSource(fs vfs.FS, path string) (*source, error) {
	f, err := fs.Open(path, vfs.RandomReadsOption)
	if err != nil {
		return nil, fmt.Errorf("persist: opening %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("persist: looking at %s: %w", path, err), f.Close())
	}
	s := &source{file: f}
	s.SectionReader = io.NewSectionReader(noting{s}, 0, info.Size())
	return s, nil
}

// patch makes the source one of so many bytes, of which the patches are others than in the file.
func (s *source) patch(size uint64, patches ...overlaid) {
	s.SectionReader = io.NewSectionReader(patched{noting{s}, patches}, 0, int64(size))
}

// overlaid are bytes and where they belong.
type overlaid struct {
	at    int64
	bytes []byte
}

// magicPatches put the magic where it must be: these bytes carry no information.
func magicPatches(size uint64) []overlaid {
	return []overlaid{{0, []byte(magic)}, {int64(size) - int64(len(magic)), []byte(magic)}}
}

// patched reads from a source's file, and puts patches over it.
type patched struct {
	noting
	patches []overlaid
}

func (r patched) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.noting.ReadAt(p, off)
	for _, patch := range r.patches {
		for i, b := range patch.bytes {
			if k := patch.at + int64(i) - off; k >= 0 && k < int64(n) {
				p[k] = b
			}
		}
	}
	return n, err
}

// noting reads from a source's file and notes errors there.
type noting struct{ s *source }

func (n noting) ReadAt(p []byte, off int64) (int, error) {
	got, err := n.s.file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		n.s.mu.Lock()
		defer n.s.mu.Unlock()
		if n.s.mu.err == nil {
			n.s.mu.err = err
		}
	}
	return got, err
}

// firstError returns the first error of the file, as opposed to its contents.
func (s *source) firstError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Close closes the file.
func (s *source) Close() error { return s.file.Close() }

// checkMagic looks at the start of the file; the library looks at the end only.
func (s *source) checkMagic() error {
	start := make([]byte, len(magic))
	if _, err := s.ReadAt(start, 0); err != nil {
		return fmt.Errorf("start of file: %w", err)
	}
	if string(start) != magic {
		return fmt.Errorf("file starts with %q, not %q", start, magic)
	}
	return nil
}
