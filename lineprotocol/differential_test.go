package lineprotocol

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkAgainstReference reads a body in three ways: plainly, as the engine does (twice,
// so that the second time everything is predicted), and with the reference parser.
//
// It does so a second time with a line behind the body, because the fastest ways are not
// taken near a body's end.
func checkAgainstReference(t failer, body []byte) {
	t.Helper()
	checkOnce(t, body)
	checkOnce(t, append(bytes.Clone(body), "\n#"+strings.Repeat(" behind", 16)...))
}

func checkOnce(t failer, body []byte) {
	t.Helper()
	original := string(body)
	points, errs := readAll(body)
	wantPoints, wantBad := referenceParse(original)
	if diff := cmp.Diff(wantPoints, points, cmp.AllowUnexported(point{}, field{})); diff != "" {
		t.Fatalf("body %q: points differ from the reference:\n%s", body, diff)
	}
	checkErrors(t, body, errs, wantBad)
	var d predictor
	for range 2 {
		predicted, predictedErrs := d.readAll(body)
		if diff := cmp.Diff(points, predicted, cmp.AllowUnexported(point{}, field{})); diff != "" {
			t.Fatalf("body %q: predicting changes points:\n%s", body, diff)
		}
		checkErrors(t, body, predictedErrs, wantBad)
	}
	if string(body) != original {
		t.Fatalf("body %q was changed to %q", original, body)
	}
}

// checkErrors compares the lines on which errors lie, and makes sure that each error
// points at a byte of its line.
func checkErrors(t failer, body []byte, errs []Error, bad []int) {
	t.Helper()
	if len(errs) != len(bad) {
		t.Fatalf("body %q: errors %v, want one for each bad line %v", body, errs, bad)
	}
	lines := strings.Split(string(body), "\n")
	for i := range errs {
		e := &errs[i]
		// A fault behind a string may lie on a later physical line than the line's begin.
		if e.Line < bad[i] || i+1 < len(bad) && e.Line >= bad[i+1] || e.Line > len(lines) {
			t.Fatalf("body %q: error %v on line %d, want it from line %d on", body, e, e.Line, bad[i])
		}
		if e.Column < 1 || e.Column > len(lines[e.Line-1])+1 || len(e.Value) > 2*maxErrorValue {
			t.Fatalf("body %q: error %v in column %d of %q", body, e, e.Column, lines[e.Line-1])
		}
	}
}

// FuzzReader checks L2 and L3 on anything: no panic, and the same points as the
// reference parser.
func FuzzReader(f *testing.F) {
	for _, c := range goodLines {
		f.Add([]byte(c.body))
	}
	for _, c := range badLines {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkAgainstReference(t, body) })
}

// anyOf draws one of the generators.
func anyOf(generators ...*rapid.Generator[string]) *rapid.Generator[string] {
	return rapid.OneOf(generators...)
}

var (
	// nameText makes names and tag values, escaped, sometimes wrongly.
	nameText = rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "host", "é", `\ `, `\,`, `\=`, `\`, `\\`, `"`, "#", "0", "\r",
		}), 1, 4).Draw(t, "name")
		return strings.Join(parts, "")
	})
	stringText = rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"x", " ", ",", "=", "\n", "\r\n", `\"`, `\\`, `\n`, "é", "#", "a=1 2\nb=3",
		}), 0, 5).Draw(t, "string")
		return `"` + strings.Join(parts, "") + `"`
	})
	floatText = rapid.Custom(func(t *rapid.T) string {
		v := rapid.Float64().Draw(t, "float")
		format := rapid.SampledFrom([]byte("gef")).Draw(t, "format")
		return strconv.FormatFloat(v, format, rapid.IntRange(-1, 20).Draw(t, "digits"), 64)
	})
	digitText = rapid.StringMatching(`[+-]?[0-9]{0,22}\.?[0-9]{0,22}([eE][+-]?[0-9]{1,3})?`)
	valueText = anyOf(
		stringText, floatText, digitText,
		rapid.Map(rapid.Int64(), func(v int64) string { return strconv.FormatInt(v, 10) + "i" }),
		rapid.Map(rapid.Uint64(), func(v uint64) string { return strconv.FormatUint(v, 10) + "u" }),
		rapid.Map(digitText, func(s string) string { return s + "i" }),
		rapid.SampledFrom([]string{"t", "F", "true", "False", "TRUE", "1.", "-.5"}),
	)
	blankText = rapid.SampledFrom([]string{" ", " ", " ", "  ", "\t", " \t ", "\r", ""})
	timeText  = anyOf(
		rapid.Just(""), rapid.StringMatching(`-?[0-9]{1,21}`),
		rapid.Map(rapid.Int64(), func(v int64) string { return strconv.FormatInt(v, 10) }),
	)
	lineEnd = rapid.SampledFrom([]string{"\n", "\n", "\r\n", " \n", "\n# c\n", "\n\n \n"})
)

