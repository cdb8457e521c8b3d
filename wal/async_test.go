package wal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

// outcomes collects what done was told. It needs a lock: the callers differ.
type outcomes struct {
	sync.Mutex
	errs []error
}

func (o *outcomes) done(err error) {
	o.Lock()
	defer o.Unlock()
	o.errs = append(o.errs, err)
}

func (o *outcomes) all() []error {
	o.Lock()
	defer o.Unlock()
	return slices.Clone(o.errs)
}

// mustQueue queues a record whose outcome is a part of the test.
func mustQueue(t testing.TB, l *Log, payload string, apply func(schema.Seq), done func(error)) {
	t.Helper()
	if err := l.CommitAsync([]byte(payload), apply, done); err != nil {
		t.Fatal(err)
	}
}

func mustPass(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMixedCommitsApplyOneAtATimeInOrder has no lock around applied and waits for
// nothing but the Barrier: the race detector checks both.
func TestMixedCommitsApplyOneAtATimeInOrder(t *testing.T) {
	const writers, each = 16, 100
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	var applied []record
	var told outcomes
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			buf := make([]byte, 0, 64)
			for i := range each {
				buf = fmt.Appendf(buf[:0], "%d/%d", w, i)
				payload := string(buf)
				apply := func(seq schema.Seq) { applied = append(applied, record{seq, payload}) }
				var err error
				if (w+i)%3 == 0 {
					_, err = l.Commit(buf, apply)
				} else {
					err = l.CommitAsync(buf, apply, told.done)
				}
				if err != nil {
					t.Error(err)
				}
				clear(buf) // it is the caller's again
			}
		})
	}
	wg.Wait()
	mustPass(t, l)
	if len(applied) != writers*each {
		t.Fatalf("%d callbacks", len(applied))
	}
	var next [writers]int
	for i, r := range applied {
		var w, n int
		if _, err := fmt.Sscanf(r.payload, "%d/%d", &w, &n); err != nil {
			t.Fatal(err)
		}
		if r.seq != schema.Seq(i+1) || n != next[w] {
			t.Fatalf("callback %d was for record %d; of writer %d came %d, want %d", i, r.seq, w, n, next[w])
		}
		next[w]++
	}
	mustClose(t, l)
	errs := told.all()
	if len(errs) < writers*each/2 || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Errorf("%d outcomes: %v", len(errs), errors.Join(errs...))
	}
	l, got := mustOpen(t, testOptions(fs), 0)
	if !slices.Equal(got, applied) {
		t.Fatal("replay differs from what was applied")
	}
	mustClose(t, l)
}

func TestAsyncRecordsAreVisibleBehindTheBarrierOnly(t *testing.T) {
	fs := newGateFS()
	opts := testOptions(fs)
	var groups []int
	opts.Metrics.GroupRecords = func(n int) { groups = append(groups, n) }
	l, _ := mustOpen(t, opts, 0)
	mustPass(t, l) // nothing was ever queued
	fs.armed.Store(true)
	var applied []schema.Seq
	apply := func(seq schema.Seq) { applied = append(applied, seq) }
	done := func(error) {
		if l.Stats().AppliedSeq < 1 {
			t.Error("done came before the callback")
		}
	}
	mustQueue(t, l, "1", apply, done)
	<-fs.inSync
	mustQueue(t, l, "2", apply, nil)
	mustQueue(t, l, "3", nil, nil)
	if s := l.Stats(); s.LastSeq != 3 || s.DurableSeq != 0 || s.AppliedSeq != 0 {
		t.Errorf("%+v before the sync", s)
	}
	impatient, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the query was given up")
	cancel(reason)
	if err := l.Barrier(impatient); !errors.Is(err, reason) {
		t.Error(err)
	}
	fs.result <- nil
	mustPass(t, l)
	if !slices.Equal(applied, []schema.Seq{1, 2}) || l.Stats().AppliedSeq != 3 {
		t.Errorf("behind the barrier %v were applied, %+v", applied, l.Stats())
	}
	if turned, err := l.awaitTurn(3, 0); turned != nil || err != nil { // who comes too late for a turn
		t.Errorf("a barrier would wait for what is applied: %v", err)
	}
	mustClose(t, l)
	if want := []int{1, 2}; !slices.Equal(groups, want) {
		t.Errorf("groups of %v, want %v", groups, want)
	}
}

