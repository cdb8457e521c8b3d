package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

func crashConfig(percent int, seed uint64) vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 0))}
}

// model is what a log must hold: the simplest thing that could be called a log.
type model struct {
	mu struct {
		sync.Mutex
		records   []record        // acknowledged, from the first one on
		submitted map[string]bool // not acknowledged: may follow, once each
		flushed   schema.Seq      // replay starts there
	}
}

func newModel() *model {
	m := &model{}
	m.mu.submitted = make(map[string]bool)
	return m
}

func (m *model) submit(payload string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.submitted[payload] = true
}

func (m *model) acknowledge(seq schema.Seq, payload string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.submitted, payload)
	m.mu.records = append(m.mu.records, record{seq, payload})
}

func (m *model) flush(seq schema.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.flushed = seq
}

func (m *model) flushed() schema.Seq {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.flushed
}

func (m *model) last() schema.Seq {
	m.mu.Lock()
	defer m.mu.Unlock()
	return schema.Seq(len(m.mu.records))
}

// clone is the model at the moment of a crash.
func (m *model) clone() *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newModel()
	c.mu.records, c.mu.flushed = slices.Clone(m.mu.records), m.mu.flushed
	for p := range m.mu.submitted {
		c.mu.submitted[p] = true
	}
	return c
}

// check compares what a recovery yielded, and adopts the records it found on top.
func (m *model) check(got []record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	acked := m.mu.records[m.mu.flushed:]
	if len(got) < len(acked) || !slices.Equal(got[:len(acked)], acked) {
		return fmt.Errorf("recovered %d records from %d on, acknowledged were %d; or they differ", len(got), m.mu.flushed+1, len(acked))
	}
	for _, r := range got[len(acked):] {
		if r.seq != schema.Seq(len(m.mu.records)+1) {
			return fmt.Errorf("record %d follows %d", r.seq, len(m.mu.records))
		}
		if !m.mu.submitted[r.payload] {
			return fmt.Errorf("record %d was never submitted, or is there twice: %q", r.seq, r.payload)
		}
		delete(m.mu.submitted, r.payload)
		m.mu.records = append(m.mu.records, r)
	}
	// What was not found must never come back.
	m.mu.submitted = make(map[string]bool)
	return nil
}

// recoverTwice opens a crashed log, and again after a power cut right afterwards.
func recoverTwice(fs *vfs.MemFS, m *model) error {
	opts := testOptions(fs)
	opts.DurableThrough = m.flushed()
	l, first, err := openAll(opts, m.flushed())
	if err != nil {
		return fmt.Errorf("first recovery: %w", err)
	}
	abandon(l)
	if err := m.check(first); err != nil {
		return fmt.Errorf("first recovery: %w", err)
	}
	opts.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	l, second, err := openAll(opts, m.flushed())
	if err != nil {
		return fmt.Errorf("second recovery: %w", err)
	}
	if !slices.Equal(first, second) {
		return fmt.Errorf("second recovery: %d records, the first had %d", len(second), len(first))
	}
	return l.Close()
}

