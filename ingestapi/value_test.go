package ingestapi

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestValuesOfEveryKind(t *testing.T) {
	for _, c := range []struct {
		raw     string
		allowed nesting
		want    value
	}{
		{`"text"`, multivalue, textValue("text")},
		{`""`, multivalue, textValue("")},
		{`"a\nb\u0001\u00e9\ud83d\ude00"`, multivalue, textValue("a\nb\x01é😀")},
		{`"\\ud800"`, multivalue, textValue(`\ud800`)},
		{`"\ufffd"`, multivalue, textValue("\ufffd")},
		{`true`, multivalue, boolValue(true)},
		{`false`, multivalue, boolValue(false)},
		{`0`, multivalue, numberValue(0)},
		{`-0`, multivalue, numberValue(math.Copysign(0, -1))},
		{`19.9`, multivalue, numberValue(19.9)},
		{`1e-400`, multivalue, numberValue(0)},
		{`5e-324`, multivalue, numberValue(5e-324)},
		{`9007199254740992`, multivalue, numberValue(1 << 53)},
		{`1234567890123456768`, multivalue, numberValue(1234567890123456768)},
		{`1234567890123456800`, multivalue, numberValue(1234567890123456768)},
		{`10000000000000000000000`, multivalue, numberValue(1e22)},
		{`1180591620717411303424`, multivalue, numberValue(1 << 70)},
		{`12345678901234567890e0`, multivalue, numberValue(12345678901234567890)},
		{`[]`, multivalue, textValue(`[]`)},
		{`[ "a", 1.50, true, null ]`, multivalue, textValue(`["a",1.50,true,null]`)},
		{`{"b": [1, {"c": "x y"}]}`, anyJSON, textValue(`{"b":[1,{"c":"x y"}]}`)},
	} {
		got, p := readValue([]byte(c.raw), c.allowed)
		if p != "" || got != c.want {
			t.Errorf("%s: %+v %s, want %+v", c.raw, got, p, c.want)
		}
	}
}

func TestWhatCannotBeStoredExactlyIsRefused(t *testing.T) {
	long := `"` + strings.Repeat("x", MaxStringBytes+1) + `"`
	for _, c := range []struct {
		raw     string
		allowed nesting
		want    problem
	}{
		{`9007199254740993`, multivalue, inexactNumber},
		{`12345678901234567890`, multivalue, inexactNumber},
		{`1234567890123456769`, multivalue, inexactNumber},
		{`-9007199254740993`, multivalue, inexactNumber},
		{`1e400`, multivalue, hugeNumber},
		{`"a\u0000b"`, multivalue, notText},
		{"\"a\xffb\"", multivalue, notText},
		{`"\ud800"`, multivalue, notText},
		{`"\udc00"`, multivalue, notText},
		{`"x\ud83d\u0041"`, multivalue, notText},
		{`"\ud83d\ude00\ud83d"`, multivalue, notText},
		{"[\"\xff\"]", multivalue, notText},
		{long, multivalue, "Should be at most 32768 bytes long, not 32769"},
		{"[" + long + "]", multivalue, "Should be at most 32768 bytes of JSON, not 32773"},
		{`[["a"]]`, multivalue, multivalue.complain()},
		{`[{"a":1}]`, multivalue, multivalue.complain()},
		{`{"a":1}`, multivalue, "Should be a string, a number, a boolean, or an array of these"},
		{strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), anyJSON, "Should be nested at most 16 levels deep"},
	} {
		if _, p := readValue([]byte(c.raw), c.allowed); p != c.want {
			t.Errorf("%.40s: %q, want %q", c.raw, p, c.want)
		}
	}
}

func TestAttributesAreAnsweredAsTheyWereSent(t *testing.T) {
	for _, raw := range []string{
		`"text"`, `"<b> & "`, `""`, `true`, `false`, `0`, `19.9`, `-1e+300`, `1e+21`, `[]`, `["a",1.50,true,null]`,
		`"[1, 2]"`, `"[not JSON"`, `"[[1]]"`, `"[{\"a\":1}]"`,
	} {
		v, p := readValue([]byte(raw), multivalue)
		if p != "" {
			t.Errorf("%s: %s", raw, p)
			continue
		}
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(b.String()); got != raw {
			t.Errorf("%s is answered %s", raw, got)
		}
	}
}
