package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// aged is a table that gets a file every ten minutes, without bytes: what the policy makes of its files.
type aged struct {
	policy
	files           []*schema.File // by Order
	written, merged uint64         // bytes
	most            int
}

const agedFlush = 10 * time.Minute

// newAged returns a table whose files have an Order for each perFlush of them that come in one flush.
func newAged(perFlush int, fits func([]*schema.File) bool) *aged {
	a := &aged{}
	a.fits = fits
	a.rests = func(f *schema.File, d time.Duration) bool {
		return int(f.Order) <= int(a.flushed)-int(d/agedFlush)*perFlush
	}
	return a
}

// flush adds a file of the ten minutes that have just passed.
func (a *aged) flush(t *testing.T, n int, bytes uint64) {
	from := int64(n) * int64(agedFlush)
	a.add(t, n, bytes, schema.TimeRange{Min: from, Max: from + int64(agedFlush) - 1})
}

// add adds a file of some bytes and does what the policy wants. A merge is as large as its inputs.
func (a *aged) add(t *testing.T, n int, bytes uint64, within schema.TimeRange) {
	f := &schema.File{
		ID: schema.FileID(a.written + a.merged), Order: uint64(n + 1), Rows: bytes, Bytes: bytes, Time: within,
		Seq:    schema.SeqRange{Min: schema.Seq(n + 1), Max: schema.Seq(n + 1)},
		DayMin: schema.DayOf(within.Min), DayMax: schema.DayOf(within.Max),
	}
	a.written += bytes
	a.files = append(a.files, f)
	a.most = max(a.most, len(a.files))
	a.flushed = schema.Seq(n + 1)
	a.compact(t)
}

func (a *aged) compact(t *testing.T) {
	for range 10_000 {
		c := a.choose(a.files)
		if c == nil {
			return
		}
		a.replace(t, c)
	}
	t.Fatal("there is no end of merging")
}

// replace puts files of even sizes in the place of the inputs.
func (a *aged) replace(t *testing.T, c *compaction) {
	all := schema.File{Time: c.inputs[0].Time, Seq: c.inputs[0].Seq, Order: c.inputs[len(c.inputs)-1].Order}
	for _, f := range c.inputs {
		all.Bytes += f.Bytes
		all.Time = schema.TimeRange{Min: min(all.Time.Min, f.Time.Min), Max: max(all.Time.Max, f.Time.Max)}
		all.Seq = schema.SeqRange{Min: min(all.Seq.Min, f.Seq.Min), Max: max(all.Seq.Max, f.Seq.Max)}
		a.files = slices.DeleteFunc(a.files, func(g *schema.File) bool { return g == f })
	}
	width := all.Time.Max - all.Time.Min + 1
	left := uint64(0)
	for _, piece := range c.pieces {
		f := all
		f.Time = schema.TimeRange{Min: max(piece.Min, all.Time.Min), Max: min(piece.Max, all.Time.Max)}
		if f.Time.Min > f.Time.Max {
			continue
		}
		f.Bytes = uint64(float64(all.Bytes) * float64(f.Time.Max-f.Time.Min+1) / float64(width))
		f.Rows, f.DayMin, f.DayMax = f.Bytes, schema.DayOf(f.Time.Min), schema.DayOf(f.Time.Max)
		a.merged += f.Bytes
		f.ID = schema.FileID(a.written + a.merged)
		left += f.Bytes
		a.files = append(a.files, &f)
	}
	if left+uint64(len(c.pieces)) < all.Bytes {
		t.Fatalf("%d bytes became %d in %v", all.Bytes, left, c.pieces)
	}
	slices.SortFunc(a.files, func(x, y *schema.File) int { return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.ID, y.ID)) })
}

// TestFilesStayFewAndAreNotRewrittenForEver: in days of flushes of any size, with memory for many inputs or only
// for two, there are never many files, and a byte is written again a few times.
func TestFilesStayFewAndAreNotRewrittenForEver(t *testing.T) {
	const days, perDay = 10, int(24 * time.Hour / agedFlush)
	for _, size := range []uint64{2 << 10, 20 << 10, 200 << 10, 2 << 20, 20 << 20} {
		for _, inputs := range []int{maxMergeInputs, 5, 2} {
			t.Run(fmt.Sprintf("%d bytes, %d inputs", size, inputs), func(t *testing.T) {
				a := newAged(1, func(files []*schema.File) bool { return len(files) <= inputs })
				for n := range days * perDay {
					a.flush(t, n, size+uint64(n)%7*size/10)
				}
				again := float64(a.merged) / float64(a.written)
				t.Logf("at most %d files, %d at the end; written again %.1f times", a.most, len(a.files), again)
				if bound := 60 + int(a.written/(targetBytes/4)); a.most > bound {
					t.Errorf("there were %d files of a table with %d MiB, more than %d", a.most, a.written>>20, bound)
				}
				if again > 16 {
					t.Errorf("a byte was written again %.1f times", again)
				}
			})
		}
	}
}

// TestHistoryInAnyOrderEndsInOrder: days that are written in any order, and twice, do not overlap in the end, and are
// never many files.
func TestHistoryInAnyOrderEndsInOrder(t *testing.T) {
	for _, size := range []uint64{20 << 10, 2 << 20, 20 << 20} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			const flushes, perFlush = 240, 3
			rng := rand.New(rand.NewPCG(size, 1))
			a := newAged(perFlush, func([]*schema.File) bool { return true })
			days := slices.Concat(rng.Perm(flushes*perFlush/2), rng.Perm(flushes*perFlush/2)) // each twice
			n := 0
			for part := range slices.Chunk(days, perFlush) {
				for _, d := range slices.Sorted(slices.Values(part)) {
					a.add(t, n, size, schema.TimeRange{Min: int64(d) * schema.NanosPerDay, Max: int64(d+1)*schema.NanosPerDay - 1})
					n++
				}
			}
			a.rests = forEver
			a.compact(t)
			again := float64(a.merged) / float64(a.written)
			t.Logf("at most %d files, %d at the end; written again %.1f times", a.most, len(a.files), again)
			if overlap(a.files) && len(a.files) > 1 {
				t.Errorf("%d files overlap", len(a.files))
			}
			if days := flushes * perFlush / 2; a.most > days+2*maxMergeInputs {
				t.Errorf("there were %d files of %d days", a.most, days)
			}
			if again > 16 {
				t.Errorf("a byte was written again %.1f times", again)
			}
		})
	}
}