// scenario runs a log through everything that writes: groups, switches, recycling,
// a clean restart, a restart without Close, trimming. It ends at the first error.
func scenario(fs vfs.FS, m *model) error {
	n := 0
	for round := range 4 {
		l, got, err := openAll(testOptions(fs), m.flushed())
		if err != nil {
			return err
		}
		if err := m.check(got); err != nil {
			return err
		}
		for i := range 9 {
			n++
			size := 100 + 700*(i%3)
			if i == 8 {
				size = 9000 // more than the unit in which a crash keeps or drops data
			}
			if err := commitModel(l, m, payloadOf(n, size)); err != nil {
				return errors.Join(err, l.Close())
			}
			settlePrepare(l)
		}
		m.flush(m.last() - 3)
		if err := l.Trim(m.flushed()); err != nil {
			return errors.Join(err, l.Close())
		}
		if round == 1 {
			abandon(l)
		} else if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func commitModel(l *Log, m *model, payload string) error {
	m.submit(payload)
	_, err := l.Commit([]byte(payload), func(seq schema.Seq) { m.acknowledge(seq, payload) })
	return err
}

// queueModel queues a record; the model hears of it when it is applied.
func queueModel(l *Log, m *model, payload string) error {
	m.submit(payload)
	return l.CommitAsync([]byte(payload), func(seq schema.Seq) { m.acknowledge(seq, payload) }, nil)
}

func TestCrashBeforeEveryFileOperation(t *testing.T) {
	mem := vfs.NewCrashableMem()
	m := newModel()
	ops, crashes := 0, 0
	fs := hookFS(mem, func(op errorfs.Op) error {
		ops++
		for _, percent := range []int{0, 50, 50, 100} {
			crashes++
			at := m.clone()
			crashed := mem.CrashClone(crashConfig(percent, uint64(crashes)))
			if err := recoverTwice(crashed, at); err != nil {
				t.Fatalf("crash before operation %d (kind %d on %s), %d %% of unsynced data kept: %v", ops, op.Kind, op.Path, percent, err)
			}
		}
		return nil
	})
	if err := scenario(fs, m); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations, %d crashes", ops, crashes)
}

func TestCrashBeforeEveryOperationOfARecovery(t *testing.T) {
	mem := vfs.NewCrashableMem()
	m := newModel()
	rng := rand.New(rand.NewPCG(1, 2))
	recoveries, crashes := 0, 0
	fs := hookFS(mem, func(op errorfs.Op) error {
		crashed := mem.CrashClone(crashConfig(50, rng.Uint64()))
		want := m.clone()
		if err := recoverTwice(crashed.CrashClone(vfs.CrashCloneCfg{}), want); err != nil {
			t.Fatal(err)
		}
		recoveries++
		inRecovery := hookFS(crashed, func(errorfs.Op) error {
			for _, percent := range []int{0, 50, 100} {
				crashes++
				l, got, err := openAll(testOptions(crashed.CrashClone(crashConfig(percent, rng.Uint64()))), want.flushed())
				if err != nil {
					t.Fatalf("recovery after a killed recovery: %v", err)
				}
				abandon(l)
				if !slices.Equal(got, want.mu.records[want.flushed():]) {
					t.Fatalf("recovery after a killed recovery has %d records, want %d", len(got), len(want.mu.records)-int(want.flushed()))
				}
			}
			return nil
		})
		l, _, err := openAll(testOptions(inRecovery), want.flushed())
		if err != nil {
			t.Fatal(err)
		}
		abandon(l)
		return nil
	})
	if err := scenario(fs, m); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d recoveries, killed %d times", recoveries, crashes)
}

func TestErrorAtEveryFileOperation(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		total := 0
		for n := 1; ; n++ {
			mem := vfs.NewCrashableMem()
			m := newModel()
			ops := 0
			err := scenario(errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
				ops++
				if ops == n || lasting && ops > n {
					return errorfs.ErrInjected
				}
				return nil
			})), m)
			if err != nil && !errors.Is(err, errorfs.ErrInjected) {
				t.Fatalf("error at operation %d: %v", n, err)
			}
			for _, percent := range []int{0, 50, 100} {
				if err := recoverTwice(mem.CrashClone(crashConfig(percent, uint64(n))), m.clone()); err != nil {
					t.Fatalf("error at operation %d, lasting %v, %d %% kept: %v", n, lasting, percent, err)
				}
			}
			// Without a crash, too: the process may open the log again.
			if err := recoverTwice(mem, m.clone()); err != nil {
				t.Fatalf("error at operation %d, lasting %v, no crash: %v", n, lasting, err)
			}
			if total = n; ops < n {
				break
			}
		}
		t.Logf("lasting %v: %d operations", lasting, total)
	}
}

func TestRandomWorkloadsSurviveCrashes(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*seedCount); seed++ {
		if err := randomWorkload(seed); err != nil {
			t.Fatalf("%v\nrerun with: go test ./wal -run %s -seed %d -seeds 1", err, t.Name(), seed)
		}
	}
	t.Logf("figures: histories=%d", *seedCount)
}

// workload is a random run of one log through many crashes.
type workload struct {
	rng  *rand.Rand
	opts Options
	mem  *vfs.MemFS
	m    *model
	log  *Log
	n    int // payloads made
	fail struct {
		sync.Mutex
		after int // operations; negative: never
		err   error
	}
}

