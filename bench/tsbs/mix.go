package tsbs

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// MixTables are the tables of Mix: what TSBS's devops case writes.
var MixTables = datasets.DevOps.Tables

// Mix returns the bundled sample of TSBS's devops case over and over, each time later,
// at most perBody lines a body: nine measurements with different fields, floats among
// them. The values of each round are those of the first.
func Mix(rounds, perBody int) ([]Body, error) {
	return Again(datasets.DevOps, 1, DefaultInterval, rounds, perBody)
}

// Again returns rounds of a bundled set, at most perBody lines a body; see NewRounds.
func Again(set datasets.Set, divisor int64, step time.Duration, rounds, perBody int) ([]Body, error) {
	r, err := NewRounds(set, divisor, step)
	if err != nil {
		return nil, err
	}
	var bodies []Body
	left := 0 // lines that the last body still takes
	for round := range rounds {
		for _, l := range r.lines {
			if left == 0 {
				bodies = append(bodies, Body{Text: make([]byte, 0, perBody*r.mean)})
				left = perBody
			}
			b := &bodies[len(bodies)-1]
			b.Text = r.append(b.Text, l, round)
			b.Rows++
			left--
		}
	}
	return bodies, nil
}

// Rounds makes a bundled set over and over, each time later.
type Rounds struct {
	lines   []sampleLine
	first   int64 // time in the set
	divisor int64
	span    int64 // of a round
	mean    int   // length of a line
}

// NewRounds prepares a set. The times of a set with days between two points are divided, so that its
// rows lie as close as those of a set made by machines; step is the time between two points then, and what
// follows the last of a round.
func NewRounds(set datasets.Set, divisor int64, step time.Duration) (*Rounds, error) {
	sample, err := set.Bytes()
	if err != nil {
		return nil, err
	}
	lines, err := splitLines(sample)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", set.Name, err)
	}
	unit := int64(1)
	if set.Precision == "second" {
		unit = int64(time.Second)
	}
	r := &Rounds{lines: lines, first: lines[0].time, divisor: divisor, mean: len(sample)/len(lines) + 1}
	last := r.first
	for _, l := range lines {
		r.first, last = min(r.first, l.time), max(last, l.time)
	}
	r.span = (last-r.first)/divisor + int64(step)/unit
	return r, nil
}

// Keep has a round take some time, of which it leaves out the lines that keep does not want, whose text ends
// before the time stamp. It expects nanoseconds.
func (r *Rounds) Keep(span time.Duration, keep func(text []byte) bool) {
	r.span = int64(span)
	r.lines = slices.DeleteFunc(r.lines, func(l sampleLine) bool {
		return (l.time-r.first)/r.divisor >= r.span || !keep(l.text)
	})
}

// Start is the time of the first point in the set's precision.
func (r *Rounds) Start() int64 { return r.first }

// Append appends the lines of one round and returns how many they are.
func (r *Rounds) Append(dst []byte, round int) (text []byte, lines int) {
	for _, l := range r.lines {
		dst = r.append(dst, l, round)
	}
	return dst, len(r.lines)
}

func (r *Rounds) append(dst []byte, l sampleLine, round int) []byte {
	dst = append(dst, l.text...)
	dst = strconv.AppendInt(dst, r.first+(l.time-r.first)/r.divisor+int64(round)*r.span, 10)
	return append(dst, '\n')
}

// sampleLine is a line cut before its time stamp.
type sampleLine struct {
	text []byte
	time int64
}

func splitLines(sample []byte) ([]sampleLine, error) {
	var lines []sampleLine
	for text := range bytes.Lines(sample) {
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		cut := bytes.LastIndexByte(text, ' ') + 1
		ns, err := strconv.ParseInt(string(text[cut:]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, sampleLine{text[:cut], ns})
	}
	return lines, nil
}
