package tsbs

import (
	"bytes"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// TestSetsAreRepeatedWithoutAPointTwice shows G3 for the bundled sets.
func TestSetsAreRepeatedWithoutAPointTwice(t *testing.T) {
	for _, c := range []struct {
		set     datasets.Set
		divisor int64
	}{{datasets.Weather, 24 * 60}, {datasets.Wind, 60}, {datasets.Bitcoin, 29}, {datasets.DevOps, 1}} {
		const rounds = 3
		bodies, err := Again(c.set, c.divisor, time.Minute, rounds, 1000)
		if err != nil {
			t.Fatal(err)
		}
		points := make(map[string]bool)
		rows := 0
		for _, b := range bodies {
			rows += b.Rows
			for line := range bytes.Lines(b.Text) {
				at := bytes.LastIndexByte(line, ' ')
				fields := bytes.LastIndexByte(line[:at], ' ') // a blank in a tag is escaped, and none is in a field
				points[string(line[:fields])+string(line[at:])] = true
			}
		}
		if want := rounds * c.set.Points; rows != want || len(points) != want {
			t.Errorf("%s: %d lines with %d points, want %d", c.set.Name, rows, len(points), want)
		}
	}
}
