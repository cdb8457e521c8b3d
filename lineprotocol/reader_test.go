package lineprotocol

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// goodLines maps bodies to the points in them, see point.String.
var goodLines = []struct{ name, body, want string }{
	{"float", "cpu v=1.5 9", "1: cpu | v=1.5 | 9"},
	{"float without a point", "cpu v=1 9", "1: cpu | v=1 | 9"},
	{"float with a bare point", "cpu a=1.,b=.5,c=-.5 9", "1: cpu | a=1 b=0.5 c=-0.5 | 9"},
	{"float with an exponent", "cpu a=1e3,b=-1.5E-3,c=2e+2 9", "1: cpu | a=1000 b=-0.0015 c=200 | 9"},
	{"float with a sign", "cpu a=+1,b=-0,c=-1.25 9", "1: cpu | a=1 b=-0 c=-1.25 | 9"},
	{"float of many digits", "cpu a=123456789012345678901234567890,b=0.1234567890123456789 9", "1: cpu | a=1.2345678901234568e+29 b=0.12345678901234568 | 9"},
	{"float that underflows", "cpu a=1e-400 9", "1: cpu | a=0 | 9"},
	{"integer", "cpu a=1i,b=-1i,c=+1i,d=-0i 9", "1: cpu | a=1i b=-1i c=1i d=0i | 9"},
	{"integer at its ends", "cpu a=9223372036854775807i,b=-9223372036854775808i 9", "1: cpu | a=9223372036854775807i b=-9223372036854775808i | 9"},
	{"integer with leading zeros", "cpu a=00000000000000000000001i 9", "1: cpu | a=1i | 9"},
	{"unsigned", "cpu a=0u,b=18446744073709551615u,c=+1u,d=+1234567890123456789u 9", "1: cpu | a=0u b=18446744073709551615u c=1u d=1234567890123456789u | 9"},
	{"boolean", "cpu a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 9", "1: cpu | a=true b=true c=true d=true e=true f=false g=false h=false i=false j=false | 9"},
	{"string", `cpu a="x",b="" 9`, `1: cpu | a="x" b="" | 9`},
	{"string with separators", `cpu a="x, y=z \t # 1" 9`, `1: cpu | a="x, y=z \\t # 1" | 9`},
	{"string with escapes", `cpu a="say \"hi\"",b="c:\\d",c="\n\x" 9`, `1: cpu | a="say \"hi\"" b="c:\\d" c="\\n\\x" | 9`},
	{"string that ends in a backslash", `cpu a="\\",b="x\\" 9`, `1: cpu | a="\\" b="x\\" | 9`},
	{"string with newlines", "cpu a=\"x\ny\r\n\nz\" 9\nmem b=1 8", "1: cpu | a=\"x\\ny\\r\\n\\nz\" | 9\n5: mem | b=1 | 8"},
	{"strings in one line keep apart", `cpu a="\"1\"",b="\"2\"" 9`, `1: cpu | a="\"1\"" b="\"2\"" | 9`},
	{"unicode", `温度,市=北京 値="ä" 9`, `1: "温度" "市"="北京" | "値"="ä" | 9`},

	{"tags", "cpu,a=1,b=2,c=x/y:z v=1 9", `1: cpu a=1 b=2 c="x/y:z" | v=1 | 9`},
	{"tags stay in order", "cpu,z=1,a=2 v=1 9", "1: cpu z=1 a=2 | v=1 | 9"},
	{"quotes outside of values are text", `"cpu",a="x",b=" v"=1 9`, `1: "\"cpu\"" a="\"x\"" b="\"" | "v\""=1 | 9`},
	{"escaped measurement", `a\,b\ c,t=x v=1 9`, `1: "a,b c" t=x | v=1 | 9`},
	{"equals signs in a tag value", `cpu,a=b=c,d=YQ==,e=\== v=1`, `1: cpu a="b=c" d="YQ==" e="==" | v=1`},
	{"equals sign in a measurement", `a=b\=c,t=x v=1 9`, `1: "a=b\\=c" t=x | v=1 | 9`},
	{"escaped tags", `cpu,a\,b\ c\=d=e\,f\ g\=h v=1 9`, `1: cpu "a,b c=d"="e,f g=h" | v=1 | 9`},
	{"escaped field key", `cpu a\,b\ c\=d=1,e\ f=2 9`, `1: cpu | "a,b c=d"=1 "e f"=2 | 9`},
	{"backslashes that escape nothing", `c\pu,a\b=c\\d e\f=1 9`, `1: "c\\pu" "a\\b"="c\\\\d" | "e\\f"=1 | 9`},
	{"escaped tag value runs on", `cpu,a=b\\,c\=d v=1 9`, `1: cpu a="b\\,c=d" | v=1 | 9`},
	{"escaped separator at the end of a series", `cpu,a=b\ ,c=d v=1 9`, `1: cpu a="b " c=d | v=1 | 9`},
	{"comment sign in a line", "cpu#,a=# v#=1 9", `1: "cpu#" a="#" | "v#"=1 | 9`},

	{"no time", "cpu v=1", "1: cpu | v=1"},
	{"no time, a blank", "cpu v=1 ", "1: cpu | v=1"},
	{"negative time", "cpu v=1 -9", "1: cpu | v=1 | -9"},
	{"time zero", "cpu v=1 0\ncpu v=1 -0", "1: cpu | v=1 | 0\n2: cpu | v=1 | 0"},
	{"time at its ends", "cpu v=1 9223372036854775807\ncpu v=1 -9223372036854775808", "1: cpu | v=1 | 9223372036854775807\n2: cpu | v=1 | -9223372036854775808"},
	{"time with leading zeros", "cpu v=1 00000000000000000000000009", "1: cpu | v=1 | 9"},

	{"newline at the end", "cpu v=1 9\n", "1: cpu | v=1 | 9"},
	{"no newline at the end", "cpu v=1 9\nmem v=2 8", "1: cpu | v=1 | 9\n2: mem | v=2 | 8"},
	{"CRLF", "cpu v=1 9\r\nmem v=2\r\ndisk v=t\r\nnet v=\"x\"\r\nio v=3i\r\n", "1: cpu | v=1 | 9\n2: mem | v=2\n3: disk | v=true\n4: net | v=\"x\"\n5: io | v=3i"},
	{"leading blanks", "  \t cpu v=1 9", "1: cpu | v=1 | 9"},
	{"trailing blanks", "cpu v=1 9 \t \nmem v=2 8 ", "1: cpu | v=1 | 9\n2: mem | v=2 | 8"},
	{"many blanks between the parts", "cpu   v=1 \t  9", "1: cpu | v=1 | 9"},
	{"tabs between the parts", "cpu,a=b\tv=1\t9", "1: cpu a=b | v=1 | 9"},
	{"comments", "# one\ncpu v=1 9\n  # two, \"half\n\t#\nmem v=2 8\n#", "2: cpu | v=1 | 9\n5: mem | v=2 | 8"},
	{"blank lines", "\n\n \t\r\ncpu v=1 9\n\n\nmem v=2 8\n\n", "4: cpu | v=1 | 9\n7: mem | v=2 | 8"},
	{"nothing", "", ""},
	{"only comments", "# a\n#b\n\n", ""},
}

