package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// filledRow is a row that gap filling answers: nil stands for null.
type filledRow struct {
	group             string
	at                int64
	sum, locf, linear *float64
}

// modelGapfill is the model: the sums of each bin, the last one, and the line between two.
func modelGapfill(rows []row, g grid, from, to int64) []filledRow {
	sums := map[string]map[int64]float64{}
	for _, r := range rows {
		if r.at < from || r.at > to {
			continue
		}
		group := r.tags["host"]
		if sums[group] == nil {
			sums[group] = map[int64]float64{}
		}
		if v, ok := r.fields["v"].(float64); ok {
			sums[group][g.begin(r.at)] += v
		}
	}
	var bins []int64
	for at := g.begin(from); at <= to; {
		bins = append(bins, at)
		at, _ = g.width.add(at)
	}
	var filled []filledRow
	for _, group := range slices.Sorted(func(yield func(string) bool) {
		for group := range sums {
			if !yield(group) {
				return
			}
		}
	}) {
		filled = append(filled, modelGroup(group, sums[group], bins)...)
	}
	return filled
}

func modelGroup(group string, sums map[int64]float64, bins []int64) []filledRow {
	var filled []filledRow
	for i, at := range bins {
		r := filledRow{group: group, at: at}
		before, after := -1, -1
		for k, other := range bins {
			if _, ok := sums[other]; ok && k <= i {
				before = k
			} else if ok && after < 0 {
				after = k
			}
		}
		if v, ok := sums[at]; ok {
			r.sum, r.locf, r.linear = &v, &v, &v
		} else if before >= 0 {
			v := sums[bins[before]]
			r.locf = &v
			if after >= 0 {
				next := sums[bins[after]]
				line := v + (next-v)*float64(at-bins[before])/float64(bins[after]-bins[before])
				r.linear = &line
			}
		}
		filled = append(filled, r)
	}
	return filled
}

func (r filledRow) String() string {
	text := fmt.Sprintf("%s|%d", r.group, r.at)
	for _, v := range []*float64{r.sum, r.locf, r.linear} {
		if v == nil {
			text += "|(null)"
		} else {
			text += "|" + strconv.FormatFloat(*v, 'g', -1, 64)
		}
	}
	return text
}

// isNear compares two rows as text, numbers with the tolerance of their computation.
func isNear(a, b string) bool {
	left, right := strings.Split(a, "|"), strings.Split(b, "|")
	for i := range left {
		x, errX := strconv.ParseFloat(left[i], 64)
		y, errY := strconv.ParseFloat(right[i], 64)
		if i < 2 || errX != nil || errY != nil {
			if left[i] != right[i] {
				return false
			}
		} else if math.Abs(x-y) > 1e-9*max(1, math.Abs(x)) {
			return false
		}
	}
	return true
}

// TestGapsAreFilledAsTheModelFillsThem draws points, bins, origins and bounds.
func TestGapsAreFilledAsTheModelFillsThem(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag v:float")
	q := s.querier()
	rapid.Check(t, func(r *rapid.T) {
		width := rapid.SampledFrom([]string{"1 minute", "7 seconds", "90 minutes", "1 day", "1 month", "2 months", "999999937 nanoseconds"}).Draw(r, "width")
		unit, _ := parseSpan(width)
		length := max(unit.ns, unit.months*30*24*int64(time.Hour))
		origin := time.Unix(0, rapid.Int64Range(0, 2e18).Draw(r, "origin")).UTC()
		if origin.Day() > 28 {
			origin = origin.AddDate(0, 0, -3)
		}
		g, err := newGrid(unit, origin.UnixNano())
		if err != nil {
			r.Fatal(err)
		}
		var rows []row
		for range rapid.IntRange(0, 12).Draw(r, "points") {
			p := row{at: epoch + rapid.Int64Range(-10*length, 10*length).Draw(r, "at"), tags: map[string]string{}, fields: map[string]any{}}
			p.tags["host"] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "host")
			p.fields["v"] = float64(rapid.IntRange(-100, 100).Draw(r, "v"))
			if slices.ContainsFunc(rows, func(o row) bool { return o.at == p.at && o.tags["host"] == p.tags["host"] }) {
				continue
			}
			rows = append(rows, p)
		}
		v.Buffers = nil
		if len(rows) > 0 {
			s.addBuffer(v, rows, 5)
		}
		from := epoch + rapid.Int64Range(-12*length, 5*length).Draw(r, "from")
		to := from + rapid.Int64Range(0, 15*length).Draw(r, "length")
		where := drawBounds(r, from, to)
		sql := fmt.Sprintf(`SELECT host, epoch_ns(t), s, l, i FROM (SELECT host, date_bin_gapfill('%s', time, '%s') AS t, sum(v) AS s, locf(sum(v)) AS l, interpolate(sum(v)) AS i
			FROM cpu WHERE %s GROUP BY 1, date_bin_gapfill('%[1]s', time, '%[2]s')) ORDER BY ALL`, width, origin.Format(time.RFC3339Nano), where)
		got, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		if err != nil {
			r.Fatalf("%s: %v", sql, err)
		}
		want := modelGapfill(rows, g, from, to)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || !isNear(got[i], want[i].String()) {
				r.Fatalf("%s\n row %d\n got %q\nwant %v", sql, i, got, want)
			}
		}
	})
}

// drawBounds writes inclusive bounds on time in one of several ways.
func drawBounds(r *rapid.T, from, to int64) string {
	text := func(ns int64) string { return "'" + time.Unix(0, ns).UTC().Format(time.RFC3339Nano) + "'" }
	return rapid.SampledFrom([]string{
		"time >= " + text(from) + " AND time <= " + text(to), "time > " + text(from-1) + " AND time < " + text(to+1),
		"time BETWEEN " + text(from) + " AND " + text(to), text(from) + " <= cpu.time AND v < 1000 AND " + text(to) + "::TIMESTAMP >= time",
		fmt.Sprintf("time >= to_timestamp_nanos(%d) AND time < to_timestamp_nanos(%d)", from, to+1),
	}).Draw(r, "bounds")
}

// The bins of a gap are a list, whose memory DuckDB does not count.
func TestTooManyBinsAreRefused(t *testing.T) {
	q := influxqlStore(t).influxQuerier()
	size := residentSize()
	for _, where := range []string{
		"time >= '1970-01-01'", "time < '2024-01-01'", "time >= '1970-01-01' AND time < '2024-01-01'",
	} {
		r, err := q.Query(t.Context(), Request{Database: "t", SQL: "SELECT date_bin_gapfill(INTERVAL '1 microsecond', time) AS bin, avg(x) FROM m WHERE " + where + " GROUP BY bin"})
		if err == nil {
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "date_bin_gapfill would fill ") {
			t.Errorf("WHERE %s: %v", where, err)
		}
	}
	if grown := residentSize() - size; grown > 256<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

// Distances in time are measured to the nanosecond.
func TestInterpolationIsExactInNarrowBins(t *testing.T) {
	s := newStore(t)
	const at = 1_700_000_000_000_000_001
	s.addBuffer(s.table("t", "m", "x:float"), []row{
		{at, nil, map[string]any{"x": 0.0}}, {at + 10, nil, map[string]any{"x": 10.0}},
	}, 10)
	got, err := tryAnswer(t, s.influxQuerier(), Request{Database: "t", SQL: `SELECT i FROM (
		SELECT date_bin_gapfill(INTERVAL '1 nanosecond', time) AS bin, interpolate(avg(x)) AS i FROM m GROUP BY bin) ORDER BY bin`})
	if want := "0 1 2 3 4 5 6 7 8 9 10"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}
