package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestEachFieldOfAnyLineIsKept writes requests of lines whose fields vary, to four tables and three days in turns, new points
// and old ones: every value is in the buffers and in the files. Lines take the quick way and the slow one, and
// batches with and without a column take turns.
func TestEachFieldOfAnyLineIsKept(t *testing.T) {
	for n := range uint64(60) {
		rng, fs := rand.New(rand.NewPCG(*seedFlag+n, 7)), vfs.NewMem()
		e, want := open(t, fs), make(contents)
		type point struct {
			series string
			ns     int64
		}
		var points []point
		for count := int64(1); count < 1000; {
			var lines []string
			for used := make(map[point]bool); len(used) < 1+rng.IntN(50); count++ {
				table := [...]string{"cpu", "disk", "mem", "net"}[rng.IntN(4)]
				p := point{fmt.Sprintf("%s,series=%d,writer=%d", table, rng.IntN(8), rng.IntN(8)), rng.Int64N(3)*day + count}
				if len(points) > 300 || len(points) > 0 && rng.IntN(5) == 0 {
					p = points[rng.IntN(len(points))]
				}
				if used[p] {
					continue
				}
				used[p] = true
				points = append(points, p)
				r := row{series: p.series, ns: p.ns, fields: map[string]any{"a": count}}
				if rng.IntN(2) == 0 {
					r.fields["b"] = float64(count) + 0.5
				}
				if rng.IntN(2) == 0 {
					r.fields["s"] = fmt.Sprint("line ", count)
				}
				lines = append(lines, r.line())
				want.merge(fmt.Sprint(r.series, " ", r.ns), r.fields)
			}
			write(t, e, lines...)
		}
		expect(t, e, fs, want)
		flush(t, e)
		expect(t, e, fs, want)
		closeEngine(t, e)
	}
}

// TestFieldsAreExpectedOfTheRightBatch: a batch that lacks a column of the fields that are expected leaves those of
// the batch before it as they were.
func TestFieldsAreExpectedOfTheRightBatch(t *testing.T) {
	fs := vfs.NewMem()
	e, want := open(t, fs), make(contents)
	defer closeEngine(t, e)
	var lines []string
	add := func(ns int64, names ...string) {
		r := row{series: "m,k=a", ns: ns, fields: make(map[string]any)}
		for _, name := range names {
			r.fields[name] = int64(len(lines))
		}
		lines = append(lines, r.line())
		want.merge(fmt.Sprint(r.series, " ", r.ns), r.fields)
	}
	for i := range int64(20) {
		add(i, "a", "b")
	}
	add(day, "a")
	for i := range int64(2) {
		add(day+1+i, "a", "b")
		add(20+2*i, "a", "b")
		add(21+2*i, "a", "b")
	}
	write(t, e, lines...)
	expect(t, e, fs, want)
}
