package engine

import (
	"math"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Trimming
//
// A file goes whole when all of its rows have expired. Files of tables with few rows cover many days, and
// would keep them all as long as their last one. So whatever is merged leaves expired rows out, and a file of which half
// has expired is written again for that alone (choice.expired). A row is written again for that once at most, as the file
// is half as long each time.
//
// What is left out must not come back older with a longer period. A file that was written before an input, that
// overlaps with it and that is no input may have an older value of a point that is left out, so the merge leaves out only what lies
// before all such files (expiry.limit). Buffers hold later values than files. Of a LatestByTag table another time is another
// version, so that there only what lies before all that stays may go.

// leastTrimmed is how much of a file must have expired: one that goes whole within a day is left alone.
const leastTrimmed = schema.NanosPerDay

// expiry is what a merge needs to know of a retention period.
type expiry struct {
	now   int64
	floor int64 // the first instant that is kept
	// versions says that the rows of other times hide each other too; buffered is the first time of a
	// row that is in no file then.
	versions bool
	buffered int64
}

// expiryOf returns what is to be known of the retention period of a table at a time, nil if it keeps its rows for ever.
func expiryOf(def *schema.Table, t *table, floor, now int64) *expiry {
	if floor == math.MinInt64 {
		return nil
	}
	x := &expiry{now: now, floor: floor, versions: def.Key.Rule == schema.LatestByTag, buffered: math.MaxInt64}
	if x.versions {
		x.buffered = t.firstBuffered()
	}
	return x
}

// expiryNow is expiryOf for the table's own period, by the clock as far as that is believed.
func (e *Engine) expiryNow(def *schema.Table, t *table) *expiry {
	now := e.clock.within(e.clock.now())
	return expiryOf(def, t, e.keepsRollups(t, e.floorAt(def, now)), now)
}

// floorAt returns the first instant that a table keeps at a time.
func (e *Engine) floorAt(def *schema.Table, now int64) int64 {
	if d, ok := e.catalog.Schema().DatabaseByID(def.Database); ok {
		return floorOf(d.RetentionOf(def), now)
	}
	return math.MinInt64
}

// floorNow returns the first instant that a table keeps, by the clock as far as that is believed.
func (e *Engine) floorNow(def *schema.Table) int64 {
	return e.floorAt(def, e.clock.within(e.clock.now()))
}

// limit returns the instant before which a merge of inputs may leave rows out. All are by Order.
func (x *expiry) limit(files, inputs []*schema.File) int64 {
	limit := min(x.floor, x.buffered)
	for i, g := range files {
		if g.Time.Min < limit && !slices.Contains(inputs, g) && x.mayUncover(files[i+1:], inputs, g) {
			limit = g.Time.Min
		}
	}
	return limit
}

// mayUncover reports whether a file may show an older value, or version, of a row that is left out of an input.
func (x *expiry) mayUncover(later, inputs []*schema.File, g *schema.File) bool {
	return x.versions || slices.ContainsFunc(inputs, func(f *schema.File) bool {
		return f.Time.Overlaps(g.Time) && slices.Contains(later, f)
	})
}

// isWorth reports whether a file is to be written again only to leave out what lies before limit. Its rows are taken to
// lie evenly in its time, of which the future counts nothing.
func (x *expiry) isWorth(f *schema.File, limit int64) bool {
	return expiredShare(f, limit, x.now) >= 0.5 && float64(limit)-float64(f.Time.Min) >= float64(leastTrimmed)
}

// expiredShare guesses how much of a file lies before limit.
func expiredShare(f *schema.File, limit, now int64) float64 {
	if f.Time.Min >= limit {
		return 0
	}
	from, to := float64(f.Time.Min), float64(min(f.Time.Max, max(now, limit)))
	return min(1, (float64(limit)-from)/(to-from))
}

// clip leaves out of the files of a merge what lies before an instant.
func (c *compaction) clip(before int64) {
	first := slices.MinFunc(c.inputs, byTime)
	if first.Time.Min >= before {
		return
	}
	c.before = before
	c.pieces = slices.DeleteFunc(c.pieces, func(r schema.TimeRange) bool { return r.Max < before })
	for i := range c.pieces {
		c.pieces[i].Min = max(c.pieces[i].Min, before)
	}
}

// expired looks for a file that is to be written again without its expired rows.
func (x *choice) expired() *compaction {
	if x.expiry == nil {
		return nil
	}
	for _, f := range x.files {
		if c := x.trim(f); c != nil {
			return c
		}
	}
	return nil
}

// trim writes a file again without its expired rows, together with those that would not allow it alone; nil if
// that is not worth it, or cannot be done.
func (x *choice) trim(f *schema.File) *compaction {
	if !x.expiry.isWorth(f, x.expiry.floor) {
		return nil
	}
	inputs := []*schema.File{f}
	for _, g := range x.files[:x.rank[f.ID]] {
		if g.Time.Min < x.expiry.floor && g.Time.Overlaps(f.Time) {
			inputs = append(inputs, g)
		}
	}
	for _, some := range [][]*schema.File{inputs, {f}} {
		if c := x.merge(some, reasonExpired); c != nil && x.expiry.isWorth(f, c.before) {
			return c
		}
	}
	return nil
}
