package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
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
	lastID          schema.FileID

	// Each file has values of some points, and each point has the one that was written last.
	values map[schema.FileID]map[int64]int
	last   map[int64]int
}

const agedFlush = 10 * time.Minute

// newAged returns a table whose files have an Order for each perFlush of them that come in one flush.
func newAged(perFlush int, fits func([]*schema.File) bool) *aged {
	a := &aged{values: make(map[schema.FileID]map[int64]int), last: make(map[int64]int)}
	a.fits = fits
	a.rests = func(f *schema.File, d time.Duration) bool {
		return int(f.Order) <= int(a.flushed)-int(d/agedFlush)*perFlush
	}
	return a
}

func (a *aged) nextID() schema.FileID {
	a.lastID++
	return a.lastID
}

// flush adds a file of the ten minutes that have just passed.
func (a *aged) flush(t *testing.T, n int, bytes uint64) {
	from := int64(n) * int64(agedFlush)
	a.add(t, n, bytes, schema.TimeRange{Min: from, Max: from + int64(agedFlush) - 1})
}

// add adds a file of some bytes and does what the policy wants. A merge is as large as its inputs.
func (a *aged) add(t *testing.T, n int, bytes uint64, within schema.TimeRange) {
	a.put(&schema.File{
		Order: uint64(n + 1), Bytes: bytes, Time: within, Seq: schema.SeqRange{Min: schema.Seq(n + 1), Max: schema.Seq(n + 1)},
		DayMin: schema.DayOf(within.Min), DayMax: schema.DayOf(within.Max),
	})
	a.flushed = schema.Seq(n + 1)
	a.compact(t)
}

// put adds a file, whose Order is the value of its points.
func (a *aged) put(f *schema.File) {
	f.ID, f.Rows = a.nextID(), f.Bytes
	a.written += f.Bytes
	a.files = append(a.files, f)
	value := int(f.Order)
	a.values[f.ID] = map[int64]int{f.Time.Min: value, f.Time.Max: value}
	for day := f.DayMin; day <= f.DayMax; day++ {
		if at := startOf(day); f.Time.Contains(at) {
			a.values[f.ID][at] = value
		}
	}
	for at := range a.values[f.ID] {
		a.last[at] = value
	}
	a.most = max(a.most, len(a.files))
}

func (a *aged) compact(t *testing.T) {
	for range 10_000 {
		c := a.choose(a.files)
		if c == nil {
			return
		}
		a.replace(t, c)
		a.compare(t)
	}
	t.Fatal("there is no end of merging")
}

// compare looks up every point: the file with the greatest Order, and then id, has its last value.
func (a *aged) compare(t *testing.T) {
	got := make(map[int64]int)
	for _, f := range a.files {
		maps.Copy(got, a.values[f.ID])
	}
	if !maps.Equal(got, a.last) {
		t.Fatal("a merge took away a value or put an older one in front of a later one")
	}
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
		f.ID = a.nextID()
		left += f.Bytes
		a.values[f.ID] = make(map[int64]int)
		for _, input := range c.inputs {
			for at, value := range a.values[input.ID] {
				if piece.Contains(at) {
					a.values[f.ID][at] = value
				}
			}
		}
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

// TestHistoryInAnyOrderEndsInOrder: days that are written in any order, and twice, do not overlap in the end, are
// never many files, and are not written again for ever, with memory for many inputs or only for two.
func TestHistoryInAnyOrderEndsInOrder(t *testing.T) {
	const days, perFlush = 365, 3
	for _, size := range []uint64{20 << 10, 50 << 10, 2 << 20, 20 << 20} {
		for _, inputs := range []int{maxMergeInputs, 5, 3, 2} {
			t.Run(fmt.Sprintf("%d bytes, %d inputs", size, inputs), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(size, 1))
				a := newAged(perFlush, func(files []*schema.File) bool { return len(files) <= inputs })
				n := 0
				for part := range slices.Chunk(slices.Concat(rng.Perm(days), rng.Perm(days)), perFlush) {
					a.flushDays(t, n, size, part)
					n += perFlush
				}
				a.rests = forEver
				a.compact(t)
				again := float64(a.merged) / float64(a.written)
				t.Logf("at most %d files, %d at the end; written again %.1f times", a.most, len(a.files), again)
				if len(a.files) > 1 && overlap(a.files) {
					t.Errorf("%d files overlap", len(a.files))
				}
				if most := days + 2*maxMergeInputs; a.most > most {
					t.Errorf("there were %d files of %d days", a.most, days)
				}
				if most := 14 + 12/float64(inputs); again > most {
					t.Errorf("a byte was written again %.1f times", again)
				}
			})
		}
	}
}

