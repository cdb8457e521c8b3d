package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// monster builds a state of gigabytes that DuckDB cannot spill.
const monster = "SELECT list(range) FROM range(200000000)"

// hostStore has 50 hosts with 400 rows each, in a file and in a buffer.
func hostStore(t *testing.T) *store {
	s := newStore(t)
	view := s.table("db", "cpu", "host:tag n:int")
	var rows []row
	for i := range 20_000 {
		rows = append(rows, row{
			at: epoch + int64(i), tags: map[string]string{"host": fmt.Sprint("h", i%50)}, fields: map[string]any{"n": int64(i)},
		})
	}
	s.addFile(view, rows[:10_000])
	s.addBuffer(view, rows[10_000:], 2048)
	return s
}

// Of 8 queries at once, the one that needs more than there is fails and says so; the
// others, which fail beside it for lack of 4 KiB when nothing is done about that, answer right.
func TestMonsterFailsAlone(t *testing.T) {
	q := hostStore(t).querier(func(o *Options) { o.MemoryBytes, o.SpillBytes = 48<<20, 64<<20 })
	const sql = "SELECT host, count(*), sum(n) FROM cpu GROUP BY host ORDER BY host LIMIT 2"
	want := []string{"h0|400|3990000", "h1|400|3990400"}
	var group sync.WaitGroup
	ended := make(chan struct{})
	group.Go(func() {
		defer close(ended)
		_, err := tryAnswer(t, q, Request{Database: "db", SQL: monster})
		var needs *ResourceError
		if !errors.As(err, &needs) || !strings.Contains(err.Error(), "--exec-mem-pool-bytes") ||
			!strings.Contains(err.Error(), "48 MiB of memory and 64 MiB on disk") {
			t.Errorf("the monster ended with %v", err)
		}
	})
	for range 7 {
		group.Go(func() {
			for running := true; running; {
				select {
				case <-ended:
					running = false // once more, after the monster
				default:
				}
				got, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("beside the monster: %v (-want +got)\n%s", err, diff)
				}
			}
		})
	}
	group.Wait()
	if s, err := q.Stats(); err != nil || s.Running != 0 || s.Queued != 0 || s.MemoryBytes > 48<<20 {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

// What DuckDB can spill is answered with little memory, within the bound of the spill
// directory, which is empty again afterwards.
func TestSpillingIsBounded(t *testing.T) {
	dir := t.TempDir()
	const sql = "SELECT range, hash(range) AS h FROM range(%d) ORDER BY h LIMIT 1 OFFSET %d"
	q := newStoreWith(t, "db").querier(func(o *Options) { o.MemoryBytes, o.SpillBytes, o.TempDir = 32<<20, 256<<20, dir })
	if got := answer(t, q, "db", fmt.Sprintf(sql, 3_000_000, 2_500_000)); len(got) != 1 {
		t.Errorf("%d rows", len(got))
	}
	small := newStoreWith(t, "db").querier(func(o *Options) { o.MemoryBytes, o.SpillBytes, o.TempDir = 32<<20, 4<<20, dir })
	_, err := tryAnswer(t, small, Request{Database: "db", SQL: fmt.Sprintf(sql, 3_000_000, 2_500_000)})
	var needs *ResourceError
	if !errors.As(err, &needs) || !strings.Contains(err.Error(), "--query-spill-max-bytes") {
		t.Errorf("got %v", err)
	}
	if s, err := small.Stats(); err != nil || s.SpillBytes != 0 {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
	if err := errors.Join(q.Close(), small.Close()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir + "/query-spill"); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// Attempts know whether they had company, and wait for those of the moment only, and not for ever.
func TestAttemptsWaitForTheirCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		first, second, third := &running{}, &running{}, &running{}
		a.add(first)
		if first.hadCompany.Load() {
			t.Error("the first has company")
		}
		a.add(second)
		a.remove(first)
		if !first.hadCompany.Load() || !second.hadCompany.Load() {
			t.Error("the first two had no company")
		}
		done := make(chan error, 1)
		go func() { done <- a.wait(t.Context()) }()
		synctest.Wait()
		a.add(third)
		a.remove(second)
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := a.wait(t.Context()); err != nil || time.Since(begin) != memoryPatience {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(ErrKilled)
		if err := a.wait(ctx); !errors.Is(err, ErrKilled) {
			t.Errorf("got %v", err)
		}
		a.remove(third)
	})
}

// A job that cannot have its memory is still one that can be stopped.
func TestMonstersCanBeKilled(t *testing.T) {
	q := newStoreWith(t, "db").querier(func(o *Options) { o.MemoryBytes = 256 << 20 })
	var ends []<-chan error
	var ids []uint64
	for range 3 {
		id, end := start(t, q, t.Context(), Request{Database: "db", SQL: monster})
		ids, ends = append(ids, id), append(ends, end)
	}
	for _, id := range ids {
		if err := q.Kill(id); err != nil {
			t.Error(err)
		}
	}
	for _, end := range ends {
		if err := <-end; !errors.Is(err, ErrKilled) {
			t.Errorf("ended with %v", err)
		}
	}
	if live := slices.DeleteFunc(q.Queries("db"), func(i QueryInfo) bool { return i.State.IsFinal() }); len(live) != 0 {
		t.Errorf("still there: %+v", live)
	}
}

// TestQueriesEndWhenTheProcessIsTooLarge: what DuckDB does not count is seen from outside.
func TestQueriesEndWhenTheProcessIsTooLarge(t *testing.T) {
	var size atomic.Int64
	q := hostStore(t).querier(func(o *Options) { o.ProcessBytes, o.ProcessSize = 1<<30, size.Load })
	if got := answer(t, q, "db", "SELECT count(*) FROM cpu"); got[0] != "20000" {
		t.Errorf("%s while the process is small", got)
	}
	size.Store(2 << 30)
	_, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT sum(hash(range)) FROM range(1000000000000)"})
	var needs *ResourceError
	if !errors.As(err, &needs) || !strings.Contains(needs.Message, "the server had grown to 2048 MiB") {
		t.Errorf("%v, want the size of the server", err)
	}
	if size := residentSize(); runtime.GOOS == "linux" && size < 1<<20 {
		t.Errorf("this process has %d bytes", size)
	}
}

// The log says how much memory there was in use while a query ran that takes long enough.
func TestLogKnowsThePeakOfMemory(t *testing.T) {
	q := hostStore(t).querier(func(o *Options) { o.MemoryBytes = 256 << 20 })
	const sql = "SELECT count(DISTINCT hash(range)) AS n FROM range(%d)"
	for rows := 1 << 20; ; rows *= 2 { // until it takes long enough on this machine
		if _, err := tryAnswer(t, q, Request{Database: "db", SQL: fmt.Sprintf(sql, rows)}); err != nil {
			t.Fatal(err)
		}
		infos := q.Queries("db")
		if last := infos[len(infos)-1]; last.PeakMemory > 0 {
			if last.PeakMemory > 256<<20 {
				t.Errorf("%d bytes at the peak, more than there are", last.PeakMemory)
			}
			return
		}
	}
}
