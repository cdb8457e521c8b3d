package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdmissionLetsInWhoCameFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{limit: 100}
		if _, ok := a.acquire(t.Context(), 80); !ok {
			t.Fatal("there is room for 80 of 100")
		}
		var mu sync.Mutex // two may be let in at once
		var order []int64
		for _, n := range []int64{50, 10, 60} {
			go func() {
				if taken, ok := a.acquire(t.Context(), n); ok {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, taken)
				}
			}()
			synctest.Wait() // each waits before the next comes
		}
		if len(order) > 0 {
			t.Errorf("%v overtook the first, which waits for 50", order)
		}
		a.release(80)
		synctest.Wait()
		if len(order) != 2 || a.inUse() != 60 {
			t.Errorf("%v were let in and hold %d, want 50 and 10", order, a.inUse())
		}
		a.release(50)
		a.release(10)
		synctest.Wait()
		if len(order) != 3 || order[2] != 60 {
			t.Errorf("%v were let in, want 60 at last", order)
		}
	})
}

func TestAdmissionRefusesWhoWaitsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{limit: 100}
		if taken, ok := a.acquire(t.Context(), 500); !ok || taken != 100 {
			t.Fatalf("%d, %v; whoever wants more than all gets all", taken, ok)
		}
		begin := time.Now()
		small := make(chan bool, 1)
		go func() {
			time.Sleep(admissionPatience / 2)
			_, ok := a.acquire(t.Context(), 1)
			small <- ok
		}()
		if _, ok := a.acquire(t.Context(), 50); ok || time.Since(begin) != admissionPatience {
			t.Errorf("%v after %s", ok, time.Since(begin))
		}
		a.release(99)
		if !<-small {
			t.Error("whoever waited behind it is not let in")
		}
		if a.grow(t.Context(), 99) || !a.grow(t.Context(), 98) || a.inUse() != 100 {
			t.Errorf("%d are in use, want all 100", a.inUse())
		}
	})
}

// TestAdmissionLetsOneGrow: of three that have begun and need more than there is, one gets
// it, before any that has not begun.
func TestAdmissionLetsOneGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{limit: 90}
		grown := make(chan int, 3)
		for range 3 {
			if _, ok := a.acquire(t.Context(), 30); !ok {
				t.Fatal("there is room for three")
			}
		}
		for i := range 3 {
			go func() {
				ok := a.grow(t.Context(), 50)
				if ok {
					grown <- i
					a.release(50)
				}
				a.release(30)
			}()
			synctest.Wait()
		}
		if _, ok := a.acquire(t.Context(), 90); !ok {
			t.Error("whoever has not begun finds no room afterwards")
		}
		if first := <-grown; first != 0 || len(grown) != 0 {
			t.Errorf("the first to grow is %d, and %d others did too", first, len(grown))
		}
	})
}

func TestAdmissionEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{limit: 100}
		a.add(150) // beyond the limit, for whom it is not
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			_, ok := a.acquire(ctx, 1)
			ended <- ok
		}()
		synctest.Wait()
		cancel()
		if <-ended {
			t.Error("let in after its end")
		}
		a.release(150)
		if a.inUse() != 0 || a.mu.waiting.Len() != 0 {
			t.Errorf("%d bytes and %d waiters are left", a.inUse(), a.mu.waiting.Len())
		}
	})
}
