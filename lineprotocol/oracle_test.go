package lineprotocol

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	influx "github.com/influxdata/line-protocol/v2/lineprotocol"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/internal/datasets"
	"github.com/siltstone-db/siltstone/schema"
)

// The oracle is InfluxData's own decoder for Go, with which Telegraf and the Go clients
// read. Where the reader and the oracle part, one of the differences below must say why;
// InfluxDB 3 Core's parser, which is a third one, usually decides.

// reading is a line with what the reader and the oracle make of it.
type reading struct {
	raw    string   // with its line end
	blanks string   // what stands between the parts, and the time stamp among it
	values []string // of the fields, as they stand

	ours   point
	err    *Error
	theirs point
	oracle error
}

// difference is a known reason why a reading is not the same on both sides.
type difference struct {
	name   string
	covers func(r *reading) bool
	reason string
}

// differences are the ones that a line may show, see docs/line-protocol.md.
var differences = []difference{
	{
		"tabs and carriage returns between parts",
		func(r *reading) bool { return r.err == nil && r.oracle != nil && strings.ContainsAny(r.blanks, "\t\r") },
		"Wider than both: Core skips a tab only in front of a line, and no carriage return. No name or " +
			"number can hold one here, so that nothing is guessed, and files with CRLF or indented lines load.",
	},
	{
		"equals signs in tag values",
		func(r *reading) bool {
			return r.err == nil && r.oracle != nil && slices.ContainsFunc(r.ours.tags, func(s string) bool { return strings.Contains(s, "=") })
		},
		"As Core: the first equals sign ends the key, and base64 and URLs have more of them.",
	},
	{
		"plus signs",
		func(r *reading) bool {
			return r.err == nil && r.oracle != nil && slices.ContainsFunc(r.values, func(v string) bool { return v[0] == '+' })
		},
		"Wider than both: +1, +1i and +1u have one meaning, and printf writes them.",
	},
	{
		"control characters in names",
		func(r *reading) bool {
			return r.err == nil && r.oracle != nil && slices.ContainsFunc(r.ours.names(), hasControl)
		},
		"As Core: only NUL cannot be stored, and a point that InfluxDB takes is not refused.",
	},
	{
		"escapes in strings",
		func(r *reading) bool { return r.err == nil && r.oracle == nil && r.expanded().equal(r.theirs) },
		`As Core and the reference: \" and \\ are escapes, \n, \r and \t are two characters each.`,
	},
	{
		"repeated tags",
		func(r *reading) bool { return r.failed(DuplicateTag) },
		"As Core since 3.10.3: a point has one value for each tag; the oracle leaves that to its caller.",
	},
	{
		"long names and strings",
		func(r *reading) bool { return r.failed(KeyTooLong) || r.failed(StringTooLong) },
		"As Core, which limits each name and string to 64 KiB; the oracle knows no limit.",
	},
	{
		"NUL in strings",
		func(r *reading) bool { return r.failed(InvalidText) && utf8.ValidString(r.raw) },
		"Narrower than both: a string with a NUL cannot be shown by what reads the files.",
	},
	{
		"floats of the Go language",
		func(r *reading) bool { return r.failed(InvalidFloat) && strings.ContainsAny(r.err.Value, "xX_") },
		"As Core: hexadecimal digits and underscores are no line protocol.",
	},
}

// betweenLines is the one difference that lies outside of lines. As Core: a comment ends
// with its line whatever it holds, and a line of tabs is blank.
const betweenLines = "control characters in comments and blank lines"

// failed reports whether the line is refused for one reason that the oracle does not know.
func (r *reading) failed(kind Kind) bool {
	return r.err != nil && r.err.Kind == kind && r.oracle == nil
}

