package engine

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Which files are merged
//
// A table's files come in all sizes: one for each day and flush, one for many sparse days, or
// with history that was written in any order. The policy bounds their number, and in the end
// leaves files that do not overlap in time, because only such are read without merging
// rows. Five rules, of which the first that applies wins:
//
//   - Many similar files. Sizes are levels, each of files four times as large as the one below.
//     Four neighbours of a level become one file, with smaller ones between them. Neighbours
//     are files of one day, in the order of time or else of writing, and files of several days that overlap. So a row is written again once for each
//     level, and no more than three files of a level stay. Where memory does not allow it, fewer
//     files are merged at once, and more often.
//   - A cold day, to which no file was added for coldAfter, becomes one file, or as many as its
//     size asks for, with what else overlaps with it. A few late rows do not make a large file be
//     written again before they have waited for oldAfter, and then all that are late for it are merged with it
//     at once. A file that cannot be merged with what it overlaps with is cut first (compact_split.go).
//   - Small files of any days are joined, four of a level. This comes behind what overlaps, so that nothing is joined
//     that has to be cut.
//   - A file with rows that were deleted is written again without them, when for some time nothing
//     more was deleted.
//   - A file of which half has expired is written again without that half (retention_trim.go).
//
// What keeps it sound. A merge takes the place of its inputs, with the greatest Order of
// them, so that no other file may hold rows of one of their points that were written
// between them: of a file that overlaps with an input the Order is less than the input's, or
// greater than that of all inputs. And since a salvage goes by what a file says of the log
// records in it, those of the inputs must say the truth together: no other file of their days
// has records among theirs (isSound), and a merge of several days only takes records that are
// flushed for all days (compactor.plan).

const (
	// compactFanout is how many files of a level are merged.
	compactFanout = 4
	// levelBytes is the size of the files of the lowest level, which are all written again for each few
	// that come. A gen1 file of a quiet table is hardly larger.
	levelBytes = 16 << 10
	// wideBytes is the size below which files of several days are as large as it.
	wideBytes = 1 << 20
	// sparseBytes is the size up to which files of different days are joined.
	sparseBytes = 8 << 20
	// targetBytes is the size beyond which a file is cut at days or, within one, at times.
	// Files of half of it are left alone unless they overlap.
	targetBytes = 256 << 20
	// lateFactor is how much larger a file may be than all that it is merged with soon.
	lateFactor = 4
	// maxMergeBytes bounds a merge. Files of several days that overlap with more are cut first (compact_split.go);
	// what overlaps by more within one day stays so.
	maxMergeBytes = 8 * targetBytes
	// maxMergeInputs bounds it too: each input takes memory. Memory may allow fewer.
	maxMergeInputs = 16
	// maxMergePieces bounds the files that a merge makes: each is a pass over the inputs.
	maxMergePieces = 16
)

// compaction is files that are to be merged, by Order, and the ranges of time of the files
// that they become.
type compaction struct {
	inputs []*schema.File
	pieces []schema.TimeRange
	reason compactionReason
	// before is the instant before which rows are left out, the least one if none are.
	before int64
}

type compactionReason string

const (
	reasonSimilar compactionReason = "similar files"
	reasonCold    compactionReason = "cold day"
	reasonDeleted compactionReason = "deleted rows"
	reasonExpired compactionReason = "expired rows"
	reasonSplit   compactionReason = "overlaps with too much"
)

// policy is what a choice depends on besides the files.
type policy struct {
	// rests reports whether a file has been there for some time.
	rests resting
	// hasDeleted reports whether a file may have rows that are to be left out of it; nil: none has.
	hasDeleted func(*schema.File) bool
	// expiry says which rows have expired; nil: none.
	expiry *expiry
	// fits reports whether there is memory for a merge of some files; two always fit.
	fits func([]*schema.File) bool
	// flushed is the record up to which the rows of all days are in files.
	flushed schema.Seq
	// refused are files that cannot be merged.
	refused map[schema.FileID]bool
}