func randomWorkload(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 99))
	w := &workload{rng: rng, mem: vfs.NewCrashableMem(), m: newModel()}
	w.opts = testOptions(nil)
	w.opts.SegmentBytes = minSegmentBytes << rng.IntN(4)
	w.opts.PreallocBytes = []int64{-1, 512, 4096, 8192}[rng.IntN(4)]
	w.opts.SpareSegments = rng.IntN(4) - 1
	w.opts.MaxQueuedBytes = []int64{-1, 1 << 10, 16 << 10, 0}[rng.IntN(4)]
	w.fail.after = -1
	if err := w.open(); err != nil {
		return err
	}
	for range 60 {
		if err := w.step(); err != nil {
			return err
		}
	}
	return w.crash(0)
}

func (w *workload) step() error {
	switch k := w.rng.IntN(100); {
	case k < 40:
		return w.commit(1)
	case k < 45:
		return w.reopenIfPoisoned(w.log.Mark())
	case k < 52: // the next step finds them anywhere on their way
		return w.reopenIfPoisoned(queueModel(w.log, w.m, w.payload()))
	case k < 70:
		return w.commit(2 + w.rng.IntN(12))
	case k < 80:
		if last := w.m.last(); last > 0 {
			w.m.flush(max(w.m.flushed(), schema.Seq(w.rng.Uint64N(uint64(last)+1))))
		}
		return w.tolerate(w.log.Trim(w.m.flushed()))
	case k < 86:
		if err := w.tolerate(w.log.Close()); err != nil {
			return err
		}
		return w.open()
	case k < 92:
		w.failAfter(w.rng.IntN(10))
		return nil
	default:
		return w.crash([]int{0, 0, 10, 50, 90, 100}[w.rng.IntN(6)])
	}
}

func (w *workload) payload() string {
	w.n++
	size := w.rng.IntN(400)
	if w.rng.IntN(10) == 0 {
		size = w.rng.IntN(12000)
	}
	return payloadOf(w.n, size)
}

// commit commits n records at once, some of them without waiting; if one fails the
// log is opened again, or rearmed.
func (w *workload) commit(n int) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		payload, send := w.payload(), commitModel
		if w.rng.IntN(3) == 0 {
			send = queueModel
		}
		wg.Go(func() { errs[i] = send(w.log, w.m, payload) })
	}
	wg.Wait()
	if w.rng.IntN(2) == 0 {
		errs = append(errs, w.log.Barrier(context.Background()))
	}
	return w.reopenIfPoisoned(errors.Join(errs...))
}

func (w *workload) reopenIfPoisoned(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrNoSpace) && errors.Is(w.log.Err(), ErrNoSpace) && w.rng.IntN(8) > 0 {
		if err = w.m.rearm(w.log); err == nil || errors.Is(err, ErrNoSpace) {
			return nil // else the next commit finds the disk still full
		}
	}
	failed := errors.Is(err, ErrPoisoned) || errors.Is(err, ErrNoSpace)
	if state := w.log.Err(); !failed || !errors.Is(state, ErrPoisoned) && !errors.Is(state, ErrNoSpace) {
		return fmt.Errorf("commit failed otherwise than by poison: %w", err)
	}
	if err := w.tolerate(w.log.Close()); err != nil {
		return err
	}
	return w.open() // no crash: reads show what was written and not synced
}

// tolerate forgives injected errors.
func (w *workload) tolerate(err error) error {
	if errors.Is(err, errorfs.ErrInjected) || errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func (w *workload) crash(percent int) error {
	at := w.m.clone()
	crashed := w.mem.CrashClone(crashConfig(percent, w.rng.Uint64()))
	w.failAfter(-1)
	if err := w.tolerate(w.log.Close()); err != nil {
		return err
	}
	w.mem, w.m = crashed, at
	return w.open()
}

func (w *workload) failAfter(ops int) {
	w.fail.Lock()
	defer w.fail.Unlock()
	w.fail.after = ops
	w.fail.err = errorfs.ErrInjected
	if ops%2 == 0 {
		w.fail.err = syscall.ENOSPC
	}
}

// open recovers the log, without injected errors, and checks what it yields.
func (w *workload) open() error {
	w.failAfter(-1)
	opts := w.opts
	opts.DurableThrough = w.m.flushed()
	opts.FS = hookFS(w.mem, func(errorfs.Op) error {
		w.fail.Lock()
		defer w.fail.Unlock()
		if w.fail.after--; w.fail.after == -1 {
			return w.fail.err
		}
		w.fail.after = max(w.fail.after, -2)
		return nil
	})
	var got []record
	var err error
	if w.log, got, err = openAll(opts, w.m.flushed()); err != nil {
		return err
	}
	return w.m.check(got)
}
