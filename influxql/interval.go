package influxql

import (
	"fmt"
	"strings"
	"time"

	"github.com/influxdata/influxql"
)

// interval is GROUP BY time. Within the SQL of a statement, times are nanoseconds since the
// epoch, and a bucket is known by a key: where it begins, in UTC, or, in a time zone, in the
// zone's own clock, in which days are of equal length. So keys are always width apart.
type interval struct {
	width, offset int64 // nanoseconds; width is 0 without GROUP BY time
	zone          *time.Location
}

// intervalOf reads the dimensions of a statement, and puts constants in the place of now().
func intervalOf(stmt *influxql.SelectStatement, now time.Time) (interval, error) {
	var found interval
	for _, d := range stmt.Dimensions {
		d.Expr = influxql.Reduce(d.Expr, nil)
		switch e := d.Expr.(type) {
		case *influxql.VarRef:
			if isTime(e.Val) {
				return found, refuse("time() is a function and expects at least one argument")
			}
		case *influxql.Wildcard, *influxql.RegexLiteral:
		case *influxql.Call:
			if found.width != 0 {
				return found, refuse("multiple time dimensions not allowed")
			}
			var err error
			if found, err = timeDimension(e, now, stmt.Location); err != nil {
				return found, err
			}
		default:
			return found, refuse("only time and tag dimensions allowed")
		}
	}
	return found, nil
}

func timeDimension(call *influxql.Call, now time.Time, zone *time.Location) (interval, error) {
	if call.Name != "time" {
		return interval{}, refuse("only time() calls allowed in dimensions")
	}
	if len(call.Args) < 1 || len(call.Args) > 2 {
		return interval{}, refuse("time dimension expected 1 or 2 arguments")
	}
	width, ok := call.Args[0].(*influxql.DurationLiteral)
	if !ok {
		return interval{}, refuse("time dimension must have duration argument")
	}
	if width.Val <= 0 {
		return interval{}, refuse("time dimension must have a positive duration")
	}
	found := interval{width: int64(width.Val), zone: zone}
	if len(call.Args) == 2 {
		var err error
		found.offset, err = timeOffset(call.Args[1], width.Val, now, zone)
		return found, err
	}
	return found, nil
}

func timeOffset(e influxql.Expr, width time.Duration, now time.Time, zone *time.Location) (int64, error) {
	var at time.Time
	switch e := e.(type) {
	case *influxql.DurationLiteral:
		return int64(e.Val % width), nil
	case *influxql.TimeLiteral:
		at = e.Val
	case *influxql.Call:
		if e.Name != "now" {
			return 0, refuse("time dimension offset function must be now()")
		}
		if len(e.Args) != 0 {
			return 0, refuse("time dimension offset now() function requires no arguments")
		}
		at = now
	case *influxql.StringLiteral:
		if !e.IsTimeLiteral() {
			return 0, refuse("time dimension offset must be duration or now()")
		}
		t, err := e.ToTimeLiteral(zone)
		if err != nil {
			return 0, refuse("%s", err)
		}
		at = t.Val
	default:
		return 0, refuse("time dimension offset must be duration or now()")
	}
	return int64(at.Sub(at.Truncate(width))), nil
}

func floorMod(a, b int64) int64 {
	if m := a % b; m < 0 {
		return m + b
	} else {
		return m
	}
}

// zoned reports whether keys are in the clock of a time zone.
func (i interval) zoned() bool {
	return i.zone != nil && i.zone != time.UTC && i.width > int64(time.Hour)
}

// key is the bucket of a time.
func (i interval) key(ns int64) int64 {
	if i.zoned() {
		_, seconds := time.Unix(0, ns).In(i.zone).Zone()
		ns += int64(seconds) * int64(time.Second)
	}
	return ns - floorMod(ns-i.offset-i.shift(), i.width)
}

// shift is what a zone moves buckets of an hour or less by, in which a change of its clock by
// an hour shows in nothing.
func (i interval) shift() int64 {
	if i.zone == nil || i.zoned() {
		return 0
	}
	_, seconds := time.Unix(0, 0).In(i.zone).Zone()
	return -int64(seconds) * int64(time.Second)
}

// keySQL writes the bucket of the times in a column.
func (i interval) keySQL(t string, low, high int64) string {
	if i.zoned() {
		t = "(" + t + " + " + zoneSQL(t, i.zone, low, high) + ")"
	}
	back := floorMod(i.offset+i.shift(), i.width)
	// SQL's % has the sign of what is divided, so that it is made positive first.
	from := t
	if back != 0 {
		from = fmt.Sprintf("(%s - %d)", t, back)
	}
	return fmt.Sprintf("%s - ((%s %% %d) + %d) %% %d", t, from, i.width, i.width, i.width)
}

// startSQL writes the time at which the bucket of a key begins. A time of the zone's clock that
// is skipped is read as if the clock had not been changed yet, and of one that comes twice
// the first is meant.
func (i interval) startSQL(k string, low, high int64) string {
	if !i.zoned() {
		return k
	}
	changes, offsets := zoneChanges(i.zone, low, high)
	for c := range changes {
		changes[c] += max(offsets[c], offsets[c+1])
	}
	var b strings.Builder
	b.WriteString("(" + k + " - ")
	writeSteps(&b, k, changes, offsets)
	b.WriteString(")")
	return b.String()
}

// zoneSQL writes a zone's offset from UTC at a time, in nanoseconds.
func zoneSQL(t string, zone *time.Location, low, high int64) string {
	var b strings.Builder
	changes, offsets := zoneChanges(zone, low, high)
	writeSteps(&b, t, changes, offsets)
	return b.String()
}

// zoneChanges lists the instants at which a zone's offset changes, and the offsets before, between
// and behind them. Where a range of time has no bound, it knows those from 1970 to 2038.
func zoneChanges(zone *time.Location, low, high int64) (changes, offsets []int64) {
	const margin = int64(400 * 24 * time.Hour)
	from, to := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC)
	if low > influxql.MinTime+2*margin {
		from = time.Unix(0, low-margin)
	}
	if high < influxql.MaxTime-2*margin {
		to = time.Unix(0, high+margin)
	}
	at := from.In(zone)
	_, seconds := at.Zone()
	offsets = append(offsets, int64(seconds)*int64(time.Second))
	for {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.After(to) {
			return changes, offsets
		}
		at = end
		_, seconds = at.Zone()
		changes = append(changes, at.UnixNano())
		offsets = append(offsets, int64(seconds)*int64(time.Second))
	}
}

// writeSteps writes a tree of comparisons that finds the offset at a time.
func writeSteps(b *strings.Builder, t string, changes, offsets []int64) {
	if len(changes) == 0 {
		b.WriteString("(" + fmt.Sprint(offsets[0]) + ")")
		return
	}
	middle := len(changes) / 2
	fmt.Fprintf(b, "(CASE WHEN %s < %d THEN ", t, changes[middle])
	writeSteps(b, t, changes[:middle], offsets[:middle+1])
	b.WriteString(" ELSE ")
	writeSteps(b, t, changes[middle+1:], offsets[middle+1:])
	b.WriteString(" END)")
}
