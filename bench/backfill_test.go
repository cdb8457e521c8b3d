package main

import (
	"testing"
	"time"
)

// TestHistoryInAnyOrder: the scenario itself checks that no row is missing; that merging is counted is checked here.
func TestHistoryInAnyOrder(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	c := &backfillCmd{Hosts: 2, Days: 8, Interval: time.Hour, Bodies: 3}
	results, err := c.measure(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(backfillWays) {
		t.Fatalf("%d ways were reported", len(results))
	}
	for i, r := range results {
		again, _ := r.value("bytes merged / bytes flushed")
		left, _ := r.value("files at the end")
		isTwice := i == len(results)-1
		if again < 0 || again > 10 || isTwice && again == 0 || left < 1 || left > 4 {
			t.Errorf("%s: a byte was merged %v times, and %v files are left", r.Name, again, left)
		}
	}
}
