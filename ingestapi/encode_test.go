package ingestapi

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// parsed is a point as package lineprotocol reads it.
type parsed struct {
	line   int
	series lineprotocol.Series
	names  []string
	values []value
	ends   []int // the reader's column behind each field
	time   int64
}

// parse reads lines back; each must be a point.
func parse(t failer, text []byte) []parsed {
	var r lineprotocol.Reader
	r.Reset(text)
	var all []parsed
	for r.Next() {
		p := parsed{line: r.Line()}
		raw, err := r.Series()
		if err == nil {
			err = r.ParseSeries(raw, &p.series)
		}
		for more := true; err == nil && more; more = r.More() {
			var name []byte
			var v lineprotocol.Value
			if name, _, err = r.Key(); err != nil {
				break
			}
			p.names = append(p.names, string(name))
			if err = r.Value(&v, name); err != nil {
				break
			}
			p.values = append(p.values, value{kind: v.Type, bits: v.Bits, text: string(v.Text)})
			p.ends = append(p.ends, r.Column())
		}
		if err == nil {
			p.time, _, err = r.Time()
		}
		if err != nil {
			t.Fatalf("line %d of %q: %v", err.Line, text, err)
		}
		all = append(all, p)
	}
	return all
}

type failer interface{ Fatalf(string, ...any) }

// drawName draws any text that a check lets through.
func drawName(t *rapid.T, label string, check func(string) problem) string {
	pieces := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{
		`\`, `,`, ` `, `=`, `"`, `="`, `\\`, `\,`, `#`, "é", "😀", "a", "i", "1",
	}), rapid.String()), 1, 6)
	return rapid.Custom(func(t *rapid.T) string {
		var s string
		for _, p := range pieces.Draw(t, "pieces") {
			s += p
		}
		return s
	}).Filter(func(s string) bool { return check(s) == "" }).Draw(t, label)
}

func drawID(t *rapid.T, label string) string {
	return drawName(t, label, func(s string) problem {
		if !canBeID(s) {
			return notText
		}
		return ""
	})
}

func drawValue(t *rapid.T, label string) value {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) value {
			f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "number")
			return numberValue(f)
		}),
		rapid.Custom(func(t *rapid.T) value { return intValue(rapid.Int64().Draw(t, "integer")) }),
		rapid.Custom(func(t *rapid.T) value { return value{kind: schema.Uint64, bits: rapid.Uint64().Draw(t, "unsigned")} }),
		rapid.Custom(func(t *rapid.T) value { return boolValue(rapid.Bool().Draw(t, "boolean")) }),
		rapid.Custom(func(t *rapid.T) value {
			s := rapid.OneOf(rapid.StringOf(rapid.SampledFrom([]rune("\\\"\n\r\t ,=#a"))), rapid.String()).
				Filter(func(s string) bool { return parseable(s) }).Draw(t, "text")
			return textValue(s)
		}),
	).Draw(t, label)
}

func parseable(s string) bool {
	_, p := readText([]byte(mustJSON(s)), MaxStringBytes)
	return p == ""
}

// What the encoder writes, the reader of line protocol reads back, point by point; and what
// the reader would complain about is found in the item it came from.
func TestLinesReadBackAsTheyWereMeant(t *testing.T) { rapid.Check(t, checkLines) }

func FuzzLines(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkLines)) }

func checkLines(t *rapid.T) {
	type field struct {
		name  string
		value value
	}
	type wanted struct {
		user   string
		fields []field
		at     int64
	}
	var l lines
	var want []wanted
	for i := range rapid.IntRange(1, 5).Draw(t, "points") {
		w := wanted{user: drawID(t, "user"), at: rapid.Int64().Draw(t, "at")}
		l.begin(10*i, contactsTable)
		l.tag(userID, w.user)
		for range rapid.IntRange(1, 4).Draw(t, "fields") {
			f := field{drawName(t, "name", checkName), drawValue(t, "value")}
			l.field("member "+f.name, f.name, f.value)
			w.fields = append(w.fields, f)
		}
		l.end(w.at)
		want = append(want, w)
	}
	got := parse(t, l.text)
	if len(got) != len(want) {
		t.Fatalf("%d points became %d in %q", len(want), len(got), l.text)
	}
	for i, p := range got {
		w := want[i]
		if string(p.series.Measurement) != contactsTable || len(p.series.Tags) != 1 ||
			string(p.series.Tags[0].Key) != userID || string(p.series.Tags[0].Value) != w.user || p.time != w.at {
			t.Fatalf("point %d is %+v at %d, want %+v", i, p.series, p.time, w)
		}
		for k, f := range w.fields {
			if p.names[k] != f.name || p.values[k] != f.value {
				t.Fatalf("field %q=%+v became %q=%+v", f.name, f.value, p.names[k], p.values[k])
			}
			item, member := l.locate(engine.LineError{Line: p.line, Column: p.ends[k]})
			if item != 10*i || member != "member "+f.name {
				t.Fatalf("a fault of field %q of item %d is blamed on %q of item %d", f.name, 10*i, member, item)
			}
		}
	}
}

func TestFaultBehindTheFieldsIsOfTheWholeItem(t *testing.T) {
	var l lines
	l.begin(7, eventsTable)
	l.field("a", "p_a", textValue("x\ny"))
	l.end(1)
	l.begin(8, eventsTable)
	l.field("b", "p_b", numberValue(1))
	l.end(2)
	if item, member := l.locate(engine.LineError{Line: 1, Column: 1000}); item != 7 || member != wholeItem {
		t.Errorf("blamed on %s of item %d", member, item)
	}
	if item, member := l.locate(engine.LineError{Line: 2, Column: 1000}); item != 7 || member != wholeItem {
		t.Errorf("line 2, which is in a string of item 7, is %s of item %d", member, item)
	}
	if item, member := l.locate(engine.LineError{Line: 3, Column: 13}); item != 8 || member != "b" {
		t.Errorf("line 3 is %s of item %d", member, item)
	}
}