// choose returns the next merge of a table, nil if there is nothing to do. The files are by
// Order.
func (p *policy) choose(files []*schema.File) *compaction {
	x := p.among(files)
	if c := x.similar(); c != nil {
		return c
	}
	if c := x.cold(); c != nil {
		return c
	}
	if c := x.joined(); c != nil {
		return c
	}
	if c := x.deleted(); c != nil {
		return c
	}
	return x.expired()
}

// choice is the choice among the files of one table.
type choice struct {
	*policy
	files []*schema.File // by Order
	rank  map[schema.FileID]int
}

func (p *policy) among(files []*schema.File) *choice {
	x := &choice{policy: p, files: files, rank: make(map[schema.FileID]int, len(files))}
	for i, f := range files {
		x.rank[f.ID] = i
	}
	return x
}

// levelOf returns the level of a file. Small ones of several days are one level: each lies in the way of
// many others.
func levelOf(f *schema.File) int {
	if f.DayMin != f.DayMax && f.Bytes < wideBytes {
		return wideLevel
	}
	return levelOfSize(f.Bytes)
}

// wideLevel is the level of small files of several days.
var wideLevel = levelOfSize(wideBytes)

func levelOfSize(n uint64) int { return bits.Len64(n/levelBytes) / 2 }

// areSmall reports whether files, some of them of a higher level than their size, are worth a merge: none is much larger than the
// others together.
func areSmall(files []*schema.File) bool {
	if len(files) < compactFanout {
		return false
	}
	isWide, largest := false, uint64(0)
	for _, f := range files {
		isWide = isWide || levelOf(f) > levelOfSize(f.Bytes)
		largest = max(largest, f.Bytes)
	}
	return isWide && largest <= (sizeOf(files)-largest)*lateFactor
}

func isSparse(f *schema.File) bool { return f.Bytes <= sparseBytes }

