package main

import (
	"context"
	"testing"
	"time"
)

func TestProbesAreSplitByWhatTheyOverlap(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	took := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	flushes := []period{{at(100), at(200)}, {at(300), at(400)}}
	inside, outside := split([]probe{
		{at(50), took(50)},   // ends as a flush begins
		{at(90), took(20)},   // reaches into it
		{at(120), took(10)},  // lies in it
		{at(195), took(30)},  // begins in it
		{at(200), took(5)},   // begins as it ends
		{at(250), took(200)}, // lasts longer than a flush
	}, flushes)
	if len(inside) != 4 || inside[0] != took(10) || inside[3] != took(200) || len(outside) != 2 || outside[0] != took(5) {
		t.Errorf("inside %v, outside %v", inside, outside)
	}
}

func TestRepetitionsEndWithTheirTimeAndTheirContext(t *testing.T) {
	n := 0
	all, err := repeatedly(t.Context(), time.Now().Add(20*time.Millisecond), 1_000_000, func(int) error { n++; return nil })
	if err != nil || n == 0 || len(all) != n {
		t.Errorf("%d probes of %d, %v", len(all), n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := repeatedly(ctx, time.Now().Add(time.Hour), 1, func(int) error { return nil }); err == nil {
		t.Error("an interrupted repetition is complete")
	}
}

func TestASteadyLoadKeepsItsRate(t *testing.T) {
	l, err := newSteady(&steadyFlags{senderFlags: senderFlags{10, 1}, Rate: 100, Hosts: 5, Interval: time.Second, Acks: 1, Queries: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.start = time.Unix(1000, 0)
	for i := range 3 {
		body, due := l.next(nil)
		if want := l.start.Add(time.Duration(i) * 100 * time.Millisecond); !due.Equal(want) || len(body) == 0 {
			t.Errorf("body %d of %d bytes is due at %s, want %s", i, len(body), due, want)
		}
	}
	if _, err := newSteady(&steadyFlags{senderFlags: senderFlags{10, 1}}, nil); err == nil {
		t.Error("a rate of 0 is no error")
	}
}
