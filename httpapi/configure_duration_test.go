package httpapi

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDurationsInWords(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d":                      30 * 24 * time.Hour,
		"1h 30m":                   90 * time.Minute,
		"1h30m":                    90 * time.Minute,
		"2w":                       14 * 24 * time.Hour,
		"2 weeks":                  14 * 24 * time.Hour,
		"1 day 2 hours 3 min 4sec": 26*time.Hour + 3*time.Minute + 4*time.Second,
		"1M":                       2_630_016 * time.Second,
		"1m":                       time.Minute,
		"1y":                       31_557_600 * time.Second,
		"5ms 6us 7ns":              5*time.Millisecond + 6*time.Microsecond + 7,
		" 10s ":                    10 * time.Second,
		"1s 1s":                    2 * time.Second,
		"0":                        0,
		"0d":                       0,
		"007d":                     7 * 24 * time.Hour,
		"9223372036854775807ns":    math.MaxInt64,
		"292y":                     292 * 31_557_600 * time.Second,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestBadDurations(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "a duration such as 30d or 1h 30m is needed",
		"  ":                     "a duration such as 30d or 1h 30m is needed",
		"d":                      `a whole number is needed at "d"`,
		"-1d":                    `a whole number is needed at "-1d"`,
		"1.5h":                   `"" is no unit of time`,
		"10":                     `"" is no unit of time`,
		"1h 5":                   `"" is no unit of time`,
		"1D":                     `"D" is no unit of time`,
		"1fortnight":             `"fortnight" is no unit of time`,
		"1h, 2m":                 `a whole number is needed at ", 2m"`,
		"１d":                     `a whole number is needed`,
		"293y":                   "more than 292 years",
		"9223372036854775808ns":  "more than 292 years",
		"99999999999999999999 s": "more than 292 years",
		"292y 100d":              "more than 292 years",
	} {
		got, err := parseDuration(text)
		if err == nil || got != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// FuzzParseDuration checks that what is accepted is the same in nanoseconds, with a unit
// between any blanks, and as the sum of two halves.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"30d", "1h 30m", "0", "1y1M1w1d", "9223372036854775807ns", "1 ", "ms", "5 µs"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			if d != 0 {
				t.Fatalf("%v and %v", d, err)
			}
			return
		}
		if d < 0 {
			t.Fatalf("%q is negative: %v", text, d)
		}
		half := d / 2
		for _, same := range []string{
			strconv.FormatInt(int64(d), 10) + "ns",
			" " + strconv.FormatInt(int64(half), 10) + "  nsec" + strconv.FormatInt(int64(d-half), 10) + "nanos ",
		} {
			if again, err := parseDuration(same); err != nil || again != d {
				t.Errorf("%q is %v, but %q is %v, %v", text, d, same, again, err)
			}
		}
	})
}
