package engine

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// meteredFS counts what is read through it, keeps to a rate, and ends when its context does.
type meteredFS struct {
	vfs.FS
	meter *meter
}

// Open opens a file whose reads are metered.
func (fs meteredFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return &meteredFile{File: f, meter: fs.meter, name: name}, nil
}

// Unwrap implements vfs.FS.
func (fs meteredFS) Unwrap() vfs.FS { return fs.FS }

type meteredFile struct {
	vfs.File
	meter *meter
	name  string
}

func (f *meteredFile) Read(p []byte) (int, error) {
	if err := f.meter.wait(f.name); err != nil {
		return 0, err
	}
	n, err := f.File.Read(p)
	f.meter.add(n)
	return n, err
}

func (f *meteredFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.meter.wait(f.name); err != nil {
		return 0, err
	}
	n, err := f.File.ReadAt(p, off)
	f.meter.add(n)
	return n, err
}

// progressInterval is how often progress is reported.
const progressInterval = 200 * time.Millisecond

// meter is shared by the files of a check. Pebble reads from goroutines of its own.
type meter struct {
	ctx    context.Context // of the check; it lives as long
	rate   int64           // bytes a second; 0 is no bound
	report func(bytes int64, file string)
	begin  time.Time

	mu struct {
		sync.Mutex
		bytes    int64
		reported time.Time
	}
}

// wait waits until more may be read.
func (m *meter) wait(file string) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	bytes := m.tell(file)
	if m.rate <= 0 {
		return nil
	}
	ahead := time.Duration(float64(bytes)/float64(m.rate)*float64(time.Second)) - time.Since(m.begin)
	if ahead <= 0 {
		return nil
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// tell reports progress when it is time to, and returns what was read.
func (m *meter) tell(file string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.report != nil && time.Since(m.mu.reported) >= progressInterval {
		m.mu.reported = time.Now()
		m.report(m.mu.bytes, file)
	}
	return m.mu.bytes
}

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.bytes += int64(n)
}

func (m *meter) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.bytes
}
