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