// goodishLine makes a line that is good unless names or numbers came out wrong.
func goodishLine(t *rapid.T) string {
	var b strings.Builder
	b.WriteString(nameText.Draw(t, "measurement"))
	for range rapid.IntRange(0, 3).Draw(t, "tags") {
		fmt.Fprintf(&b, ",%s=%s", nameText.Draw(t, "key"), nameText.Draw(t, "value"))
	}
	b.WriteString(rapid.SampledFrom([]string{" ", " ", "  ", "\t"}).Draw(t, "gap"))
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%s", nameText.Draw(t, "key"), valueText.Draw(t, "value"))
	}
	b.WriteString(blankText.Draw(t, "gap") + timeText.Draw(t, "time") + blankText.Draw(t, "gap"))
	return b.String() + lineEnd.Draw(t, "end")
}

// spoil cuts a body or drops, repeats or changes one of its bytes.
func spoil(t *rapid.T, body string) string {
	if body == "" {
		return body
	}
	at := rapid.IntRange(0, len(body)-1).Draw(t, "spoilt byte")
	switch rapid.IntRange(0, 3).Draw(t, "damage") {
	case 0:
		return body[:at]
	case 1:
		return body[:at] + body[at+1:]
	case 2:
		return body[:at] + body[at:at+1] + body[at:]
	}
	return body[:at] + rapid.SampledFrom([]string{`"`, `\`, "\n", " ", ",", "=", "\x00", "\xff"}).Draw(t, "byte") + body[at+1:]
}

func TestReaderAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(1, 6).Draw(t, "lines") {
			b.WriteString(goodishLine(t))
		}
		body := b.String()
		if rapid.Bool().Draw(t, "spoil") {
			body = spoil(t, body)
		}
		checkAgainstReference(t, []byte(body))
	})
}

// TestFloatsAreExact compares the bits with strconv's, in which float64 values are
// rounded correctly.
func TestFloatsAreExact(t *testing.T) {
	check := func(t failer, text string) {
		want, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return
		}
		body := []byte("m v=1 1\nm v=" + text + " 1")
		for range 2 {
			var d predictor
			points, errs := d.readAll(body)
			if len(errs) > 0 || points[1].fields[0].typ != schema.Float64 {
				t.Fatalf("%s: %v %v", text, points, errs)
			}
			if got := points[1].fields[0].bits; got != math.Float64bits(want) {
				t.Fatalf("%s: got %x, want %x", text, got, math.Float64bits(want))
			}
			body = append(body, "\n#"+strings.Repeat(" ", 64)...) // the fast path is not taken at the body's end
		}
	}
	for _, text := range []string{
		"9007199254740991", "9007199254740992", "9007199254740993", "900719925474099.3", "0.9007199254740993",
		"90071992547409.97", "9007199254740.9989", "14411518807585.587", "0.36028797018963967", "72057594037.927937",
		"999999999999999999", "0.0000000000000000000001", "0.00000000000000000000001", "-0.0", "5e-324",
		"1.7976931348623157e308", "2.2250738585072011e-308", "8.5", "123456789012345678.", "0.1", "100000000000000000000000",
	} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, floatText.Draw(t, "float")) })
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringMatching(`[+-]?[0-9]{1,20}(\.[0-9]{0,25})?`).Draw(t, "digits")) })
}
