package wal

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

func TestConcurrentCommitsApplyOneAtATimeInOrder(t *testing.T) {
	const writers, each = 32, 50
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	var applied []record // no lock: the race detector checks that callbacks exclude each other
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			last := schema.Seq(0)
			for i := range each {
				payload := fmt.Sprintf("%d/%d", w, i)
				var mine schema.Seq
				seq, err := l.Commit([]byte(payload), func(seq schema.Seq) {
					mine = seq
					applied = append(applied, record{seq, payload})
				})
				if err != nil || seq != mine || seq <= last {
					t.Errorf("commit returned %d, %v; the callback saw %d, the one before was %d", seq, err, mine, last)
				}
				last = seq
			}
		})
	}
	wg.Wait()
	mustClose(t, l)
	if len(applied) != writers*each {
		t.Fatalf("%d callbacks", len(applied))
	}
	for i, r := range applied {
		if r.seq != schema.Seq(i+1) {
			t.Fatalf("callback %d was for record %d", i, r.seq)
		}
	}
	l, got := mustOpen(t, testOptions(fs), 0)
	if !slices.Equal(got, applied) {
		t.Fatal("replay differs from what was applied")
	}
	mustClose(t, l)
}

// waitQueued waits until n commits are in the queue.
func waitQueued(l *Log, n int) {
	for queued := -1; queued < n; runtime.Gosched() {
		queued = 0
		l.mu.Lock()
		for c := l.mu.queue; c != nil; c = c.next {
			queued++
		}
		l.mu.Unlock()
	}
}

// gateFS lets the next sync of a segment pass only when told.
type gateFS struct {
	vfs.FS
	mem    *vfs.MemFS // below
	armed  atomic.Bool
	inSync chan struct{}
	result chan error
}

func newGateFS() *gateFS {
	g := &gateFS{mem: vfs.NewCrashableMem(), inSync: make(chan struct{}), result: make(chan error)}
	g.FS = hookFS(g.mem, func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && g.armed.CompareAndSwap(true, false) {
			g.inSync <- struct{}{}
			return <-g.result
		}
		return nil
	})
	return g
}

