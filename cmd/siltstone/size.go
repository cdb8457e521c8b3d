package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
)

// byteSize is a flag such as 10485760, 64MB or 4GiB.
type byteSize int64

// sizeUnits has the longer names first, so that "MiB" is not taken for "B".
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"tib", 1 << 40},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"tb", 1e12},
	{"b", 1},
	{"", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *byteSize) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text))
	*s = byteSize(n)
	return err
}

func parseSize(text string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(lower, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(n > 0) || n*unit.bytes > math.MaxInt64/2 {
			break
		}
		return int64(n * unit.bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size; write bytes, or a number with a unit such as 64MB or 4GiB", text)
}

// quotaSize is a byteSize, or 0 for no bound.
type quotaSize int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *quotaSize) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*s = 0
		return nil
	}
	return (*byteSize)(s).UnmarshalText(text)
}

// poolSize is a flag that is either a size or a share of the memory there is.
type poolSize struct {
	bytes   int64
	percent float64 // 0 when bytes is set
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *poolSize) UnmarshalText(text []byte) (err error) {
	*s = poolSize{}
	share, isShare := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	if !isShare {
		s.bytes, err = parseSize(share)
		return err
	}
	s.percent, err = strconv.ParseFloat(strings.TrimSpace(share), 64)
	if err != nil || !(s.percent > 0 && s.percent <= 100) {
		return fmt.Errorf("%q is not a share of the memory; write for example 35%%", text)
	}
	return nil
}

// of resolves the size against the memory there is.
func (s poolSize) of(total int64) int64 {
	if s.percent > 0 {
		return int64(float64(total) * s.percent / 100)
	}
	return s.bytes
}

// freeDisk is a flag that is a size, a share of the disk, or 0 for none.
type freeDisk engine.MinFreeDisk

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *freeDisk) UnmarshalText(text []byte) (err error) {
	*d = freeDisk{Off: string(text) == "0"}
	if d.Off {
		return nil
	}
	share, isShare := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	if !isShare {
		d.Bytes, err = parseSize(share)
		return err
	}
	d.Percent, err = strconv.ParseFloat(strings.TrimSpace(share), 64)
	if err != nil || !(d.Percent > 0 && d.Percent < 100) {
		return fmt.Errorf("%q is not a share of the disk; write for example 5%%", text)
	}
	return nil
}

// formatBytes writes a size for people.
func formatBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// formatCount writes a number with commas between the thousands.
func formatCount(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
