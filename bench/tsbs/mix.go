package tsbs

import (
	"bytes"
	"fmt"
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

// Again returns a bundled set over and over, each time later. The times of a set with days between
// two points are divided, so that its rows lie as close as those of a set made by machines;
// step is the time between two points then, and what follows the last of a round.
func Again(set datasets.Set, divisor int64, step time.Duration, rounds, perBody int) ([]Body, error) {
	sample, err := set.Bytes()
	if err != nil {
		return nil, err
	}
	lines, err := splitLines(sample)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", set.Name, err)
	}
	first, last := lines[0].time, lines[0].time
	for _, l := range lines {
		first, last = min(first, l.time), max(last, l.time)
	}
	unit := int64(1)
	if set.Precision == "second" {
		unit = int64(time.Second)
	}
	span := (last-first)/divisor + int64(step)/unit
	mean := len(sample)/len(lines) + 1
	var bodies []Body
	left := 0 // lines that the last body still takes
	for round := range int64(rounds) {
		for _, l := range lines {
			if left == 0 {
				bodies = append(bodies, Body{Text: make([]byte, 0, perBody*mean)})
				left = perBody
			}
			b := &bodies[len(bodies)-1]
			b.Text = append(b.Text, l.text...)
			b.Text = strconv.AppendInt(b.Text, first+(l.time-first)/divisor+round*span, 10)
			b.Text = append(b.Text, '\n')
			b.Rows++
			left--
		}
	}
	return bodies, nil
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
