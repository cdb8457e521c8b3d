package engine_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gate holds a kind of file operation while it is shut, so that a test can act in the
// middle of it.
type gate struct {
	stops   func(errorfs.Op) bool
	isShut  atomic.Bool
	reached chan struct{} // closed when the first operation waits
	opened  chan struct{}
	arrive  sync.Once
}

func newGate(stops func(errorfs.Op) bool) *gate {
	return &gate{stops: stops, reached: make(chan struct{}), opened: make(chan struct{})}
}

// around returns a file system whose operations pass the gate.
func (g *gate) around(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if g.isShut.Load() && g.stops(op) {
			g.arrive.Do(func() { close(g.reached) })
			<-g.opened
		}
		return nil
	}))
}

func (g *gate) shut() { g.isShut.Store(true) }

func (g *gate) open() {
	g.isShut.Store(false)
	close(g.opened)
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

func isLogSync(op errorfs.Op) bool { return isSync(op) && strings.Contains(op.Path, "data/wal/") }

func isNewFile(op errorfs.Op) bool {
	return op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "data/files/")
}

// hangs is when a test gives up waiting for what should come at once.
const hangs = 20 * time.Second

// receive waits for an answer that nothing delays.
func receive[T any](t testing.TB, what string, from <-chan T) (answer T) {
	t.Helper()
	select {
	case answer = <-from:
	case <-time.After(hangs):
		t.Fatalf("%s: no answer after %s", what, hangs)
	}
	return answer
}