func byTime(a, b *schema.File) int {
	return cmp.Or(cmp.Compare(a.Time.Min, b.Time.Min), cmp.Compare(a.Time.Max, b.Time.Max), cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
}

// similar applies the first rule.
func (x *choice) similar() *compaction {
	days := make(map[schema.Day][]*schema.File)
	var wide []*schema.File
	for _, f := range x.files {
		if f.DayMin == f.DayMax {
			days[f.DayMin] = append(days[f.DayMin], f)
		} else {
			wide = append(wide, f)
		}
	}
	order := make([]schema.Day, 0, len(days))
	for day := range days {
		order = append(order, day)
	}
	slices.Sort(order)
	for _, day := range order {
		if c := x.similarOf(slices.SortedFunc(slices.Values(days[day]), byTime), always); c != nil {
			return c
		}
		if c := x.similarOf(days[day], always); c != nil {
			return c
		}
	}
	return x.similarOf(wide, func(a, b *schema.File) bool { return a.Time.Overlaps(b.Time) })
}

// joined applies the first rule to small files of different days. History that is being written would get between
// days that are joined at once.
func (x *choice) joined() *compaction {
	sorted := slices.SortedFunc(slices.Values(x.files), byTime)
	joins := func(f *schema.File) bool { return isSparse(f) && x.isCold(f) }
	return x.similarOf(sorted, func(a, b *schema.File) bool { return joins(a) && joins(b) })
}

func always(_, _ *schema.File) bool { return true }

// similarOf looks for neighbours of one level in a list.
func (x *choice) similarOf(list []*schema.File, areNeighbours func(a, b *schema.File) bool) *compaction {
	if len(list) < compactFanout {
		return nil
	}
	for level := range levelOfSize(targetBytes/2) + 1 {
		begin, exact := 0, 0
		for i := 0; i <= len(list); i++ {
			ends := i == len(list) || list[i].Bytes >= targetBytes/2 || levelOf(list[i]) > level
			if ends || i > begin && !areNeighbours(list[i-1], list[i]) || i-begin == maxMergeInputs {
				if exact >= compactFanout || level == wideLevel && areSmall(list[begin:i]) {
					if c := x.mergeSome(list[begin:i], reasonSimilar); c != nil {
						return c
					}
				}
				begin, exact = i, 0
				if ends {
					begin = i + 1
					continue
				}
			}
			if levelOf(list[i]) == level {
				exact++
			}
		}
	}
	return nil
}

// cold applies the second rule.
func (x *choice) cold() *compaction {
	var on []*schema.File // the day that is looked at, by time
	sorted := slices.SortedFunc(slices.Values(x.files), byTime)
	for at := 0; at < len(sorted); {
		day := sorted[at].DayMin
		on = slices.DeleteFunc(on, func(f *schema.File) bool { return f.DayMax < day })
		for ; at < len(sorted) && sorted[at].DayMin == day; at++ {
			on = append(on, sorted[at])
		}
		if c := x.coldDay(on); c != nil {
			return c
		}
	}
	return nil
}

// deleted applies the third rule.
func (x *choice) deleted() *compaction {
	for _, f := range x.files {
		if x.hasDeleted != nil && x.hasDeleted(f) {
			if c := x.merge([]*schema.File{f}, reasonDeleted); c != nil {
				return c
			}
		}
	}
	return nil
}

// coldDay merges what lies on a day, if that is worth it, and with it all that overlaps with the largest file of it:
// that one is not written again for each day.
func (x *choice) coldDay(on []*schema.File) *compaction {
	areOld, largest := true, on[0]
	for _, f := range on {
		if !x.isCold(f) {
			return nil
		}
		areOld = areOld && x.rests(f, oldAfter)
		if f.Bytes > largest.Bytes {
			largest = f
		}
	}
	if len(on) < 2 || sizeOf(on) > targetBytes && !overlap(on) {
		return nil
	}
	others := x.coldBeside(largest, on)
	if !areOld && largest.Bytes > (sizeOf(on)+sizeOf(others)-largest.Bytes)*lateFactor {
		return nil
	}
	for n := min(len(others), maxMergeInputs-len(on)); n > 0; n /= 2 {
		if c := x.merge(slices.Concat(on, others[:n]), reasonCold); c != nil {
			return c
		}
	}
	byOrder := slices.SortedFunc(slices.Values(on), func(a, b *schema.File) int { return cmp.Compare(x.rank[a.ID], x.rank[b.ID]) })
	for _, files := range [2][]*schema.File{on, byOrder} {
		if c := x.mergeSome(files, reasonCold); c != nil {
			return c
		}
	}
	return x.split(on)
}

// coldBeside returns the cold files that overlap with one, besides those of a day, by time.
func (x *choice) coldBeside(f *schema.File, on []*schema.File) []*schema.File {
	var beside []*schema.File
	for _, g := range x.files {
		if g.Time.Overlaps(f.Time) && x.isCold(g) && !x.refused[g.ID] && !slices.Contains(on, g) {
			beside = append(beside, g)
		}
	}
	slices.SortFunc(beside, byTime)
	return beside
}

// mergeSome merges neighbours, or else half of them, the smaller half first. Half of them must become fewer
// files; what overlaps with others may go on doing so.
func (x *choice) mergeSome(files []*schema.File, reason compactionReason) *compaction {
	if c := x.merge(files, reason); c != nil {
		return c
	}
	if len(files) <= 2 {
		return nil
	}
	halves := [2][]*schema.File{files[:len(files)/2], files[len(files)/2:]}
	if sizeOf(halves[1]) < sizeOf(halves[0]) {
		halves[0], halves[1] = halves[1], halves[0]
	}
	for _, half := range halves {
		if c := x.mergeSome(half, reason); c != nil && len(c.pieces) < len(c.inputs) {
			return c
		}
	}
	return nil
}

func (p *policy) isCold(f *schema.File) bool { return p.rests(f, coldAfter) }

func sizeOf(files []*schema.File) (bytes uint64) {
	for _, f := range files {
		bytes += f.Bytes
	}
	return bytes
}

// merge makes a merge of some files and of those without which it would not be sound, nil
// if it is too large.
func (x *choice) merge(files []*schema.File, reason compactionReason) *compaction {
	inputs := slices.Clone(files)
	slices.SortFunc(inputs, func(a, b *schema.File) int { return cmp.Compare(x.rank[a.ID], x.rank[b.ID]) })
	for {
		added := x.missing(inputs)
		if len(added) == 0 {
			break
		}
		inputs = append(inputs, added...)
		if len(inputs) > maxMergeInputs {
			return nil
		}
		slices.SortFunc(inputs, func(a, b *schema.File) int { return cmp.Compare(x.rank[a.ID], x.rank[b.ID]) })
	}
	total, isOne := sizeOf(inputs), true
	for _, f := range inputs {
		isOne = isOne && f.DayMin == f.DayMax && f.DayMin == inputs[0].DayMin
		if x.refused[f.ID] || f.Seq.Max == 0 || reason == reasonCold && !x.isCold(f) {
			return nil
		}
	}
	for _, f := range inputs {
		if !isOne && len(inputs) > 1 && f.Seq.Max > x.flushed {
			return nil
		}
	}
	isRewrite := reason == reasonDeleted || reason == reasonExpired
	if len(inputs) < 2 && !isRewrite || len(inputs) > 1 && total > maxMergeBytes || len(inputs) > maxMergeInputs || len(inputs) > 2 && !x.fits(inputs) {
		return nil
	}
	c := &compaction{inputs: inputs, pieces: cutMerge(inputs, total, reason), reason: reason, before: math.MinInt64}
	if !isRewrite && len(c.pieces) >= len(inputs) && !overlap(inputs) {
		return nil // nothing would be gained
	}
	if !isRewrite && !isOne && x.rejoins(inputs) {
		return nil
	}
	if x.expiry != nil {
		c.clip(x.expiry.limit(x.files, inputs))
	}
	return c
}

// rejoins reports whether inputs that do not overlap have been one file, and would overlap with others as such again. Cutting and
// joining would have no end.
func (x *choice) rejoins(inputs []*schema.File) bool {
	if overlap(inputs) {
		return false
	}
	orders, all := make(map[uint64]bool), inputs[0].Time
	for _, f := range inputs {
		orders[f.Order] = true
		all = schema.TimeRange{Min: min(all.Min, f.Time.Min), Max: max(all.Max, f.Time.Max)}
	}
	return len(orders) < len(inputs) && slices.ContainsFunc(x.files, func(g *schema.File) bool {
		return g.Time.Overlaps(all) && !slices.Contains(inputs, g)
	})
}

func overlap(files []*schema.File) bool {
	sorted := slices.SortedFunc(slices.Values(files), byTime)
	last := sorted[0].Time.Max
	for _, f := range sorted[1:] {
		if f.Time.Min <= last {
			return true
		}
		last = f.Time.Max
	}
	return false
}

// missing returns the files that stand between the inputs.
func (x *choice) missing(inputs []*schema.File) []*schema.File {
	var added []*schema.File
	for _, g := range x.files {
		if !slices.Contains(inputs, g) && !isSound(inputs, g) {
			added = append(added, g)
		}
	}
	return added
}

// isSound reports whether a merge of inputs, which are by Order, may leave a file out.
func isSound(inputs []*schema.File, g *schema.File) bool {
	last := inputs[len(inputs)-1]
	seq := inputs[0].Seq
	days := [2]schema.Day{inputs[0].DayMin, inputs[0].DayMax}
	for _, f := range inputs {
		// The merge gets in front of what has the last Order, whatever its id.
		if f.Time.Overlaps(g.Time) && (g.Order > f.Order || g.Order == f.Order && g.ID > f.ID) && g.Order <= last.Order {
			return false
		}
		seq = schema.SeqRange{Min: min(seq.Min, f.Seq.Min), Max: max(seq.Max, f.Seq.Max)}
		days = [2]schema.Day{min(days[0], f.DayMin), max(days[1], f.DayMax)}
	}
	onTheirDays := g.DayMin <= days[1] && g.DayMax >= days[0]
	return !onTheirDays || g.Seq.Max < seq.Min || g.Seq.Min > seq.Max
}

// cutMerge returns the ranges of time of the files that a merge makes. The first begins and the last
// ends where time does.
func cutMerge(inputs []*schema.File, total uint64, reason compactionReason) []schema.TimeRange {
	least := uint64(targetBytes)
	if reason == reasonCold {
		least = max(sparseBytes, total/maxMergePieces)
	}
	if total <= least {
		return []schema.TimeRange{schema.MaxTimeRange}
	}
	var borders []int64 // a range begins at each
	filled := uint64(0)
	for _, d := range bytesByDay(inputs) {
		if filled >= least || filled > 0 && filled+d.bytes > targetBytes {
			borders = append(borders, startOf(d.day))
			filled = 0
		}
		filled += d.bytes
		if parts := int64(d.bytes / targetBytes); parts > 0 { // a day too large for one file
			borders = append(borders, evenBorders(within(inputs, d.day), parts)...)
			filled = least
		}
	}
	return rangesBetween(borders)
}

// within returns the part of a day in which files have rows.
func within(files []*schema.File, day schema.Day) schema.TimeRange {
	all := files[0].Time
	for _, f := range files {
		all = schema.TimeRange{Min: min(all.Min, f.Time.Min), Max: max(all.Max, f.Time.Max)}
	}
	begin := startOf(day)
	return schema.TimeRange{Min: max(all.Min, begin), Max: min(all.Max, begin+schema.NanosPerDay-1)}
}

// evenBorders returns n times that cut a range into parts of one length, fewer if it is short.
func evenBorders(within schema.TimeRange, n int64) (borders []int64) {
	step := int64(uint64(within.Max-within.Min) / uint64(n+1))
	for i := int64(1); i <= n && step > 0; i++ {
		borders = append(borders, within.Min+step*i)
	}
	return borders
}

func rangesBetween(borders []int64) []schema.TimeRange {
	ranges := []schema.TimeRange{schema.MaxTimeRange}
	for _, at := range borders {
		ranges[len(ranges)-1].Max = at - 1
		ranges = append(ranges, schema.TimeRange{Min: at, Max: schema.MaxTimeRange.Max})
	}
	return ranges
}

// startOf returns the first instant of a day. Time begins within the first one.
func startOf(d schema.Day) int64 {
	if d <= schema.DayOf(schema.MaxTimeRange.Min) {
		return schema.MaxTimeRange.Min
	}
	return int64(d) * schema.NanosPerDay
}

type dayBytes struct {
	day   schema.Day
	bytes uint64
}

// bytesByDay guesses how much there is of each day: a file's bytes lie evenly on its days.
// A guess that is wrong makes files smaller or larger, and nothing else.
func bytesByDay(files []*schema.File) []dayBytes {
	first, last := files[0].DayMin, files[0].DayMax
	for _, f := range files {
		first, last = min(first, f.DayMin), max(last, f.DayMax)
	}
	step := max(1, (int64(last)-int64(first)+1)/1024) // centuries of sparse days are not counted one by one
	var days []dayBytes
	for at := int64(first); at <= int64(last); at += step {
		d := dayBytes{day: schema.Day(at)}
		for _, f := range files {
			from, to := max(at, int64(f.DayMin)), min(at+step-1, int64(f.DayMax))
			if from <= to {
				d.bytes += f.Bytes / uint64(int64(f.DayMax)-int64(f.DayMin)+1) * uint64(to-from+1)
			}
		}
		days = append(days, d)
	}
	return days
}
