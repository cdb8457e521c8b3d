package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// What happens when the storage fails.
//
// Pebble takes a failed write or sync of its log or manifest as the end of the
// process: it calls Logger.Fatalf, which by default exits, and the code behind that
// call relies on never being reached. If Fatalf returns after a failed sync of the
// log, the commit reports success although nothing is durable. If it returns after a
// failed write of the manifest, Pebble tries again later and may record an edit twice
// or delete tables that the manifest on disk still names: a store that does not open.
//
// Exiting would be sound, but it takes queries down too, which need no more than what
// is in memory. So the store is fenced instead. Fatalf records the failure, and from
// then on the file system under Pebble refuses every operation that changes
// anything. Whatever Pebble does behind Fatalf, the directory stays as a crash at
// that moment would have left it (C6), and recovery from a crash is what Pebble is
// good at. The fence is looked at after each commit, because Pebble's result says
// nothing then.
//
// Three things follow:
//
//   - Commits are made one at a time. A commit that Pebble gave up keeps its place in
//     the pipeline, and a second one behind it would wait for ever.
//   - The failed change is in doubt. Pebble may have written it before the error; it
//     shows after reopening, whole or not at all, since it is one batch.
//   - Two failures cannot be survived, because Pebble panics in a place where nobody can
//     recover: it cannot close its log file or create the next one (each 4 MB or after
//     a very large change), or it cannot sync the directory when a flush replaces the
//     manifest. That ends the process; it is the crash of which the promises speak, and
//     nothing is lost.
//
// During Open there is one more way to go wrong: Pebble flushes what it has replayed and
// waits until that has succeeded, which behind the fence is never. So the first flush
// that fails while Open runs ends the attempt: its goroutine is stopped and the one
// that waits for it is given up. It stays behind, idle, and so does the lock on the
// directory, until the process ends.
//
// Refused: recovering from a panic in Fatalf (half of the calls come from Pebble's own
// goroutines, where it would end the process), and blocking in Fatalf (it is called
// with Pebble's lock held, so that Close would never return).

// fence is Pebble's logger and the gate in front of its file system.
type fence struct {
	logger *slog.Logger
	cause  atomic.Pointer[error] // the first failure; nil as long as all is well

	opening   atomic.Bool   // pebble.Open is running
	abandoned chan struct{} // closed when that will not end
	flushErr  error         // how the last flush ended; Pebble's lock guards it
}

// fatalError is what Pebble gave to Fatalf.
type fatalError struct {
	message string
	cause   error // the first error among the arguments, for errors.Is; may be nil
}

func (e *fatalError) Error() string { return e.message }
func (e *fatalError) Unwrap() error { return e.cause }

// fail closes the fence; the first failure is kept.
func (f *fence) fail(err error) {
	if f.cause.CompareAndSwap(nil, &err) {
		f.logger.Error("catalog storage failed, nothing more is written", "error", err)
	}
}

// err returns ErrFailed and the cause when the fence is closed, else nil.
func (f *fence) err() error {
	if cause := f.cause.Load(); cause != nil {
		return fmt.Errorf("%w: %w", ErrFailed, *cause)
	}
	return nil
}

// events returns Pebble's listener. It is called with Pebble's lock held.
func (f *fence) events() *pebble.EventListener {
	events := pebble.MakeLoggingEventListener(f)
	logFlush := events.FlushEnd
	events.FlushEnd = func(info pebble.FlushInfo) {
		logFlush(info)
		f.flushErr = info.Err
	}
	events.BackgroundError = f.backgroundError
	events.DataCorruption = func(info pebble.DataCorruptionInfo) {
		f.fail(fmt.Errorf("pebble found damage in %s: %w", info.Path, info.Details))
	}
	return &events
}

// backgroundPause slows down a failing flush or compaction, which Pebble repeats at
// once and without end. It is spent with Pebble's lock held, so it must be short.
const backgroundPause = 20 * time.Millisecond

// backgroundError is told of a failed flush, by its own goroutine and right after
// FlushEnd, and of other things that Pebble will try again.
func (f *fence) backgroundError(err error) {
	f.Errorf("background error: %v", err)
	if !f.opening.Load() || err != f.flushErr { //nolint:errorlint // is it the very same one?
		time.Sleep(backgroundPause)
		return
	}
	f.fail(err)
	close(f.abandoned)
	runtime.Goexit() // deferred calls release Pebble's lock; no second flush is scheduled
}

// isAbandoned says whether Pebble was given up while it opened.
func (f *fence) isAbandoned() bool {
	select {
	case <-f.abandoned:
		return true
	default:
		return false
	}
}

// guard wraps fs so that nothing changes once the fence is closed. Reads still work, and
// so does syncing the directory: it changes nothing, and Pebble panics if it fails.
func (f *fence) guard(fs vfs.FS, dir string) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileSync && op.Path == dir {
			return nil
		}
		return f.err()
	}))
}

// Infof implements pebble.Logger; these are reports on flushes, compactions and files.
func (f *fence) Infof(format string, args ...any) {
	if f.logger.Enabled(context.Background(), slog.LevelDebug) {
		f.logger.Debug(fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger. Pebble goes on after these, so they are warnings.
func (f *fence) Errorf(format string, args ...any) {
	f.logger.Warn(fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It returns: see above.
func (f *fence) Fatalf(format string, args ...any) {
	fatal := &fatalError{message: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			fatal.cause = err
			break
		}
	}
	f.fail(fatal)
}

