package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

// TestCompactionsThatGoOnAreShown: with how far they are, behind those that have ended.
func TestCompactionsThatGoOnAreShown(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	for i := range 4 {
		write(t, e, fmt.Sprintf("m f=%d %d", i, i), fmt.Sprintf("n f=%d %d", i, i))
		flush(t, e)
	}
	shown := 0
	_, err := e.Compact(context.Background(), engine.CompactOptions{Progress: func(c engine.Compaction) {
		shown++
		all := e.Compactions()
		now := all[len(all)-1]
		if len(all) != shown || !now.IsRunning || now.Table != c.Table || now.Inputs != 4 || now.InputRows != 4 || now.Progress != 1 {
			t.Errorf("during the merge %d: %+v", shown, all)
		}
	}})
	must(t, err)
	if shown != 2 {
		t.Errorf("two merges of a record each were shown %d times", shown)
	}
	for _, c := range e.Compactions() {
		if c.IsRunning || c.Progress != 1 {
			t.Errorf("afterwards: %+v", c)
		}
	}
}
