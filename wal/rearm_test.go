package wal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

// fullDisk refuses what would need space while it is full, and notes which files had a
// failed write or sync: nothing may be synced there again.
type fullDisk struct {
	t      testing.TB
	isFull atomic.Bool
	from   atomic.Int64 // the operation from which on, and
	until  atomic.Int64 // before which the disk is full
	ops    atomic.Int64
	failed map[string]bool // by path; operations of these tests come one at a time
	before func(errorfs.Op)
}

func newFullDisk(t testing.TB) *fullDisk { return &fullDisk{t: t, failed: make(map[string]bool)} }

func (d *fullDisk) wrap(fs vfs.FS) vfs.FS { return hookFS(fs, d.operation) }

func (d *fullDisk) operation(op errorfs.Op) error {
	n := d.ops.Add(1)
	if d.before != nil {
		d.before(op)
	}
	isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
	isSegment := strings.HasSuffix(op.Path, segmentSuffix)
	if isSync && isSegment && d.failed[op.Path] {
		d.t.Errorf("%s is synced again after a failure", op.Path)
	}
	if !d.isFull.Load() && (n < d.from.Load() || n >= d.until.Load()) {
		return nil
	}
	switch op.Kind {
	case errorfs.OpRemove, errorfs.OpFileClose:
		return nil
	}
	if isSegment && (isSync || op.Kind == errorfs.OpFileWriteAt) {
		d.failed[op.Path] = true
	}
	return syscall.ENOSPC
}

func TestRearmedLogGoesOnWhereItWasDurable(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncData} {
		mem := vfs.NewCrashableMem()
		disk := newFullDisk(t)
		var fail atomic.Bool
		l, _ := mustOpen(t, testOptions(hookFS(disk.wrap(mem), func(op errorfs.Op) error {
			if op.Kind == kind && fail.CompareAndSwap(true, false) {
				disk.failed[op.Path] = true
				return syscall.EDQUOT
			}
			return nil
		})), 0)
		mustCommit(t, l, "first")
		fail.Store(true)
		_, err := l.Commit([]byte("refused"), func(schema.Seq) { t.Error("a callback ran") })
		if !errors.Is(err, ErrNoSpace) || errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EDQUOT) {
			t.Fatal(err)
		}
		disk.isFull.Store(true)
		for range 3 {
			if err := l.Rearm(); !errors.Is(err, ErrNoSpace) || !errors.Is(l.Err(), ErrNoSpace) {
				t.Fatal(err, l.Err())
			}
		}
		if n := len(files(t, mem)); n != 1 {
			t.Errorf("%d files are left of a log with one segment", n)
		}
		disk.isFull.Store(false)
		if err := errors.Join(l.Rearm(), l.Err(), l.Rearm()); err != nil {
			t.Fatal(err)
		}
		if seq := mustCommit(t, l, "second"); seq != 2 {
			t.Errorf("the record behind the first is %d", seq)
		}
		mustClose(t, l)
		for _, percent := range []int{0, 100} {
			l, got := mustOpen(t, testOptions(mem.CrashClone(crashConfig(percent, 1))), 0)
			if fmt.Sprint(got) != "[{1 first} {2 second}]" {
				t.Errorf("%d %% kept: %v", percent, got)
			}
			mustClose(t, l)
		}
	}
}

func TestOnlyLackOfSpaceCanBeRearmed(t *testing.T) {
	var fault atomic.Pointer[error]
	l, _ := mustOpen(t, testOptions(hookFS(vfs.NewMem(), func(op errorfs.Op) error {
		if f := fault.Load(); f != nil && op.Kind == errorfs.OpFileSyncData {
			return *f
		}
		return nil
	})), 0)
	set := func(err error) { fault.Store(&err) }
	set(syscall.ENOSPC)
	if _, err := l.Commit(nil, nil); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	set(syscall.EIO)
	if err := l.Rearm(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
		t.Errorf("the sync of the new segment failed: %v", err)
	}
	fault.Store(nil)
	if err := l.Rearm(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("a poisoned log was rearmed: %v", err)
	}
	if _, err := l.Commit(nil, nil); !errors.Is(err, ErrPoisoned) {
		t.Error(err)
	}
	mustClose(t, l)
	if err := l.Rearm(); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log was rearmed: %v", err)
	}
}

