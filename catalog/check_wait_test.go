package catalog

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/schema"
)

// TestNobodyWaitsForACheck holds a check in the middle: purges, and event ids, which are
// added while writes are applied, go on, and a reopening is put off instead of waiting with
// the catalog's locks held.
func TestNobodyWaitsForACheck(t *testing.T) {
	var isHeld, isFull atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	disk := vfs.NewMem()
	c := mustOpen(t, disk)
	mustDefine(t, c, table("db", "stays", "a"))
	mustDefine(t, c, table("db", "goes", "a"))
	mustDo(t, c.DeleteTable("db", "goes", 1))
	mustClose(t, c)
	c = mustOpen(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, ".sst") && isHeld.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		if isFull.Load() && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})))
	defer mustClose(t, c)

	isHeld.Store(true)
	checked := make(chan error, 1)
	go func() {
		_, err := c.Check(context.Background())
		checked <- err
	}()
	within(t, "the check", reached)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := errors.Join(c.Purge([]schema.TableID{2}, nil), c.Remember(1, [][eventIDBytes]byte{eventID(0)})); err != nil {
			t.Error(err)
		}
		isFull.Store(true)
		if _, err := c.Define(table("db", "new", "a")); !errors.Is(err, ErrNoSpace) {
			t.Errorf("on a full disk: %v", err)
		}
		isFull.Store(false)
		if err := c.Reopen(); !errors.Is(err, ErrNoSpace) {
			t.Errorf("Reopen while a check reads: %v", err)
		}
	}()
	within(t, "what was called during the check", done)
	close(release)
	if err := <-checked; !errors.Is(err, ErrNoSpace) {
		t.Errorf("the check of a catalog that failed meanwhile: %v", err)
	}
	mustDo(t, c.Reopen())
	if _, err := c.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not get on", what)
	}
}