func TestCommitsThatArriveDuringASyncShareTheNext(t *testing.T) {
	fs := newGateFS()
	opts := testOptions(fs)
	opts.SegmentBytes = 1 << 20
	var groups []int
	opts.Metrics.GroupRecords = func(n int) { groups = append(groups, n) }
	l, _ := mustOpen(t, opts, 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	commit := func() {
		if _, err := l.Commit([]byte("x"), nil); err != nil {
			t.Error(err)
		}
	}
	wg.Go(commit)
	<-fs.inSync
	const followers = maxGroupRecords + 10
	for range followers {
		wg.Go(commit)
	}
	waitQueued(l, followers)
	fs.result <- nil
	wg.Wait()
	mustClose(t, l)
	if want := []int{1, maxGroupRecords, 10}; !slices.Equal(groups, want) {
		t.Fatalf("groups of %v, want %v", groups, want)
	}
}

func TestGroupsAreBoundedInBytes(t *testing.T) {
	fs := newGateFS()
	opts := testOptions(fs)
	opts.SegmentBytes = 64 << 20
	var groups []int
	opts.Metrics.GroupRecords = func(n int) { groups = append(groups, n) }
	l, _ := mustOpen(t, opts, 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	commit := func(size int) {
		if _, err := l.Commit(make([]byte, size), nil); err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() { commit(1) })
	<-fs.inSync
	for i, size := range []int{maxGroupBytes / 2, maxGroupBytes / 4, maxGroupBytes / 2, 2 * maxGroupBytes} {
		wg.Go(func() { commit(size) })
		waitQueued(l, i+1)
	}
	fs.result <- nil
	wg.Wait()
	mustClose(t, l)
	if want := []int{1, 2, 1, 1}; !slices.Equal(groups, want) {
		t.Fatalf("groups of %v, want %v", groups, want)
	}
}

func TestTheNextSyncRunsDuringCallbacks(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	inApply, goOn := make(chan struct{}), make(chan struct{})
	var order []schema.Seq
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := l.Commit([]byte("slow callback"), func(seq schema.Seq) {
			close(inApply)
			<-goOn
			order = append(order, seq)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inApply
	fs.armed.Store(true)
	wg.Go(func() {
		if _, err := l.Commit([]byte("next"), func(seq schema.Seq) { order = append(order, seq) }); err != nil {
			t.Error(err)
		}
	})
	<-fs.inSync // while the first callback runs
	fs.result <- nil
	for l.Stats().DurableSeq != 2 {
		runtime.Gosched()
	}
	if s := l.Stats(); s.AppliedSeq != 0 {
		t.Errorf("%+v: a callback overtook another", s)
	}
	close(goOn)
	wg.Wait()
	if !slices.Equal(order, []schema.Seq{1, 2}) {
		t.Errorf("callbacks ran as %v", order)
	}
	mustClose(t, l)
}

func TestFailedSyncPoisons(t *testing.T)  { testPoison(t, errorfs.OpFileSyncData) }
func TestFailedWritePoisons(t *testing.T) { testPoison(t, errorfs.OpFileWriteAt) }

// testPoison fails one operation under a group, with another group behind it.
func testPoison(t *testing.T, kind errorfs.OpKind) {
	mem := vfs.NewCrashableMem()
	var armed, failed atomic.Bool
	inOp, goOn := make(chan struct{}), make(chan struct{})
	fs := hookFS(mem, func(op errorfs.Op) error {
		if failed.Load() && op.Kind != errorfs.OpFileClose && strings.HasSuffix(op.Path, segmentSuffix) {
			t.Errorf("operation %v on %s after the failure", op.Kind, op.Path)
		}
		if op.Kind != kind || !armed.CompareAndSwap(true, false) {
			return nil
		}
		inOp <- struct{}{}
		<-goOn
		failed.Store(true)
		return errorfs.ErrInjected
	})
	l, _ := mustOpen(t, testOptions(fs), 0)
	mustCommit(t, l, "acknowledged")
	armed.Store(true)
	var wg sync.WaitGroup
	doomed := func() {
		seq, err := l.Commit([]byte("doomed"), func(schema.Seq) { t.Error("a callback ran") })
		if seq != 0 || !errors.Is(err, ErrPoisoned) || !errors.Is(err, errorfs.ErrInjected) {
			t.Errorf("got %d, %v", seq, err)
		}
	}
	wg.Go(doomed)
	<-inOp
	for range 5 {
		wg.Go(doomed)
	}
	waitQueued(l, 5)
	goOn <- struct{}{}
	wg.Wait()
	doomed()
	if !errors.Is(l.Err(), ErrPoisoned) {
		t.Error(l.Err())
	}
	mustClose(t, l)

	for _, percent := range []int{0, 100} {
		crashed := mem.CrashClone(crashConfig(percent, 1))
		l, got := mustOpen(t, testOptions(crashed), 0)
		if len(got) == 0 || got[0].payload != "acknowledged" || len(got) > 2 {
			t.Errorf("%d %% kept: %v", percent, got)
		}
		mustClose(t, l)
	}
}

// TestRecordsOfAFailedSyncAreMadeDurableBeforeTheyExist opens the log again without
// a crash, as the same machine would: reads then show what the disk never got.
func TestRecordsOfAFailedSyncAreMadeDurableBeforeTheyExist(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var fail atomic.Bool
	l, _ := mustOpen(t, testOptions(hookFS(mem, func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && fail.Load() {
			return errorfs.ErrInjected
		}
		return nil
	})), 0)
	for i := range 6 {
		mustCommit(t, l, payloadOf(i, 500))
	}
	fail.Store(true)
	if _, err := l.Commit([]byte("in doubt"), nil); !errors.Is(err, ErrPoisoned) {
		t.Fatal(err)
	}
	mustClose(t, l)
	// From now on a sync of the old file does nothing, as after a failed fsync.
	old := segmentName(1)
	reopened := hookFS(mem, func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, old) && op.Kind == errorfs.OpFileSyncData {
			t.Errorf("the file whose sync failed was synced again")
		}
		return nil
	})
	l, before := mustOpen(t, testOptions(reopened), 0)
	if len(before) != 7 {
		t.Fatal(len(before))
	}
	abandon(l)
	l, after := mustOpen(t, testOptions(mem.CrashClone(vfs.CrashCloneCfg{})), 0)
	if !slices.Equal(before, after) {
		t.Fatalf("%d records after the power cut, %d before", len(after), len(before))
	}
	mustClose(t, l)
}

func TestFailedSwitchPoisons(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var armed atomic.Bool
	l, _ := mustOpen(t, testOptions(hookFS(mem, func(op errorfs.Op) error {
		if armed.Load() && op.Kind == errorfs.OpFileSync {
			return errorfs.ErrInjected // of the directory
		}
		return nil
	})), 0)
	armed.Store(true)
	var err error
	n := 0
	for ; err == nil && n < 10; n++ {
		_, err = l.Commit([]byte(payloadOf(n, 900)), nil)
	}
	if !errors.Is(err, ErrPoisoned) || !errors.Is(err, errorfs.ErrInjected) || n != 5 {
		t.Fatal(n, err)
	}
	mustClose(t, l)
	l, got := mustOpen(t, testOptions(mem.CrashClone(vfs.CrashCloneCfg{})), 0)
	if len(got) != 4 {
		t.Fatalf("%d records", len(got))
	}
	mustClose(t, l)
}

func TestTrimDuringASwitchKeepsThePosition(t *testing.T) {
	fs := newGateFS()
	opts := testOptions(fs)
	opts.SpareSegments = -1 // what is trimmed is removed at once
	l, _ := mustOpen(t, opts, 0)
	for i := range 4 {
		mustCommit(t, l, payloadOf(i, 900))
	}
	fs.armed.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { mustCommit(t, l, payloadOf(4, 900)) }) // does not fit in
	<-fs.inSync
	if err := l.Trim(4); err != nil {
		t.Fatal(err)
	}
	crashed := fs.mem.CrashClone(vfs.CrashCloneCfg{})
	if err := durable.SyncDir(fs.mem, testDir); err != nil { // the removals may last, too
		t.Fatal(err)
	}
	trimmed := fs.mem.CrashClone(vfs.CrashCloneCfg{})
	fs.result <- nil
	wg.Wait()
	mustClose(t, l)
	for _, mem := range []*vfs.MemFS{crashed, trimmed} {
		opts := testOptions(mem)
		opts.DurableThrough = 4
		l, got := mustOpen(t, opts, 4)
		if len(got) != 0 {
			t.Fatal(got)
		}
		if seq := mustCommit(t, l, "x"); seq != 5 {
			t.Fatalf("the next record is %d", seq)
		}
		mustClose(t, l)
	}
}

