package main

import (
	"testing"
	"time"
)

// TestDataGrowOldOutsideOfTime: two days pass in a moment, and the scenario itself checks that no row is missing.
func TestDataGrowOldOutsideOfTime(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	c := &ageCmd{Days: 2, Flush: 4 * time.Hour, Nth: 50}
	results, err := c.measure(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != c.Days {
		t.Fatalf("%d days were reported", len(results))
	}
	written, _ := results[1].value("files written by flushes")
	left, _ := results[1].value("files at the end")
	if written != 2*6*9 || left < 9 || left >= written {
		t.Errorf("flushes wrote %v files of nine tables, and %v are left", written, left)
	}
}