func TestGoodLines(t *testing.T) {
	for _, c := range goodLines {
		t.Run(c.name, func(t *testing.T) {
			points, errs := readAll([]byte(c.body))
			if diff := cmp.Diff(c.want, strings.Join(describe(points, errs), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// badLines maps bodies to the errors and the points that are left.
var badLines = []struct{ name, body, want string }{
	{"no value", "cpu,host=a val= 123", "1:16 No fields were provided"},
	{"no fields", "cpu,host=a", "1:11 No fields were provided"},
	{"no fields but blanks", "cpu,host=a  \r\n", "1:11 No fields were provided"},
	{"time in place of fields", "cpu,host=a 123", "1:12 No fields were provided"},
	{"no equals sign", "cpu,host=a val 123", "1:12 No fields were provided"},
	{"empty field key", "cpu =1 9", "1:5 No fields were provided"},
	{"empty measurement", ",host=a v=1 9", "1:1 Invalid measurement was provided"},
	{"only a comma", ",", "1:1 Invalid measurement was provided"},

	{"tag without a value", "cpu,host v=1", "1:5 Tag set malformed: expected tag key and value, got `host`"},
	{"tag with an empty value", "cpu,a=1,host= v=1", "1:9 Tag set malformed: expected tag key and value, got `host=`"},
	{"tag with an empty key", "cpu,=a v=1", "1:5 Tag set malformed: expected tag key and value, got `=a`"},
	{"tag that is empty", "cpu, v=1", "1:5 Tag set malformed: expected tag key and value, got ``"},
	{"tags that end in a comma", "cpu,a=b, v=1", "1:9 Tag set malformed: expected tag key and value, got ``"},
	{"tag whose comma is escaped", `cpu,a=b\\,c=d v=1 9`, "1:5 Tag set malformed: expected tag key and value, got `a=b\\\\,c=d`"},
	{"tag twice", "cpu,a=1,b=2,a=3 v=1", "1:1 invalid line protocol - multiple instances of 'a' tag found"},
	{"tag twice by escapes", `cpu,a\ b=1,a\ b=3 v=1`, "1:1 invalid line protocol - multiple instances of 'a b' tag found"},

	{"later field without a value", "cpu a=1,b= 9", "1:11 No value was provided for field 'b'"},
	{"later field without an equals sign", "cpu a=1,b 9", "1:9 Expected field key and value, got `b`"},
	{"later field without a key", "cpu a=1,=2 9", "1:9 Expected field key and value, got `=`"},
	{"comma behind the fields", "cpu a=1, 9", "1:9 Expected field key and value, got ``"},
	{"comma at the end of a CRLF line", "cpu a=1,\r\n", "1:9 Expected field key and value, got ``"},

	{"integer too large", "cpu v=9223372036854775808i 9", "1:7 Unable to parse integer value `9223372036854775808`"},
	{"integer too small", "cpu v=-9223372036854775809i 9", "1:7 Unable to parse integer value `-9223372036854775809`"},
	{"integer with a fraction", "cpu v=1.5i 9", "1:7 Unable to parse integer value `1.5`"},
	{"integer without digits", "cpu v=-i 9", "1:7 Unable to parse integer value `-`"},
	{"integer with more behind", "cpu v=1i5 9", "1:7 Unable to parse integer value `1i5`"},
	{"unsigned too large", "cpu v=18446744073709551616u 9", "1:7 Unable to parse unsigned integer value `18446744073709551616`"},
	{"unsigned with a minus", "cpu v=-1u 9", "1:7 Unable to parse unsigned integer value `-1`"},
	{"unsigned with two signs", "cpu v=++1u 9", "1:7 Unable to parse unsigned integer value `++1`"},
	{"float with two points", "cpu v=1.2.3 9", "1:7 Unable to parse floating-point value `1.2.3`"},
	{"float too large", "cpu v=1e400 9", "1:7 Unable to parse floating-point value `1e400`"},
	{"float with a letter", "cpu v=1x 9", "1:7 Unable to parse floating-point value `1x`"},
	{"float in hexadecimal", "cpu v=0x1p4 9", "1:7 Unable to parse floating-point value `0x1p4`"},
	{"float with an underscore", "cpu v=1_000 9", "1:7 Unable to parse floating-point value `1_000`"},
	{"float without digits", "cpu a=.,b=1 9", "1:7 Unable to parse floating-point value `.`"},
	{"not a number", "cpu v=NaN 9", "1:7 Unable to parse field value `NaN`: strings need double quotes, integers end in i or u, booleans are true or false"},
	{"infinity", "cpu v=inf 9", "1:7 Unable to parse field value `inf`: strings need double quotes, integers end in i or u, booleans are true or false"},
	{"infinity with a sign", "cpu v=-Inf 9", "1:7 Unable to parse floating-point value `-Inf`"},
	{"string without quotes", "cpu v=idle 9", "1:7 Unable to parse field value `idle`: strings need double quotes, integers end in i or u, booleans are true or false"},
	{"boolean in mixed case", "cpu v=tRUE 9", "1:7 Unable to parse field value `tRUE`: strings need double quotes, integers end in i or u, booleans are true or false"},
	{"string that does not end", "cpu v=\"abc\nmem v=1 9", "1:7 String of field 'v' has no closing double quote\n2: mem | v=1 | 9"},
	{"text behind a string", `cpu v="a"b 9`, "1:10 Could not parse entire line. Found trailing content: `b 9`"},

	{"time that is no number", "cpu v=1 abc", "1:8 Could not parse entire line. Found trailing content: ` abc`"},
	{"time with letters behind", "cpu v=1 123abc", "1:12 Could not parse entire line. Found trailing content: `abc`"},
	{"time with a fraction", "cpu v=1 1.5", "1:10 Could not parse entire line. Found trailing content: `.5`"},
	{"time with a plus", "cpu v=1 +5", "1:8 Could not parse entire line. Found trailing content: ` +5`"},
	{"time of a minus", "cpu v=1 -", "1:8 Could not parse entire line. Found trailing content: ` -`"},
	{"two times", "cpu v=1 1 2", "1:10 Could not parse entire line. Found trailing content: ` 2`"},
	{"much trailing content", "cpu v=1 1 23456789012345", "1:10 Could not parse entire line. Found trailing content: ` 234567890...`"},
	{"trailing content is cut between runes", "cpu v=1 1 12345678éé", "1:10 Could not parse entire line. Found trailing content: ` 12345678...`"},
	{"trailing content before CRLF", "cpu v=1 abc\r\n", "1:8 Could not parse entire line. Found trailing content: ` abc`"},
	{"time too large", "cpu v=1 123461000000000000000000000000", "1:9 Unable to parse timestamp value `123461000000000000000000000000`"},
	{"time just too large", "cpu v=1 9223372036854775808", "1:9 Unable to parse timestamp value `9223372036854775808`"},
	{"time just too small", "cpu v=1 -9223372036854775809", "1:9 Unable to parse timestamp value `-9223372036854775809`"},

	{"NUL in a measurement", "c\x00u v=1", "1:1 Names and strings must be valid UTF-8 without NUL characters"},
	{"broken UTF-8 in a tag", "cpu,a=\xff v=1", "1:1 Names and strings must be valid UTF-8 without NUL characters"},
	{"broken UTF-8 in a field key", "cpu \xff=1", "1:5 Names and strings must be valid UTF-8 without NUL characters"},
	{"overlong UTF-8 in a measurement", "c\xc0\xafu v=1", "1:1 Names and strings must be valid UTF-8 without NUL characters"},
	{"half of a surrogate pair in a string", "cpu v=\"\xed\xa0\x80\"", "1:7 Names and strings must be valid UTF-8 without NUL characters"},
	{"NUL in a string", "cpu v=\"\x00\"", "1:7 Names and strings must be valid UTF-8 without NUL characters"},
	{"broken UTF-8 in a string", "cpu v=\"\xff\"", "1:7 Names and strings must be valid UTF-8 without NUL characters"},
}

func TestBadLines(t *testing.T) {
	for _, c := range badLines {
		t.Run(c.name, func(t *testing.T) {
			points, errs := readAll([]byte(c.body))
			if diff := cmp.Diff(c.want, strings.Join(describe(points, errs), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPlainMessages differ from the others in the quotes that they add, not in those of
// the line.
func TestPlainMessages(t *testing.T) {
	for body, want := range map[string]string{
		"cpu v=1 123461000000000000000000000000": "Unable to parse timestamp value '123461000000000000000000000000'",
		"cpu,host v=1":                           "Tag set malformed: expected tag key and value, got 'host'",
		"cpu v=1,w 9":                            "Expected field key and value, got 'w'",
		"cpu v=1.5i":                             "Unable to parse integer value '1.5'",
		"cpu v=-1u":                              "Unable to parse unsigned integer value '-1'",
		"cpu v=1.2.3":                            "Unable to parse floating-point value '1.2.3'",
		"cpu v=`a`":                              "Unable to parse field value '`a`': strings need double quotes, integers end in i or u, booleans are true or false",
		"cpu v=1 `":                              "Could not parse entire line. Found trailing content: ' `'",
		"cpu v=":                                 "No fields were provided",
		"cpu,a=1,a=1 v=1":                        "invalid line protocol - multiple instances of 'a' tag found",
	} {
		_, errs := readAll([]byte(body))
		if len(errs) != 1 || errs[0].Plain() != want {
			t.Errorf("%s: %v", body, errs)
			continue
		}
		if !strings.Contains(body, "`") && strings.ReplaceAll(errs[0].Error(), "`", "'") != want {
			t.Errorf("%s: %s, plainly %s", body, errs[0].Error(), want)
		}
	}
}

// TestBadLineCostsNoOther puts each bad line between good ones, which must come out
// as if it were not there (L2).
func TestBadLineCostsNoOther(t *testing.T) {
	before, after := "a,t=x v=1 1\n", "b,t=y v=\"s\" 2\nc v=3i 3"
	for _, c := range badLines {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.TrimSuffix(c.body, "\n")
			if strings.Contains(bad, "\n") || strings.Contains(c.name, "does not end") {
				t.Skip("more than one line")
			}
			points, errs := readAll([]byte(before + bad + "\n" + after))
			if len(errs) != 1 || errs[0].Line != 2 {
				t.Errorf("errors: %v", errs)
			}
			want := []string{"1: a t=x | v=1 | 1", `3: b t=y | v="s" | 2`, "4: c | v=3i | 3"}
			if diff := cmp.Diff(want, describe(points, nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestErrorsNamePhysicalLines covers what makes physical lines differ from points:
// comments, blank lines, and newlines in strings before and behind the fault.
func TestErrorsNamePhysicalLines(t *testing.T) {
	body := strings.Join([]string{
		"# comment",                  // 1
		"cpu v=1 1",                  // 2
		"",                           // 3
		"  cpu v= 2",                 // 4
		"cpu s=\"a",                  // 5
		"b\",v=x 3",                  // 6: the fault is on the string's second line
		"\r",                         // 7
		"cpu v=x,s=\"a",              // 8
		"cpu injected=1 1",           // 9: part of the string, not a point
		"c\",w=\"d",                  // 10
		"e\" 4",                      // 11
		"cpu v=5 5 5",                // 12
		"mem s=\"x\ny\" 99999999999", // 13, 14
		"mem v=1 1",                  // 15
	}, "\n")
	points, errs := readAll([]byte(body))
	want := []string{
		"2: cpu | v=1 | 1",
		"4:9 No fields were provided",
		"6:6 Unable to parse field value `x`: strings need double quotes, integers end in i or u, booleans are true or false",
		"8:7 Unable to parse field value `x`: strings need double quotes, integers end in i or u, booleans are true or false",
		"12:10 Could not parse entire line. Found trailing content: ` 5`",
		`13: mem | s="x\ny" | 99999999999`,
		"15: mem | v=1 | 1",
	}
	if diff := cmp.Diff(want, describe(points, errs)); diff != "" {
		t.Error(diff)
	}
}

// TestSkipTakesNoStringForLines gives lines up at every place where a caller may.
func TestSkipTakesNoStringForLines(t *testing.T) {
	body := []byte("cpu,a=b v=1,s=\"x\ny z=1 1\n\",t=\"\n\" 1\nmem v=2 2")
	steps := []func(r *Reader){
		func(r *Reader) { r.Series() },
		func(r *Reader) { r.Key() },
		func(r *Reader) { r.Value(new(Value), nil) },
		func(r *Reader) { r.More() },
		func(r *Reader) { r.Key() },
		func(r *Reader) { r.Value(new(Value), nil) },
		func(r *Reader) { r.More() },
		func(r *Reader) { r.Key() },
		func(r *Reader) { r.Value(new(Value), nil) },
		func(r *Reader) { r.Time() },
	}
	for n := range len(steps) + 1 {
		var r Reader
		r.Reset(body)
		r.Next()
		for _, step := range steps[:n] {
			step(&r)
		}
		r.Skip()
		r.Skip() // at the end of a line nothing is left to skip
		if !r.Next() || r.Line() != 5 || string(r.Raw()) != "mem v=2 2" {
			t.Errorf("after %d steps reading goes on with %q on line %d", n, r.Raw(), r.Line())
		}
	}
}

// TestSkipKeepsLinesBehindStrayQuotes: what looks like a string but is none ends with
// its line.
func TestSkipKeepsLinesBehindStrayQuotes(t *testing.T) {
	for _, bad := range []string{`cpu v=x,s="open 1`, `cpu v=x,s="open,t="2" 1`, `cpu v=x" 1`, `cpu,t="x v=y 1`} {
		points, errs := readAll([]byte(bad + "\nmem s=\"s\" 2\nmem v=3 3"))
		if len(errs) != 1 || !slices.Equal(describe(points, nil), []string{`2: mem | s="s" | 2`, "3: mem | v=3 | 3"}) {
			t.Errorf("%s: %v", bad, describe(points, errs))
		}
	}
}

func TestRawIsTheWholeLine(t *testing.T) {
	const first = "cpu,a=b s=\"x\ny\" 12"
	var r Reader
	var s Series
	r.Reset([]byte("  " + first + "\r\nmem v=\r\n"))
	r.Next()
	if _, err := readPoint(&r, &s); err != nil || string(r.Raw()) != first {
		t.Errorf("after reading all (%v): %q", err, r.Raw())
	}
	r.Next()
	if got := string(r.Raw()); got != "mem v=" {
		t.Errorf("before reading anything: %q", got)
	}
	if _, err := readPoint(&r, &s); err == nil || string(r.Raw()) != "mem v=" {
		t.Errorf("after an error (%v): %q", err, r.Raw())
	}
	r.Reset(nil)
	if got := string(r.Raw()); got != "" {
		t.Errorf("after Reset: %q", got)
	}
}

// TestColumnCountsFromTheLinesBeginning: a caller's own faults are placed by Line and
// Column.
func TestColumnCountsFromTheLinesBeginning(t *testing.T) {
	var r Reader
	r.Reset([]byte("\n  cpu a=\"x\ny\",b=2"))
	r.Next()
	r.Series()
	r.Key()
	r.Value(new(Value), nil)
	if r.Line() != 2 || r.Column() != 14 {
		t.Errorf("line %d column %d, want line 2 column 14", r.Line(), r.Column())
	}
}

// TestPredictionIsExact offers series and keys that only look like what comes.
func TestPredictionIsExact(t *testing.T) {
	for _, c := range []struct {
		body, series, key   string
		isSeries, isKeyNext bool
	}{
		{"cpu,a=b v=1", "cpu,a=b ", "v=", true, true},
		{"cpu,a=b   v=1", "cpu,a=b ", "v=", true, true},
		{"cpu,a=bc v=1", "cpu,a=b ", "", false, false},
		{"cpu,a=b", "cpu,a=b ", "", false, false},
		{`cpu,a=b\ c v=1`, `cpu,a=b\ `, "", false, false}, // the series of a line cpu,a=b\<tab>v=1
		{"cpu v2=1", "cpu ", "v=", true, false},
		{"cpu v", "cpu ", "v=", true, false},
	} {
		var r Reader
		r.Reset([]byte(c.body))
		r.Next()
		if got := r.SkipSeries([]byte(c.series)); got != c.isSeries {
			t.Errorf("%s: series %q: %t", c.body, c.series, got)
		}
		if c.isSeries && r.SkipKey([]byte(c.key)) != c.isKeyNext {
			t.Errorf("%s: key %q is not taken as it should", c.body, c.key)
		}
	}
}

// TestSeriesBeforeDoNotMatter: what is kept of one series changes nothing of how the next is read.
func TestSeriesBeforeDoNotMatter(t *testing.T) {
	parse := func(text string, s *Series) string {
		var r Reader
		r.Reset([]byte(text + " f=1"))
		r.Next()
		raw, err := r.Series()
		if err == nil {
			err = r.ParseSeries(raw, s)
		}
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%q %q", s.Measurement, s.Tags)
	}
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SampledFrom([]string{",a=1", ",b=1", ",ab=1", ",a=b=1", `,a\=b=1`, `,a\,=1`, ",=1", ",b=", ",b"})
		var s Series
		for range rapid.IntRange(2, 6).Draw(t, "series") {
			text := "m" + strings.Join(rapid.SliceOfN(tags, 0, 3).Draw(t, "tags"), "")
			if got, want := parse(text, &s), parse(text, new(Series)); got != want {
				t.Fatalf("%q is %s behind others, %s alone", text, got, want)
			}
		}
	})
}