func TestPanicOfACallbackPoisonsAndBlocksNobody(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		if seq := mustCommit(t, l, "leader"); seq != 1 {
			t.Error(seq)
		}
	})
	<-fs.inSync
	wg.Go(func() { // leads the next group, and so meets the panic
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = l.Commit([]byte("2"), nil)
	})
	waitQueued(l, 1)
	for i, apply := range []func(schema.Seq){
		func(schema.Seq) { panic("callback") },
		func(schema.Seq) { t.Error("a callback ran out of order") },
	} {
		wg.Go(func() {
			if _, err := l.Commit([]byte("x"), apply); !errors.Is(err, ErrPoisoned) {
				t.Error(err)
			}
		})
		waitQueued(l, i+2)
	}
	fs.result <- nil
	wg.Wait()
	if _, err := l.Commit(nil, nil); !errors.Is(err, ErrPoisoned) {
		t.Error(err)
	}
	mustClose(t, l)
}

func TestCloseWaitsForCommits(t *testing.T) {
	fs := newGateFS()
	l, _ := mustOpen(t, testOptions(fs), 0)
	fs.armed.Store(true)
	var wg sync.WaitGroup
	var applied atomic.Int64
	commit := func() {
		if _, err := l.Commit([]byte("x"), func(schema.Seq) { applied.Add(1) }); err != nil {
			t.Error(err)
		}
	}
	wg.Go(commit)
	<-fs.inSync
	for range 3 {
		wg.Go(commit)
	}
	waitQueued(l, 3)
	wg.Go(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if n := applied.Load(); n != 4 {
			t.Errorf("Close returned after %d callbacks", n)
		}
	})
	for !isClosed(l) {
		runtime.Gosched()
	}
	if _, err := l.Commit([]byte("late"), nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	fs.result <- nil
	wg.Wait()
}

func isClosed(l *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closed
}
