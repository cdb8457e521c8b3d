package lineprotocol

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/schema"
)

// The reference parser below states the grammar as plainly as it can, with no regard
// for time: tokens are found byte by byte, numbers by regular expressions. It knows
// which lines are good and what they mean, and where the bad ones begin; why they are
// bad is the business of the tables of TestBadLines.

var (
	integerPattern   = regexp.MustCompile(`^[+-]?[0-9]+i$`)
	unsignedPattern  = regexp.MustCompile(`^\+?[0-9]+u$`)
	floatPattern     = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	timestampPattern = regexp.MustCompile(`^-?[0-9]+$`)
)

// referenceParse returns the points of a body and the physical lines on which its bad
// lines begin.
func referenceParse(body string) (points []point, bad []int) {
	for at := 0; at < len(body); {
		start := at
		for start < len(body) && strings.IndexByte(" \t\r", body[start]) >= 0 {
			start++
		}
		if start == len(body) || body[start] == '\n' || body[start] == '#' {
			at = afterNewline(body, start)
			continue
		}
		line := 1 + strings.Count(body[:start], "\n")
		p := referenceLine{body: body, at: start}
		if p.read() {
			p.line = line
			points = append(points, p.point)
			at = afterNewline(body, p.at)
		} else {
			bad = append(bad, line)
			at = afterBadLine(body, start, p.at)
		}
	}
	return points, bad
}

func afterNewline(body string, at int) int {
	if i := strings.IndexByte(body[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(body)
}

// afterBadLine finds the end of a line that was given up at some byte: the next
// newline that is in no string. A string begins behind =" unless the equals sign is
// escaped; its closing quote must have the end of a value behind it.
func afterBadLine(body string, start, at int) int {
	if at > start {
		at--
	}
	for at < len(body) && body[at] != '\n' {
		if strings.HasPrefix(body[at:], `="`) && (at == 0 || body[at-1] != '\\') {
			at++
			if end := stringEnd(body, at); end > 0 && (end == len(body) || strings.IndexByte(", \n\r\t", body[end]) >= 0) {
				at = end
				continue
			}
		}
		at++
	}
	return afterNewline(body, at)
}

// stringEnd returns the offset behind the string that begins with a quote at at, or 0.
func stringEnd(body string, at int) int {
	for i := at + 1; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// referenceLine is a line being read; at is the next byte, or where it is given up.
type referenceLine struct {
	point
	body string
	at   int
}

// token reads up to an unescaped byte of stops.
func (p *referenceLine) token(stops string) string {
	begin := p.at
	for p.at < len(p.body) && strings.IndexByte(stops, p.body[p.at]) < 0 {
		if p.body[p.at] == '\\' && p.at+1 < len(p.body) && strings.IndexByte(", =", p.body[p.at+1]) >= 0 {
			p.at++
		}
		p.at++
	}
	return p.body[begin:p.at]
}

func (p *referenceLine) blanks() {
	for p.at < len(p.body) && strings.IndexByte(" \t\r", p.body[p.at]) >= 0 {
		p.at++
	}
}

func (p *referenceLine) isAt(stops string) bool {
	return p.at < len(p.body) && strings.IndexByte(stops, p.body[p.at]) >= 0
}

func (p *referenceLine) isAtEnd() bool { return p.at == len(p.body) || p.body[p.at] == '\n' }

func (p *referenceLine) read() bool {
	series := p.token(" \t\n")
	if len(series) > MaxKeyBytes || !isText(series) || !p.readSeries(series) {
		return false
	}
	p.blanks()
	for {
		name := p.token("= ,\n\r\t")
		if !p.isAt("=") || name == "" || len(name) > MaxKeyBytes || !isText(name) {
			return false
		}
		p.at++
		f, ok := p.readValue()
		if !ok {
			return false
		}
		f.name = unescape(name, ", =")
		p.fields = append(p.fields, f)
		if !p.isAt(",") {
			return p.readTime()
		}
		p.at++
	}
}

func (p *referenceLine) readSeries(series string) bool {
	s := referenceLine{body: series}
	p.measurement = unescape(s.token(","), ", ")
	seen := make(map[string]bool)
	for s.isAt(",") {
		s.at++
		key := unescape(s.token(",="), ", =")
		if !s.isAt("=") {
			return false
		}
		s.at++
		text := s.token(",")
		if i := strings.Index(text, `\\,`); i >= 0 {
			if rest := (referenceLine{body: text, at: i}); rest.token("=") != text[i:] {
				return false
			}
		}
		value := unescape(text, ", =")
		if key == "" || value == "" || seen[key] {
			return false
		}
		seen[key] = true
		p.tags = append(p.tags, key, value)
	}
	return p.measurement != ""
}

func (p *referenceLine) readValue() (field, bool) {
	if !p.isAt(`"`) {
		text := p.body[p.at:]
		if i := strings.IndexAny(text, ", \n\r\t"); i >= 0 {
			text = text[:i]
		}
		f, ok := classify(text)
		if ok {
			p.at += len(text)
		}
		return f, ok
	}
	end := stringEnd(p.body, p.at)
	if end == 0 {
		return field{}, false
	}
	text := p.body[p.at+1 : end-1]
	p.at = end
	atEnd := p.at == len(p.body) || p.isAt(", \n\r\t")
	return field{typ: schema.String, text: unescape(text, `"\`)}, atEnd && len(text) <= MaxStringBytes && isText(text)
}

func classify(text string) (f field, ok bool) {
	var err error
	switch {
	case integerPattern.MatchString(text):
		var n int64
		n, err = strconv.ParseInt(text[:len(text)-1], 10, 64)
		f = field{typ: schema.Int64, bits: uint64(n)}
	case unsignedPattern.MatchString(text):
		f.typ = schema.Uint64
		f.bits, err = strconv.ParseUint(strings.TrimPrefix(text[:len(text)-1], "+"), 10, 64)
	case floatPattern.MatchString(text):
		var v float64
		v, err = strconv.ParseFloat(text, 64)
		f = field{typ: schema.Float64, bits: math.Float64bits(v)}
	case strings.Contains(" t T true True TRUE ", " "+text+" ") && text != "":
		f = field{typ: schema.Bool, bits: 1}
	case strings.Contains(" f F false False FALSE ", " "+text+" ") && text != "":
		f = field{typ: schema.Bool}
	default:
		return f, false
	}
	return f, err == nil
}

func (p *referenceLine) readTime() bool {
	if !p.isAtEnd() && !p.isAt(" \t\r") {
		return false
	}
	p.blanks()
	if p.isAtEnd() {
		return true
	}
	text := p.body[p.at:]
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		text = text[:i]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !timestampPattern.MatchString(text) {
		return false
	}
	p.at += len(text)
	p.time = strconv.FormatInt(n, 10)
	p.blanks()
	return p.isAtEnd()
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// unescape drops the backslashes that stand before one of escapable.
func unescape(s, escapable string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(escapable, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
