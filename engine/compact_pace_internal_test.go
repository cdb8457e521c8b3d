package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestMergesKeepToTheBandwidth: what is read in pieces of any size takes as long as the rate says, by a clock that only
// goes on when everybody waits for it.
func TestMergesKeepToTheBandwidth(t *testing.T) {
	for _, piece := range []int64{1 << 10, 100_000, 3 << 20} {
		synctest.Test(t, func(t *testing.T) {
			const rate, pieces = 1 << 20, 100
			e := &Engine{buffers: newShare(1<<20, buffersPercent)}
			e.opts.CompactionBandwidth = rate
			m := &merging{c: &compactor{e: e, ctx: context.Background()}}
			begin := time.Now()
			for range pieces {
				if err := m.pace(t.Context(), piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond) // what it takes to decode a piece counts, too
			}
			took := time.Since(begin)
			want := max(time.Duration(float64(piece*pieces)/rate*float64(time.Second)), pieces*time.Millisecond)
			if slack := time.Duration(piece)*time.Second/rate + compactPause + time.Millisecond; took < want-slack || took > want+slack {
				t.Errorf("%d pieces of %d bytes took %s, at %d bytes a second %s", pieces, piece, took, rate, want)
			}
		})
	}
}