func TestBarrierLeavesOutWhatIsQueuedLater(t *testing.T) {
	l, _ := mustOpen(t, testOptions(vfs.NewCrashableMem()), 0)
	inApply, first, second := make(chan struct{}), make(chan struct{}), make(chan struct{})
	mustQueue(t, l, "1", func(schema.Seq) { close(inApply); <-first }, nil)
	<-inApply // its group is complete
	passed := make(chan error)
	go func() { passed <- l.Barrier(t.Context()) }()
	waitBarrier(l)
	mustQueue(t, l, "2", func(schema.Seq) { <-second }, nil)
	close(first)
	if err := <-passed; err != nil {
		t.Error(err)
	}
	close(second)
	mustClose(t, l)
}

// waitBarrier waits until somebody waits in a Barrier.
func waitBarrier(l *Log) {
	for waits := false; !waits; runtime.Gosched() {
		l.mu.Lock()
		waits = l.mu.turned != nil
		l.mu.Unlock()
	}
}

func TestBarrierWaitsForNoCommit(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { mustCommit(t, l, "nobody was told yet") })
	<-fs.inSync
	mustPass(t, l)
	fs.result <- nil
	wg.Wait()
	mustClose(t, l)
}

func TestFailedSyncReachesDoneAndBarrier(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	never := func(schema.Seq) { t.Error("a callback ran") }
	var told outcomes
	done := func(err error) {
		if l.Err() == nil { // no lock is held
			t.Error("done was called before the log knew")
		}
		told.done(err)
	}
	isPoison := func(err error) bool { return errors.Is(err, ErrPoisoned) && errors.Is(err, errorfs.ErrInjected) }
	mustQueue(t, l, "leads", never, done)
	<-fs.inSync
	mustQueue(t, l, "follows", never, done)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := l.Commit([]byte("waits"), never); !isPoison(err) {
			t.Error(err)
		}
	})
	waitQueued(l, 2)
	mustQueue(t, l, "follows a commit", never, done)
	for range 3 {
		wg.Go(func() {
			if err := l.Barrier(t.Context()); !isPoison(err) {
				t.Error(err)
			}
		})
	}
	waitBarrier(l)
	fs.result <- errorfs.ErrInjected
	wg.Wait()
	if err := l.CommitAsync([]byte("late"), never, func(error) { t.Error("done of a record that was not queued") }); !isPoison(err) {
		t.Error(err)
	}
	if err := l.Barrier(t.Context()); !isPoison(err) {
		t.Errorf("a barrier behind the loss: %v", err)
	}
	mustClose(t, l)
	errs := told.all()
	if len(errs) != 3 || !isPoison(errs[0]) || !isPoison(errs[1]) || !isPoison(errs[2]) {
		t.Errorf("outcomes: %v", errs)
	}
	if n := l.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes count as queued", n)
	}
}

func TestPoisonThatCostNoAsyncRecordPassesTheBarrier(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	mustQueue(t, l, "x", nil, nil)
	mustPass(t, l)
	fs.armed.Store(true)
	go func() { <-fs.inSync; fs.result <- errorfs.ErrInjected }()
	if _, err := l.Commit([]byte("x"), nil); !errors.Is(err, ErrPoisoned) {
		t.Fatal(err)
	}
	mustPass(t, l)
	mustClose(t, l)
}

