package lineprotocol

import (
	"maps"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestStorableInstants(t *testing.T) {
	if got := time.Unix(0, MinTime).UTC(); !got.Equal(time.Date(1677, 9, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("MinTime is %s", got)
	}
	if got := time.Unix(0, MaxTime).UTC(); !got.Equal(time.Date(2262, 4, 11, 23, 47, 16, 854775806, time.UTC)) {
		t.Errorf("MaxTime is %s", got)
	}
}

func TestNanoseconds(t *testing.T) {
	for _, c := range []struct {
		precision Precision
		ts, want  int64
		ok        bool
	}{
		{Nanosecond, 7, 7, true},
		{Microsecond, 7, 7_000, true},
		{Millisecond, -7, -7_000_000, true},
		{Second, 7, 7_000_000_000, true},
		{Minute, 7, 420_000_000_000, true},
		{Hour, -7, -25_200_000_000_000, true},

		{Nanosecond, MaxTime, MaxTime, true},
		{Nanosecond, MaxTime + 1, 0, false},
		{Nanosecond, MinTime, MinTime, true},
		{Nanosecond, MinTime - 1, 0, false},
		{Nanosecond, math.MinInt64, 0, false},
		{Second, 9223372036, 9223372036_000000000, true},
		{Second, 9223372037, 0, false},
		{Second, math.MaxInt64, 0, false},
		{Second, math.MinInt64, 0, false},
		{Second, -9223286400, MinTime, true},
		{Second, -9223286401, 0, false},
		{Hour, 2562047, 2562047 * 3600e9, true},
		{Hour, 2562048, 0, false},

		// The rule of Auto: |ts| below 5e9 is seconds, below 5e12 milliseconds, below
		// 5e15 microseconds.
		{Auto, 0, 0, true},
		{Auto, 4_999_999_999, 4_999_999_999_000_000_000, true},
		{Auto, 5_000_000_000, 5_000_000_000_000_000, true},
		{Auto, 4_999_999_999_999, 4_999_999_999_999_000_000, true},
		{Auto, 5_000_000_000_000, 5_000_000_000_000_000, true},
		{Auto, 4_999_999_999_999_999, 4_999_999_999_999_999_000, true},
		{Auto, 5_000_000_000_000_000, 5_000_000_000_000_000, true},
		{Auto, -4_999_999_999, -4_999_999_999_000_000_000, true},
		{Auto, -5_000_000_000, -5_000_000_000_000_000, true},
		{Auto, 1600000000, 1600000000_000000000, true},
		{Auto, 1600000000_000, 1600000000_000000000, true},
		{Auto, 1600000000_000_000, 1600000000_000000000, true},
		{Auto, 1600000000_000_000_000, 1600000000_000000000, true},
		{Auto, math.MaxInt64, 0, false},
		{Auto, math.MinInt64, 0, false},
	} {
		got, ok := c.precision.Nanoseconds(c.ts)
		if got != c.want || ok != c.ok {
			t.Errorf("%s %d: got %d, %t; want %d, %t", c.precision, c.ts, got, ok, c.want, c.ok)
		}
	}
}

// TestNanosecondsNeverOverflows compares with arithmetic that cannot.
func TestNanosecondsNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]Precision{Nanosecond, Microsecond, Millisecond, Second, Minute, Hour}).Draw(t, "precision")
		ts := rapid.Int64().Draw(t, "ts")
		exact := new(big.Int).Mul(big.NewInt(ts), big.NewInt(unit[p]))
		storable := exact.Cmp(big.NewInt(MinTime)) >= 0 && exact.Cmp(big.NewInt(MaxTime)) <= 0
		got, ok := p.Nanoseconds(ts)
		if ok != storable || ok && got != exact.Int64() {
			t.Fatalf("%s %d: got %d, %t; exactly %s", p, ts, got, ok, exact)
		}
	})
}

func TestTruncate(t *testing.T) {
	const ns = 1234567890123456789
	for p, want := range map[Precision]int64{
		Auto: ns, Nanosecond: ns,
		Microsecond: 1234567890123456000,
		Millisecond: 1234567890123000000,
		Second:      1234567890000000000,
		Minute:      1234567860000000000,
		Hour:        1234566000000000000,
	} {
		if got := p.Truncate(ns); got != want {
			t.Errorf("%s: %d, want %d", p, got, want)
		}
		if got := p.Truncate(-ns); got != -want {
			t.Errorf("%s, before 1970: %d, want %d", p, got, -want)
		}
	}
}

func TestParsePrecision(t *testing.T) {
	common := map[string]Precision{
		"ns": Nanosecond, "n": Nanosecond, "nanosecond": Nanosecond, "us": Microsecond, "u": Microsecond,
		"µs": Microsecond, "μs": Microsecond, "µ": Microsecond, "μ": Microsecond,
		"microsecond": Microsecond, "ms": Millisecond, "millisecond": Millisecond, "s": Second, "second": Second,
	}
	const listed = "`second`, `millisecond`, `microsecond`, `nanosecond`"
	for _, c := range []struct {
		set  PrecisionSet
		own  map[string]Precision // on top of the common ones
		list string
	}{
		{V1Precisions, map[string]Precision{"": Nanosecond, "m": Minute, "minute": Minute, "h": Hour, "hour": Hour}, listed + ", `minute`, `hour`"},
		{V2Precisions, map[string]Precision{"": Nanosecond}, listed},
		{V3Precisions, map[string]Precision{"": Auto, "auto": Auto}, "`auto`, " + listed},
	} {
		want := maps.Clone(common)
		maps.Copy(want, c.own)
		for _, name := range []string{
			"", "auto", "n", "ns", "nanosecond", "u", "us", "microsecond", "ms", "millisecond", "s", "second",
			"m", "minute", "h", "hour", "S", "sec", "seconds", "d", "Auto", "µ", "μ", "µs", "μs", "µseconds",
		} {
			got, err := ParsePrecision(name, c.set)
			wantPrecision, ok := want[name]
			if ok && (err != nil || got != wantPrecision) {
				t.Errorf("set %d, %q: %s, %v", c.set, name, got, err)
			}
			if wantErr := "unknown variant `" + name + "`, expected one of " + c.list; !ok && (err == nil || err.Error() != wantErr) {
				t.Errorf("set %d, %q: %s, %v; want %s", c.set, name, got, err, wantErr)
			}
		}
	}
}

func TestOutOfRangeNamesTheTimestamp(t *testing.T) {
	var r Reader
	var s Series
	r.Reset([]byte("cpu v=1 1\ncpu s=\"x\ny\"  9223372036854775807\nmem v=1 2"))
	r.Next()
	r.Next()
	p, err := readPoint(&r, &s)
	if err != nil {
		t.Fatal(p, err)
	}
	e := r.OutOfRange(math.MaxInt64, Second)
	const want = "timestamp, 9223372036854775807, out of range for precision: Second"
	if e.Error() != want || e.Line != 3 || e.Column != 5 || e.Kind != TimestampOutOfRange {
		t.Errorf("%d:%d %s; want 3:5 %s", e.Line, e.Column, e, want)
	}
	if got := r.OutOfRange(0, Auto).Error(); got != "timestamp, 0, out of range for precision: Auto" {
		t.Error(got)
	}
	r.Skip() // must not cost the line behind
	if !r.Next() || r.Line() != 4 {
		t.Errorf("reading goes on with line %d", r.Line())
	}
}