// TestBarrierOfALostRecordFailsThoughItsNumberIsGivenAnew has a Barrier wait for a
// record whose sync finds the disk full, and rearms before the Barrier can look.
func TestBarrierOfALostRecordFailsThoughItsNumberIsGivenAnew(t *testing.T) {
	var full atomic.Bool
	inSync, goOn := make(chan struct{}), make(chan struct{})
	l, _ := mustOpen(t, testOptions(hookFS(vfs.NewMem(), func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && full.CompareAndSwap(true, false) {
			inSync <- struct{}{}
			<-goOn
			return syscall.ENOSPC
		}
		return nil
	})), 0)
	full.Store(true)
	lost := make(chan error, 1)
	if err := l.CommitAsync([]byte("lost"), nil, func(err error) { lost <- err }); err != nil {
		t.Fatal(err)
	}
	<-inSync
	rearmed := l.rearmed.Load()
	turned, err := l.awaitTurn(1, rearmed)
	if err != nil || turned == nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := <-lost; !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	<-turned
	if err := l.Barrier(context.Background()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("before the Rearm: %v", err)
	}
	if err := l.Rearm(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.awaitTurn(1, rearmed); !errors.Is(err, ErrNoSpace) {
		t.Errorf("the Barrier that was woken: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Barrier(ctx); err != nil {
		t.Errorf("a Barrier behind the Rearm: %v", err)
	}
	mustCommit(t, l, "another")
	mustClose(t, l)
}

// TestTrimGivesSpaceBackWhileTheDiskIsFull: neither what is trimmed nor what was kept
// for reuse stays, and least of all the file that failed.
func TestTrimGivesSpaceBackWhileTheDiskIsFull(t *testing.T) {
	mem := vfs.NewCrashableMem()
	disk := newFullDisk(t)
	l, _ := mustOpen(t, testOptions(disk.wrap(mem)), 0)
	commit := func(n int) {
		for i := range n {
			mustCommit(t, l, payloadOf(i, 900))
			settlePrepare(l)
		}
	}
	commit(12)
	if err := l.Trim(5); err != nil {
		t.Fatal(err)
	}
	commit(3)
	disk.isFull.Store(true)
	if _, err := l.Commit([]byte(payloadOf(99, 900)), nil); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	if err := l.Rearm(); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	if err := l.Trim(15); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Spares != 0 || len(files(t, mem)) != 1 {
		t.Errorf("%d spares, %d files", s.Spares, len(files(t, mem)))
	}
	disk.isFull.Store(false)
	if err := l.Rearm(); err != nil {
		t.Fatal(err)
	}
	commit(1)
	if err := l.Trim(15); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Spares != 0 || len(files(t, mem)) != 1 {
		t.Errorf("the file that failed was kept: %+v, %d files", s, len(files(t, mem)))
	}
	mustClose(t, l)
	l, got := mustOpen(t, testOptions(mem.CrashClone(crashConfig(0, 1))), 15)
	if len(got) != 1 || got[0].seq != 16 {
		t.Errorf("%v", got)
	}
	mustClose(t, l)
}

// rearm is called after a failure; what had failed is gone for good afterwards.
func (m *model) rearm(l *Log) error {
	err := l.Rearm()
	if err == nil {
		err = l.Barrier(context.Background()) // what was durable before is applied
	}
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.mu.submitted = make(map[string]bool)
	}
	return err
}

// fullScenario is scenario on a disk that may be full: what was refused is not sent
// again, and the log is rearmed until it goes on.
func fullScenario(fs vfs.FS, m *model) error {
	opts := testOptions(fs)
	l, got, err := openAll(opts, m.flushed())
	if err != nil {
		return err
	}
	if err := m.check(got); err != nil {
		return err
	}
	for n := range 24 {
		size := 100 + 700*(n%3)
		if n%11 == 8 {
			size = 9000
		}
		err := commitModel(l, m, payloadOf(n, size))
		for attempt := 0; errors.Is(err, ErrNoSpace) && attempt < 100; attempt++ {
			err = m.rearm(l)
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		settlePrepare(l)
		if n%8 == 7 {
			m.flush(max(m.last(), 3) - 3)
			if err := l.Trim(m.flushed()); err != nil {
				return errors.Join(err, l.Close())
			}
		}
	}
	return l.Close()
}

// TestOpenOnAFullDiskLeavesNothing repeats an Open, as a server does that waits for space:
// what it began must not take the space that becomes free.
func TestOpenOnAFullDiskLeavesNothing(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(mem), 0)
	mustCommit(t, l, "first")
	mem = mem.CrashClone(crashConfig(0, 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	before := mem.String()
	for n := int64(0); ; n++ {
		disk := newFullDisk(t)
		disk.from.Store(n)
		disk.until.Store(1 << 40)
		l, _, err := openAll(testOptions(disk.wrap(mem)), 0)
		if err == nil {
			if err := l.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
			if n < 3 {
				t.Errorf("an Open does %d operations that need space", n)
			}
			return
		}
		if after := mem.String(); !errors.Is(err, syscall.ENOSPC) || after != before {
			t.Fatalf("disk full from operation %d on: %v; the disk was\n%s\nand is\n%s", n, err, before, after)
		}
	}
}

// TestDiskFullFromEveryOperationOn fills the disk at the nth operation for the length of
// one, two or five, and cuts the power before every operation that follows until the log is
// rearmed. No acknowledged record is lost, none that a Rearm has cut off comes back, no
// file is synced after a failure.
func TestDiskFullFromEveryOperationOn(t *testing.T) {
	heals, crashes := 0, 0
	for _, length := range []int64{1, 2, 5} {
		for n := int64(7); ; n++ { // not while the log is opened
			mem := vfs.NewCrashableMem()
			m := newModel()
			disk := newFullDisk(t)
			disk.from.Store(n)
			disk.until.Store(n + length)
			disk.before = func(op errorfs.Op) {
				if at := disk.ops.Load(); at < n || at > n+length+8 {
					return
				}
				for _, percent := range []int{0, 50, 100} {
					crashes++
					if err := recoverTwice(mem.CrashClone(crashConfig(percent, uint64(crashes))), m.clone()); err != nil {
						t.Fatalf("disk full from operation %d on for %d, crash before operation %d (kind %d on %s), %d %% kept: %v",
							n, length, disk.ops.Load(), op.Kind, op.Path, percent, err)
					}
				}
			}
			if err := fullScenario(disk.wrap(mem), m); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("disk full from operation %d on for %d: %v", n, length, err)
			}
			if err := recoverTwice(mem.CrashClone(crashConfig(100, 1)), m.clone()); err != nil {
				t.Fatalf("disk full from operation %d on for %d: %v", n, length, err)
			}
			heals++
			if disk.ops.Load() < n {
				break
			}
		}
	}
	t.Logf("%d full disks, %d crashes", heals, crashes)
}