// expanded is our point with the escapes of its strings resolved as the oracle does.
func (r *reading) expanded() point {
	p := r.ours
	p.fields = slices.Clone(p.fields)
	expand := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\r`, "\r", `\t`, "\t")
	for i := range p.fields {
		if p.fields[i].typ == schema.String {
			v := r.values[i]
			p.fields[i].text = expand.Replace(v[1 : len(v)-1])
		}
	}
	return p
}

func (p *point) names() []string {
	names := append([]string{p.measurement}, p.tags...)
	for _, f := range p.fields {
		names = append(names, f.name)
	}
	return names
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// agrees reports whether both sides refuse the line, or read the same point.
func (r *reading) agrees() bool {
	if r.err != nil || r.oracle != nil {
		return r.err != nil && r.oracle != nil
	}
	return r.ours.equal(r.theirs)
}

// difference returns the name of the difference that the line shows; it is empty where
// both sides agree. ok is false when they do not and nothing says why.
func (r *reading) difference() (name string, ok bool) {
	if r.agrees() {
		return "", true
	}
	for _, d := range differences {
		if d.covers(r) {
			return d.name, true
		}
	}
	return "", false
}

// readings reads a body line by line. gaps are what stands before each line, and after the last.
func readings(body string) (lines []*reading, gaps []string) {
	var r Reader
	var s Series
	r.Reset([]byte(body))
	for from := r.pos; ; from = r.pos {
		more := r.Next()
		if !more {
			return lines, append(gaps, body[from:])
		}
		gaps = append(gaps, body[from:r.start])
		l := &reading{}
		start := r.start
		l.err = l.read(&r, &s)
		r.Skip()
		l.raw = body[start:r.pos]
		l.consult()
		lines = append(lines, l)
	}
}

// read is readPoint that also keeps the texts.
func (l *reading) read(r *Reader, s *Series) *Error {
	raw, err := r.Series()
	if err != nil {
		return err
	}
	if err := r.ParseSeries(raw, s); err != nil {
		return err
	}
	l.ours.setSeries(s)
	for more := true; more; more = r.More() {
		before := r.pos
		name, raw, err := r.Key()
		if err != nil {
			return err
		}
		l.blanks += string(r.buf[before : r.pos-len(raw)])
		before = r.pos
		if err := l.ours.readValue(r, name); err != nil {
			return err
		}
		l.values = append(l.values, string(r.buf[before:r.pos]))
	}
	before := r.pos - r.start
	if err := l.ours.readTime(r); err != nil {
		return err
	}
	end := string(r.buf[r.start+before : r.pos])
	l.blanks += strings.TrimSuffix(strings.TrimSuffix(end, "\n"), "\r")
	return nil
}

// consult asks the oracle for the line alone.
func (l *reading) consult() {
	d := influx.NewDecoderWithBytes([]byte(l.raw))
	d.Next()
	l.theirs, l.oracle = oraclePoint(d)
	if l.err == nil && l.oracle == nil && d.Next() {
		l.theirs.measurement += " and a second point"
	}
}

// oraclePoint reads the oracle's next point.
func oraclePoint(d *influx.Decoder) (p point, err error) {
	measurement, err := d.Measurement()
	if err != nil {
		return p, err
	}
	p.measurement = string(measurement)
	for {
		key, value, err := d.NextTag()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		p.tags = append(p.tags, string(key), string(value))
	}
	for {
		key, value, err := d.NextField()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		p.fields = append(p.fields, oracleField(string(key), value))
	}
	return p, p.oracleTime(d)
}

func oracleField(name string, v influx.Value) field {
	f := field{name: name}
	switch v.Kind() {
	case influx.Int:
		f.typ, f.bits = schema.Int64, uint64(v.IntV())
	case influx.Uint:
		f.typ, f.bits = schema.Uint64, v.UintV()
	case influx.Float:
		f.typ, f.bits = schema.Float64, math.Float64bits(v.FloatV())
	case influx.Bool:
		f.typ = schema.Bool
		if v.BoolV() {
			f.bits = 1
		}
	default:
		f.typ, f.text = schema.String, v.StringV()
	}
	return f
}

func (p *point) oracleTime(d *influx.Decoder) error {
	text, err := d.TimeBytes()
	if err != nil || text == nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64) // as its method Time does
	p.time = strconv.FormatInt(n, 10)
	return err
}

// checkAgainstOracle compares line by line, and where all lines agree also the body as a
// whole, with what is around the lines. It returns the names of the differences.
func checkAgainstOracle(t failer, body string) (names []string) {
	t.Helper()
	lines, gaps := readings(body)
	good := true
	for _, l := range lines {
		name, ok := l.difference()
		if !ok {
			t.Fatalf("body %q, line %q:\nwe read    %s, %v\nthe oracle %s, %v", body, l.raw, l.ours, l.err, l.theirs, l.oracle)
		}
		if name != "" {
			names = append(names, name)
		}
		good = good && name == "" && l.err == nil
	}
	if good {
		names = append(names, checkWholeAgainstOracle(t, body, lines, gaps)...)
	}
	return names
}

func checkWholeAgainstOracle(t failer, body string, lines []*reading, gaps []string) (names []string) {
	t.Helper()
	ends := strings.NewReplacer("\r\n", "", "\n", "")
	d := influx.NewDecoderWithBytes([]byte(body))
	n := 0
	for ; d.Next(); n++ {
		p, err := oraclePoint(d)
		switch {
		case err != nil && slices.ContainsFunc(gaps, func(gap string) bool { return hasControl(ends.Replace(gap)) }):
			return []string{betweenLines}
		case err != nil:
			t.Fatalf("body %q: the oracle refuses point %d: %v", body, n+1, err)
		case n == len(lines) || !p.equal(lines[n].ours):
			t.Fatalf("body %q: point %d of the oracle is %s, we read %d", body, n+1, p, len(lines))
		}
	}
	if n != len(lines) {
		t.Fatalf("body %q: the oracle reads %d points, we %d", body, n, len(lines))
	}
	return nil
}

// oracleLines are lines on which readers of line protocol have been known to part. The
// difference is empty where the two sides agree, be it that both refuse.
var oracleLines = []struct{ line, difference string }{
	{"cpu v=1 9", ""},
	{"cpu,key=b64== v=1 9", "equals signs in tag values"},
	{"cpu,url=x?a=1,z=2 v=1 9", "equals signs in tag values"},
	{"  cpu v=1 9", ""},
	{"\t cpu v=1 9", betweenLines},
	{"cpu v=1 9  ", ""},
	{"cpu v=1  ", ""},
	{"cpu   v=1   9", ""},
	{"cpu v=1 9\t", "tabs and carriage returns between parts"},
	{"cpu v=1\t9", "tabs and carriage returns between parts"},
	{"cpu,a=b\tv=1", "tabs and carriage returns between parts"},
	{"cpu v=1\r\ncpu v=2 9\r\n\r\ncpu v=\"3\"\r\n", ""},
	{"cpu v=1 9\r", ""},
	{"cpu v=1\r9", "tabs and carriage returns between parts"},
	{"cpu v=1\r\r\ncpu v=2\r\r", "tabs and carriage returns between parts"},
	{"cpu v=1 \r 9", "tabs and carriage returns between parts"},
	{"cpu\r v=1", "control characters in names"},
	{"# c\n#\n  # c\ncpu v=1", ""},
	{"# a\tb\ncpu v=1", betweenLines},
	{" \t \ncpu v=1", betweenLines},
	{"cpu v=1\n\rcpu v=2\n\n", betweenLines},
	{"\n\r\n  \ncpu v=1\n\n", ""},
	{"cpu v=1 # c", ""},

	{"cpu a=1i,b=-1i,c=0i,d=-0i,e=007i", ""},
	{"cpu a=1u,b=0u,c=18446744073709551615u", ""},
	{"cpu a=9223372036854775807i,b=-9223372036854775808i", ""},
	{"cpu a=9223372036854775808i", ""},
	{"cpu a=18446744073709551616u", ""},
	{"cpu a=-1u", ""},
	{"cpu a=1.5i", ""},
	{"cpu a=i", ""},
	{"cpu a=-i", ""},
	{"cpu a=1ii", ""},
	{"cpu a=+1i", "plus signs"},
	{"cpu a=+1u", "plus signs"},
	{"cpu a=+1", "plus signs"},
	{"cpu a=+.5e+3", "plus signs"},
	{"cpu a=+-1", ""},
	{"cpu a=+", ""},
	{"cpu a=1,b=1.,c=.5,d=-.5,e=1.e5,f=1e5,g=1E+5,h=1e-5,i=00.10", ""},
	{"cpu a=1e", ""},
	{"cpu a=e5", ""},
	{"cpu a=.", ""},
	{"cpu a=-", ""},
	{"cpu a=1e309", ""},
	{"cpu a=1e-999", ""},
	{"cpu a=NaN", ""},
	{"cpu a=nan", ""},
	{"cpu a=inf", ""},
	{"cpu a=-Inf", ""},
	{"cpu a=+Inf", ""},
	{"cpu a=Infinity", ""},
	{"cpu a=0x1p-2", "floats of the Go language"},
	{"cpu a=-0X1P5", "floats of the Go language"},
	{"cpu a=0x_1p5", "floats of the Go language"},
	{"cpu a=1_000.5", "floats of the Go language"},
	{"cpu a=0x1i", ""},
	{"cpu a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE", ""},
	{"cpu a=tRUE", ""},
	{"cpu a=tr", ""},
	{"cpu a=falsE", ""},
	{"cpu a=yes", ""},
	{"cpu a=T,b=", ""},

	{`cpu a="x",b="",c=" , = # "`, ""},
	{"cpu a=\"x\ny\r\nz\tw\" 9", ""},
	{`cpu a="\"\\",b="\\\"",c="\\\\"`, ""},
	{`cpu a="c:\x\y"`, ""},
	{`cpu a="c:\new"`, "escapes in strings"},
	{`cpu a="\t",b="\r"`, "escapes in strings"},
	{`cpu a="\\n"`, ""},
	{`cpu a="x`, ""},
	{`cpu a="x\"`, ""},
	{`cpu a="x"y`, ""},
	{`cpu a="x" y`, ""},
	{`cpu a="x"9`, ""},
	{`cpu a='x'`, ""},
	{"cpu a=\"a\x00b\"", "NUL in strings"},
	{"cpu a=\"a\x01b\x7f\"", ""},
	{"cpu a=\"\xff\"", ""},
	{"cpu a=\"\xed\xa0\x80\"", ""},
	{"cpu a=\"\ufffd\U0001f600\"", ""},

	{"cpu,a=b,c=d v=1", ""},
	{"cpu,a= v=1", ""},
	{"cpu,a=,b=c v=1", ""},
	{"cpu,=b v=1", ""},
	{"cpu, v=1", ""},
	{"cpu,,a=b v=1", ""},
	{"cpu,a=b, v=1", ""},
	{"cpu,a=b,", ""},
	{"cpu,a=b=c v=1", "equals signs in tag values"},
	{"cpu,a v=1", ""},
	{"cpu,a=b", ""},
	{"cpu,a=b ", ""},
	{"cpu", ""},
	{",a=b v=1", ""},
	{"=1", ""},
	{"cpu,a=1,a=1 v=1", "repeated tags"},
	{"cpu,a=1,b=2,a=3 v=1", "repeated tags"},
	{`cpu,a\ b=1,a\ b=3 v=1`, "repeated tags"},
	{"cpu v=1,v=2", ""},
	{"cpu v=1, 9", ""},
	{"cpu v=1,", ""},
	{"cpu v=1,,w=2", ""},
	{"cpu v", ""},
	{"cpu v=", ""},
	{"cpu v =1", ""},
	{"cpu v= 1", ""},
	{"cpu =1", ""},
	{"cpu,a=b,c v=1", ""},
	{"cpu a,b=1", ""},
	{"cpu a=b=1", ""},

	{`a\,b\ c,d\,e\ f\=g=h\,i\ j\=k l\,m\ n\=o=1`, ""},
	{`a\=b,c\d=e\f g\h=1`, ""},
	{`a\\b,c\\d=e\\f g\\h=1`, ""},
	{`a\\,b=c v=1`, ""},
	{`a,b=c\ v=1`, ""},
	{`a,b=c\\ v=1`, ""},
	{`a,b=c\`, ""},
	{`a v\=1`, ""},
	{`a v\\=1`, ""},
	{`a\`, ""},
	{`"a b" v=1`, ""},
	{`"a",b="c",d=" e"=1`, ""},
	{"a#b,c=# #=1", ""},
	{"温度,市=北京 値=1", ""},
	{"a\x01,b\x02=c\x7f d\x1f=1", "control characters in names"},
	{"a\x00 v=1", ""},
	{"a,b=c\x00 v=1", ""},
	{"a\xff v=1", ""},
	{"a\u00a0b v=1", ""},

	{"cpu v=1 -9", ""},
	{"cpu v=1 -0", ""},
	{"cpu v=1 +9", ""},
	{"cpu v=1 0009", ""},
	{"cpu v=1 9.0", ""},
	{"cpu v=1 1e9", ""},
	{"cpu v=1 9s", ""},
	{"cpu v=1 --9", ""},
	{"cpu v=1 9-9", ""},
	{"cpu v=1 -", ""},
	{"cpu v=1 9 9", ""},
	{"cpu v=1 9 #", ""},
	{"cpu v=1 9223372036854775807", ""},
	{"cpu v=1 -9223372036854775808", ""},
	{"cpu v=1 9223372036854775808", ""},
	{"cpu v=1 123461000000000000000000000000", ""},

	{"cpu,a=" + strings.Repeat("x", MaxKeyBytes-6) + " v=1", ""},
	{"cpu,a=" + strings.Repeat("x", MaxKeyBytes-5) + " v=1", "long names and strings"},
	{"cpu " + strings.Repeat("x", MaxKeyBytes) + "=1", ""},
	{"cpu " + strings.Repeat("x", MaxKeyBytes+1) + "=1", "long names and strings"},
	{`cpu v="` + strings.Repeat("x", MaxStringBytes) + `"`, ""},
	{`cpu v="` + strings.Repeat("x", MaxStringBytes+1) + `"`, "long names and strings"},
}

func TestTrickyLinesAgainstOracle(t *testing.T) {
	for _, c := range oracleLines {
		got := checkAgainstOracle(t, c.line)
		if got := strings.Join(slices.Compact(got), ", "); got != c.difference {
			t.Errorf("%.200q: %q, want %q", c.line, got, c.difference)
		}
	}
	for _, c := range slices.Concat(goodLines, badLines) {
		checkAgainstOracle(t, c.body)
	}
}

// TestEveryDifferenceOccursAndIsDocumented keeps the list from outliving its reasons.
func TestEveryDifferenceOccursAndIsDocumented(t *testing.T) {
	const path = "../docs/line-protocol.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{betweenLines}
	for _, d := range differences {
		if d.reason == "" {
			t.Errorf("%s: no reason", d.name)
		}
		names = append(names, d.name)
	}
	for _, name := range names {
		occurs := func(c struct{ line, difference string }) bool { return c.difference == name }
		if !slices.ContainsFunc(oracleLines, occurs) {
			t.Errorf("%s: no line shows it", name)
		}
		if row := "| " + strings.ToUpper(name[:1]) + name[1:] + " |"; !strings.Contains(string(text), row) {
			t.Errorf("%s: no row of %s begins with %s", name, path, row)
		}
	}
}

func TestRealDataReadsAsTheOracleReadsIt(t *testing.T) {
	for _, set := range datasets.All() {
		body, err := set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		points, errs := readAll(body)
		if len(errs) > 0 || len(points) != set.Points {
			t.Fatalf("%s: %d points, %v", set.Name, len(points), errs)
		}
		d := influx.NewDecoderWithBytes(body)
		for i, p := range points {
			p.line = 0
			if !d.Next() {
				t.Fatalf("%s: the oracle ends before point %d", set.Name, i+1)
			}
			if theirs, err := oraclePoint(d); err != nil || !theirs.equal(p) {
				t.Fatalf("%s, point %d: we read %s, the oracle %s, %v", set.Name, i+1, p, theirs, err)
			}
		}
		if d.Next() {
			t.Errorf("%s: the oracle reads more than %d points", set.Name, len(points))
		}
	}
}

func TestGeneratedBodiesAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(1, 6).Draw(t, "lines") {
			b.WriteString(goodishLine(t))
		}
		body := b.String()
		if rapid.Bool().Draw(t, "spoil") {
			body = spoil(t, body)
		}
		checkAgainstOracle(t, body)
	})
}

// FuzzAgainstOracle looks for a difference that has no reason.
func FuzzAgainstOracle(f *testing.F) {
	for _, c := range oracleLines {
		if len(c.line) < MaxKeyBytes {
			f.Add(c.line)
		}
	}
	for _, c := range slices.Concat(goodLines, badLines) {
		f.Add(c.body)
	}
	f.Fuzz(func(t *testing.T, body string) { checkAgainstOracle(t, body) })
}
