package main

import (
	"math"
	"testing"
	"time"
)

func TestSizesAreReadWithAndWithoutUnits(t *testing.T) {
	cases := map[string]int64{
		"10485760": 10485760, "1": 1, "1b": 1, "4GB": 4_000_000_000, "4GiB": 4 << 30, "4gib": 4 << 30,
		"512 MB": 512_000_000, "1.5GiB": 3 << 29, "64KiB": 64 << 10, "2kb": 2000, " 7 ": 7, "1TiB": 1 << 40,
	}
	for text, want := range cases {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "0", "1XB", "1G", "NaN", "Inf", "1e300GB", "9223372036854775807", "1GBB", "0x10"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestPoolIsASizeOrAShareOfMemory(t *testing.T) {
	cases := map[string]int64{"35%": 350, "100 %": 1000, "0.5%": 5, "64": 64}
	for text, want := range cases {
		var p poolSize
		if err := p.UnmarshalText([]byte(text)); err != nil || p.of(1000) != want {
			t.Errorf("%q: %d of 1000, %v; want %d", text, p.of(1000), err, want)
		}
	}
	for _, text := range []string{"", "%", "0%", "-5%", "101%", "NaN%", "20%%", "a lot"} {
		var p poolSize
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestLaterPoolReplacesEarlier: a flag overrides a default of the other kind.
func TestLaterPoolReplacesEarlier(t *testing.T) {
	var p poolSize
	for _, text := range []string{"20%", "1MiB"} {
		if err := p.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.of(math.MaxInt64); got != 1<<20 {
		t.Errorf("%d", got)
	}
}

func TestDurationsAreReadAsInInfluxDB(t *testing.T) {
	cases := map[string]time.Duration{
		"10m": 10 * time.Minute, "1h": time.Hour, "1h 30m": 90 * time.Minute, "1h30min": 90 * time.Minute,
		"1d": 24 * time.Hour, "2weeks": 14 * 24 * time.Hour, "5 seconds": 5 * time.Second, "250ms": 250 * time.Millisecond,
		" 7s ": 7 * time.Second, "0": 0, "0s": 0,
	}
	for text, want := range cases {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "m", "-1s", "1.5h", "1y", "1s,", "99999999999999999999s", "300000000000w", "1h h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := formatCount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{5: "5 B", 1536: "1.5 KiB", 10 << 20: "10.0 MiB", 3 << 30: "3.0 GiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestFreeDiskIsASizeAShareOrNothing(t *testing.T) {
	cases := map[string]freeDisk{"0": {Off: true}, "5%": {Percent: 5}, "0.5 %": {Percent: 0.5}, "256MiB": {Bytes: 256 << 20}}
	for text, want := range cases {
		if d := (freeDisk{Bytes: 1}); d.UnmarshalText([]byte(text)) != nil || d != want {
			t.Errorf("%q: %+v, want %+v", text, d, want)
		}
	}
	for _, text := range []string{"", "%", "0%", "-5%", "100%", "NaN%", "a lot"} {
		if err := new(freeDisk).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