func TestPanicOfACallbackReachesAsyncRecords(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { mustCommit(t, l, "leader") })
	<-fs.inSync
	wg.Go(func() { // leads the next group
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = l.Commit([]byte("2"), func(schema.Seq) { panic("callback") })
	})
	waitQueued(l, 1)
	var told outcomes
	mustQueue(t, l, "3", func(schema.Seq) { t.Error("a callback ran out of order") }, told.done)
	wg.Go(func() {
		if err := l.Barrier(t.Context()); !errors.Is(err, ErrPoisoned) {
			t.Error(err)
		}
	})
	waitBarrier(l)
	fs.result <- nil
	wg.Wait()
	mustClose(t, l)
	if errs := told.all(); len(errs) != 1 || !errors.Is(errs[0], ErrPoisoned) {
		t.Errorf("outcomes: %v", errs)
	}
}

func TestCloseMakesQueuedRecordsDurable(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	var told outcomes
	const queued = 5
	for i := range queued {
		mustQueue(t, l, payloadOf(i, 900), nil, told.done) // several segments
		if i == 0 {
			<-fs.inSync
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		mustClose(t, l)
		if errs := told.all(); len(errs) != queued || errors.Join(errs...) != nil {
			t.Errorf("Close returned with the outcomes %v", errs)
		}
	})
	for !isClosed(l) {
		runtime.Gosched()
	}
	if err := l.CommitAsync([]byte("late"), nil, told.done); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	fs.result <- nil
	wg.Wait()
	l, got := mustOpen(t, testOptions(fs.mem.CrashClone(vfs.CrashCloneCfg{})), 0)
	if len(got) != queued {
		t.Errorf("%d records", len(got))
	}
	mustClose(t, l)
}

// TestFullQueueMakesCommitAsyncWait fills the queue while a sync hangs.
func TestFullQueueMakesCommitAsyncWait(t *testing.T) {
	const fit = 3
	payload := payloadOf(1, 100)
	fs := newGateFS()
	opts := testOptions(fs)
	opts.MaxQueuedBytes = fit*(recordHeaderSize+int64(padded(len(payload)))) + 1
	l, _ := mustOpen(t, opts, 0)
	fs.armed.Store(true)
	var told outcomes
	for range fit {
		mustQueue(t, l, payload, nil, told.done)
	}
	<-fs.inSync
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			applied := false
			err := l.CommitAsync([]byte(payload), func(schema.Seq) { applied = true }, told.done)
			if err != nil || !applied {
				t.Errorf("returned %v, applied: %t", err, applied)
			}
		})
	}
	for l.Stats().LastSeq != fit+2 { // they are queued, not dropped
		runtime.Gosched()
	}
	fs.result <- nil
	wg.Wait()
	mustPass(t, l)
	mustQueue(t, l, payload, nil, told.done) // there is room again
	mustClose(t, l)
	if errs := told.all(); len(errs) != fit+3 || errors.Join(errs...) != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if n := l.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes count as queued", n)
	}
}

func TestNegativeMaxQueuedBytesQueuesNothing(t *testing.T) {
	opts := testOptions(vfs.NewCrashableMem())
	opts.MaxQueuedBytes = -1
	l, _ := mustOpen(t, opts, 0)
	var told outcomes
	mustQueue(t, l, "", nil, told.done)
	mustQueue(t, l, "", nil, nil)
	if errs := told.all(); len(errs) != 1 || errs[0] != nil || l.Stats().AppliedSeq != 2 {
		t.Errorf("outcomes %v, %+v", errs, l.Stats())
	}
	mustClose(t, l)
}

func TestFailureOfACommitAsyncThatWaitsIsReturned(t *testing.T) {
	fs := newGateFS()
	opts := testOptions(fs)
	opts.MaxQueuedBytes = -1
	l, _ := mustOpen(t, opts, 0)
	fs.armed.Store(true)
	go func() { <-fs.inSync; fs.result <- errorfs.ErrInjected }()
	var told outcomes
	err := l.CommitAsync([]byte("x"), func(schema.Seq) { t.Error("a callback ran") }, told.done)
	if errs := told.all(); !errors.Is(err, ErrPoisoned) || len(errs) != 0 {
		t.Errorf("returned %v, outcomes: %v", err, errs)
	}
	mustClose(t, l)
}

