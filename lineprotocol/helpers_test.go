package lineprotocol

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// point is one line, copied out of the reader.
type point struct {
	line        int
	measurement string
	tags        []string // key, value, key, value, …
	fields      []field
	time        string // empty when missing
}

type field struct {
	name string
	typ  schema.ColumnType
	bits uint64
	text string
}

func (p point) equal(q point) bool {
	return p.line == q.line && p.measurement == q.measurement && p.time == q.time &&
		slices.Equal(p.tags, q.tags) && slices.Equal(p.fields, q.fields)
}

// String writes a point for tables of expectations: 3: cpu host=a | v=1.5 n=2i | 99.
// Names and strings are quoted where they hold anything but letters and digits.
func (p point) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s", p.line, word(p.measurement))
	for i := 0; i < len(p.tags); i += 2 {
		fmt.Fprintf(&b, " %s=%s", word(p.tags[i]), word(p.tags[i+1]))
	}
	b.WriteString(" |")
	for _, f := range p.fields {
		fmt.Fprintf(&b, " %s=%s", word(f.name), f)
	}
	if p.time != "" {
		b.WriteString(" | " + p.time)
	}
	return b.String()
}

func (f field) String() string {
	switch f.typ {
	case schema.Int64:
		return strconv.FormatInt(int64(f.bits), 10) + "i"
	case schema.Uint64:
		return strconv.FormatUint(f.bits, 10) + "u"
	case schema.Float64:
		return strconv.FormatFloat(math.Float64frombits(f.bits), 'g', -1, 64)
	case schema.Bool:
		return strconv.FormatBool(f.bits == 1)
	}
	return strconv.Quote(f.text)
}

func word(s string) string {
	plain := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// readAll reads a body the plain way: nothing is predicted.
func readAll(body []byte) (points []point, errs []Error) {
	var r Reader
	var s Series
	r.Reset(body)
	for r.Next() {
		p, err := readPoint(&r, &s)
		if err != nil {
			errs = append(errs, *err)
			continue
		}
		points = append(points, p)
	}
	return points, errs
}

func readPoint(r *Reader, s *Series) (point, *Error) {
	p := point{line: r.Line()}
	raw, err := r.Series()
	if err != nil {
		return p, err
	}
	if err := r.ParseSeries(raw, s); err != nil {
		return p, err
	}
	p.setSeries(s)
	for more := true; more; more = r.More() {
		name, _, err := r.Key()
		if err != nil {
			return p, err
		}
		if err := p.readValue(r, name); err != nil {
			return p, err
		}
	}
	return p, p.readTime(r)
}

func (p *point) setSeries(s *Series) {
	p.measurement = string(s.Measurement)
	for _, t := range s.Tags {
		p.tags = append(p.tags, string(t.Key), string(t.Value))
	}
}

func (p *point) readValue(r *Reader, name []byte) *Error {
	f := field{name: string(name)}
	var v Value
	if err := r.Value(&v, name); err != nil {
		return err
	}
	f.typ = v.Type
	if v.Type == schema.String {
		f.text = string(v.Text)
	} else {
		f.bits = v.Bits
	}
	p.fields = append(p.fields, f)
	return nil
}

func (p *point) readTime(r *Reader) *Error {
	digits, present, err := r.Time()
	if present {
		p.time = strconv.FormatInt(digits, 10)
	}
	return err
}

// predictor reads bodies as the engine does: the series that followed the last one
// before, and the field keys of the last line, are tried first.
type predictor struct {
	reader Reader
	series Series
	known  map[string]point // by series text: measurement and tags
	next   map[string]string
	last   string
	keys   [][]byte // field keys of the last line, with their equals signs
	names  []string
	expect Expectation // what the last line was like, as far as it can be expected
	shape  []field     // the fields of expect
}

func (d *predictor) readAll(body []byte) (points []point, errs []Error) {
	if d.known == nil {
		d.known, d.next = make(map[string]point), make(map[string]string)
	}
	d.reader.Reset(body)
	for d.reader.Next() {
		p, err := d.readPoint()
		if err != nil {
			errs = append(errs, *err)
			d.reader.Skip()
			continue
		}
		points = append(points, p)
	}
	return points, errs
}

func (d *predictor) readPoint() (point, *Error) {
	r := &d.reader
	p, err := d.readSeries()
	if err != nil {
		return p, err
	}
	i := d.readExpected(&p)
	for more := i == 0 || r.More(); more; more = r.More() {
		name, err := d.readKey(i)
		if err != nil {
			return p, err
		}
		if err := p.readValue(r, []byte(name)); err != nil {
			return p, err
		}
		i++
	}
	if err := p.readTime(r); err != nil {
		return p, err
	}
	d.learn(p.fields)
	return p, nil
}

// readExpected reads the fields that come as in the line before.
func (d *predictor) readExpected(p *point) int {
	values := make([]uint64, d.expect.Len())
	n := d.reader.Expected(&d.expect, values)
	for i, f := range d.shape[:n] {
		p.fields = append(p.fields, field{name: f.name, typ: f.typ, bits: values[i]})
	}
	return n
}

// learn makes the next line be expected like one with these fields.
func (d *predictor) learn(fields []field) {
	d.expect.Reset()
	d.shape = d.shape[:0]
	for i, f := range fields {
		if i >= len(d.keys) || d.names[i] != f.name || !d.expect.Add(d.keys[i], f.typ) {
			return
		}
		d.shape = append(d.shape, f)
	}
}

func (d *predictor) readSeries() (point, *Error) {
	r, line := &d.reader, d.reader.Line()
	text := d.next[d.last]
	if text == "" || !r.SkipSeries([]byte(text+" ")) {
		raw, err := r.Series()
		if err != nil {
			return point{line: line}, err
		}
		text = string(raw)
		if _, ok := d.known[text]; !ok {
			if err := r.ParseSeries(raw, &d.series); err != nil {
				return point{line: line}, err
			}
			var p point
			p.setSeries(&d.series)
			d.known[text] = p
		}
	}
	d.next[d.last], d.last = text, text
	p := d.known[text]
	p.line = line
	return p, nil
}

func (d *predictor) readKey(i int) (string, *Error) {
	if i < len(d.keys) && d.reader.SkipKey(d.keys[i]) {
		return d.names[i], nil
	}
	name, raw, err := d.reader.Key()
	if err != nil {
		return "", err
	}
	if i <= len(d.keys) { // else those before came as expected from an earlier line
		d.keys, d.names = append(d.keys[:i], bytes.Clone(raw)), append(d.names[:i], string(name))
	}
	return string(name), nil
}

// describe lists points and errors in the order of their lines.
func describe(points []point, errs []Error) []string {
	type entry struct {
		line int
		text string
	}
	var all []entry
	for _, p := range points {
		all = append(all, entry{p.line, p.String()})
	}
	for _, e := range errs {
		all = append(all, entry{e.Line, fmt.Sprintf("%d:%d %s", e.Line, e.Column, e.Error())})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.line - b.line })
	var out []string
	for _, e := range all {
		out = append(out, e.text)
	}
	return out
}
