//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The reader below shares nothing with package lineprotocol. It is for input that is
// valid and has one point on each physical line, and it is as plain as can be: a line
// is cut at the delimiters that are neither escaped nor quoted, then each part is
// unescaped.

// point is one line.
type point struct {
	table  string
	tags   map[string]string
	fields map[string]any // int64, uint64, float64, string or bool
	time   int64          // nanoseconds
}

// readPoints reads a body. unit is the length of its time unit in nanoseconds.
func readPoints(body string, unit int64) ([]point, error) {
	var points []point
	for i, line := range strings.Split(body, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		p, err := readPoint(line, unit)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %s", i+1, err, line)
		}
		points = append(points, p)
	}
	return points, nil
}

func readPoint(line string, unit int64) (point, error) {
	parts := split(line, ' ')
	if len(parts) != 3 {
		return point{}, fmt.Errorf("%d parts", len(parts))
	}
	series := split(parts[0], ',')
	p := point{table: unescape(series[0], ", "), tags: map[string]string{}, fields: map[string]any{}}
	for _, tag := range series[1:] {
		pair := split(tag, '=')
		if len(pair) != 2 {
			return point{}, fmt.Errorf("tag %s", tag)
		}
		p.tags[unescape(pair[0], ",= ")] = unescape(pair[1], ",= ")
	}
	for _, field := range split(parts[1], ',') {
		pair := split(field, '=')
		if len(pair) != 2 {
			return point{}, fmt.Errorf("field %s", field)
		}
		v, err := readValue(pair[1])
		if err != nil {
			return point{}, err
		}
		p.fields[unescape(pair[0], ",= ")] = v
	}
	ts, err := strconv.ParseInt(parts[2], 10, 64)
	p.time = ts * unit
	return p, err
}

// split cuts s at each delimiter that no backslash precedes and no quotes surround.
func split(s string, delimiter byte) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case delimiter:
			if !quoted {
				parts, begin = append(parts, s[begin:i]), i+1
			}
		}
	}
	return append(parts, s[begin:])
}

// unescape drops the backslashes in front of the given bytes.
func unescape(s, escapable string) string {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '\\' && strings.IndexByte(escapable, s[i+1]) >= 0 {
			s = s[:i] + s[i+1:]
		}
	}
	return s
}

func readValue(s string) (any, error) {
	switch last := s[len(s)-1]; {
	case last == 'i':
		return strconv.ParseInt(s[:len(s)-1], 10, 64)
	case last == 'u':
		return strconv.ParseUint(s[:len(s)-1], 10, 64)
	case last == '"':
		return unescape(s[1:len(s)-1], `"\`), nil
	case slices.Contains([]string{"t", "T", "true", "True", "TRUE"}, s):
		return true, nil
	case slices.Contains([]string{"f", "F", "false", "False", "FALSE"}, s):
		return false, nil
	}
	return strconv.ParseFloat(s, 64)
}

func TestIndependentReaderReadsEveryType(t *testing.T) {
	const body = `
# a comment
a\ b,x\,y=1\=2,z=é f=1.5,i=-3i,u=18446744073709551615u,t=T,f\ 2=false,s="a \"b\", c=\\ d" 7
plain v=1e3 -7`
	got, err := readPoints(body, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := []point{{
		table: "a b", tags: map[string]string{"x,y": "1=2", "z": "é"}, time: 7000,
		fields: map[string]any{
			"f": 1.5, "i": int64(-3), "u": uint64(1<<64 - 1), "t": true, "f 2": false, "s": `a "b", c=\ d`,
		},
	}, {table: "plain", tags: map[string]string{}, fields: map[string]any{"v": 1000.0}, time: -7000}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(point{})); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"m", "m f=1", "m,t f=1 1", "m f 1", "m f=x 1", "m f=1 x"} {
		if _, err := readPoints(bad, 1); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