// TestFailedSyncIsReturnedToThoseForWhomTheQueueHadNoRoom: the others learn of it
// through done, each record's writer in one of the two ways.
func TestFailedSyncIsReturnedToThoseForWhomTheQueueHadNoRoom(t *testing.T) {
	const fit, wait = 3, 2
	payload := payloadOf(1, 100)
	fs := newGateFS()
	opts := testOptions(fs)
	opts.MaxQueuedBytes = fit*(recordHeaderSize+int64(padded(len(payload)))) + 1
	l, _ := mustOpen(t, opts, 0)
	fs.armed.Store(true)
	never := func(schema.Seq) { t.Error("a callback ran") }
	var told, returned outcomes
	for range fit {
		mustQueue(t, l, payload, never, told.done)
	}
	<-fs.inSync
	var wg sync.WaitGroup
	for range wait {
		wg.Go(func() {
			returned.done(l.CommitAsync([]byte(payload), never, func(error) { t.Error("done of a call that returned an error") }))
		})
	}
	for l.Stats().LastSeq != fit+wait {
		runtime.Gosched()
	}
	fs.result <- errorfs.ErrInjected
	wg.Wait()
	mustClose(t, l)
	isOther := func(err error) bool { return !errors.Is(err, ErrPoisoned) }
	for how, errs := range map[string][]error{"told": told.all(), "returned": returned.all()} {
		if want := map[string]int{"told": fit, "returned": wait}[how]; len(errs) != want || slices.ContainsFunc(errs, isOther) {
			t.Errorf("%s were %v, want the failure %d times", how, errs, want)
		}
	}
	if n := l.queuedBytes.Load(); n != 0 {
		t.Errorf("%d bytes count as queued", n)
	}
}

// TestCrashCostsAsyncRecordsOnlyAtTheEnd crashes before every file operation of a
// stream of records for which nobody waits: what is recovered is what was queued
// first, whole and in order, with at least all that was applied.
func TestCrashCostsAsyncRecordsOnlyAtTheEnd(t *testing.T) {
	const records = 60
	var mu sync.Mutex
	var queued, applied []record
	var crashes atomic.Uint64
	mem := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(hookFS(mem, func(op errorfs.Op) error {
		for _, percent := range []int{0, 50, 100} {
			mu.Lock()
			must := slices.Clone(applied)
			mu.Unlock()
			crashed := mem.CrashClone(crashConfig(percent, crashes.Add(1)))
			mu.Lock()
			may := slices.Clone(queued)
			mu.Unlock()
			l, got, err := openAll(testOptions(crashed), 0)
			if err != nil {
				t.Errorf("crash before operation %d on %s: %v", op.Kind, op.Path, err)
				continue
			}
			abandon(l)
			if len(got) < len(must) || len(got) > len(may) || !slices.Equal(got, may[:len(got)]) {
				t.Errorf("crash before operation %d on %s: %d records; applied were %d, queued %d; or they differ",
					op.Kind, op.Path, len(got), len(must), len(may))
			}
		}
		return nil
	})), 0)
	for i := range records {
		r := record{schema.Seq(i + 1), payloadOf(i, 50+300*(i%4))}
		mu.Lock()
		queued = append(queued, r) // before it is: a crash may find it at once
		mu.Unlock()
		mustQueue(t, l, r.payload, func(schema.Seq) {
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, r)
		}, nil)
		if i%10 == 9 { // groups of many sizes
			mustPass(t, l)
		}
	}
	mustClose(t, l)
	if !slices.Equal(applied, queued) {
		t.Errorf("%d of %d records were applied, or they differ", len(applied), len(queued))
	}
	t.Logf("%d crashes", crashes.Load())
}

func TestBarrierAllocatesNothingWhenNothingIsQueued(t *testing.T) {
	l, _ := mustOpen(t, testOptions(vfs.NewCrashableMem()), 0)
	mustQueue(t, l, "x", nil, nil)
	mustPass(t, l)
	if n := testing.AllocsPerRun(100, func() { mustPass(t, l) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	mustClose(t, l)
}