// flushDays adds what a flush makes of whole days, which were written one after the other: those that are neighbours
// share a file, and its records are between those of others.
func (a *aged) flushDays(t *testing.T, n int, size uint64, days []int) {
	records := make(map[int]schema.Seq)
	for i, d := range days {
		records[d] = schema.Seq(n + i + 1)
	}
	var files []*schema.File
	for _, d := range slices.Sorted(maps.Keys(records)) {
		last := len(files) - 1
		if last < 0 || files[last].DayMax+1 != schema.Day(d) {
			last++
			files = append(files, &schema.File{DayMin: schema.Day(d), Order: uint64(n + last + 1)})
		}
		f := files[last]
		f.Bytes, f.DayMax, f.Seq = f.Bytes+size, schema.Day(d), f.Seq.Include(records[d])
	}
	for _, f := range files {
		f.Time = schema.TimeRange{Min: startOf(f.DayMin), Max: startOf(f.DayMax+1) - 1}
		a.put(f)
	}
	a.flushed = schema.Seq(n + len(days))
	a.compact(t)
}

// TestWhatOverlapsWithTooMuchIsMergedInRounds: files of days that overlap with more than a merge can take, by number, by
// size or by memory, end in files that do not overlap. What overlaps by too much within a day may stay so, but there is
// an end.
func TestWhatOverlapsWithTooMuchIsMergedInRounds(t *testing.T) {
	const nanos = int64(schema.NanosPerDay)
	days := func(first, n int64) schema.TimeRange {
		return schema.TimeRange{Min: first * nanos, Max: (first+n)*nanos - 1}
	}
	hours := func(from, n int64) schema.TimeRange {
		return schema.TimeRange{Min: from * nanos / 24, Max: (from+n)*nanos/24 - 1}
	}
	const inOneDay = "within a day: "
	type part struct {
		bytes  uint64
		within schema.TimeRange
	}
	repeat := func(n int64, at func(i int64) part) (parts []part) {
		for i := range n {
			parts = append(parts, at(i))
		}
		return parts
	}
	large := func(i int64) part { return part{200 << 20, days(i, 1)} }
	for name, parts := range map[string][]part{
		"a late year over large days":                 append(repeat(365, large), part{1 << 20, days(0, 365)}),
		"two late years over large days":              append(repeat(365, large), part{1 << 20, days(0, 365)}, part{2 << 20, days(0, 365)}),
		"an early year under large days":              append([]part{{1 << 20, days(0, 365)}}, repeat(365, large)...),
		"a large late year":                           append(repeat(100, large), part{1 << 30, days(0, 100)}),
		"a late year over middling days":              append(repeat(365, func(i int64) part { return part{20 << 20, days(i, 1)} }), part{1 << 30, days(0, 365)}),
		"a late year between the days":                append(repeat(40, func(i int64) part { return part{150 << 20, days(3*i, 1)} }), part{3 << 20, days(0, 120)}),
		inOneDay + "forty large files of one day":     repeat(40, func(int64) part { return part{200 << 20, days(0, 1)} }),
		inOneDay + "two files that are too large":     {{1500 << 20, days(0, 1)}, {1500 << 20, days(0, 1)}},
		inOneDay + "two large files of one hour":      {{1500 << 20, hours(5, 1)}, {1500 << 20, hours(5, 1)}},
		inOneDay + "large files that overlap in part": repeat(30, func(i int64) part { return part{200 << 20, hours(i, 12)} }),
		"weeks that overlap in part":                  repeat(60, func(i int64) part { return part{130 << 20, days(3*i, 7)} }),
	} {
		for _, inputs := range []int{maxMergeInputs, 5, 2} {
			t.Run(fmt.Sprintf("%s, %d inputs", name, inputs), func(t *testing.T) {
				a := newAged(1, func(files []*schema.File) bool { return len(files) <= inputs })
				a.rests = func(*schema.File, time.Duration) bool { return false } // while they come
				for i, p := range parts {
					a.add(t, i, p.bytes, p.within)
				}
				a.rests = forEver
				before := len(a.files)
				a.compact(t)
				again := float64(a.merged) / float64(a.written)
				t.Logf("%d files became %d; written again %.1f times", before, len(a.files), again)
				if overlap(a.files) && !strings.HasPrefix(name, inOneDay) {
					t.Errorf("%d files overlap", len(a.files))
				}
				if most := 2*len(parts) + int(a.written/(targetBytes/4)); len(a.files) > most {
					t.Errorf("there are %d files, more than %d", len(a.files), most)
				}
				if again > 20 {
					t.Errorf("a byte was written again %.1f times", again)
				}
			})
		}
	}
}
