package transfer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// importText reads all of a file, and lists lines and refused rows with their places. An
// error that ends the file is the last entry.
func importText(from chunker) (lines []string) {
	for {
		c, err := from.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			return append(lines, err.Error())
		}
		for i, line := range strings.SplitAfter(string(c.Body), "\n")[:len(c.Places)] {
			lines = append(lines, fmt.Sprintf("%d: %s", c.Places[i], strings.TrimSuffix(line, "\n")))
		}
		for _, r := range c.Refused {
			lines = append(lines, fmt.Sprintf("%d refused: %s", r.Place, r.Reason))
		}
	}
}

func TestCSV(t *testing.T) {
	limits := Limits{Lines: 100, Bytes: 1 << 20}
	plain := Options{Table: "r", TagColumns: []string{"room"}, Limits: limits}
	for _, c := range []struct {
		name, text string
		o          Options
		want       []string
	}{
		{
			"an answer of Flux", `#group,false,false,true,true,false,false,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,host
,,0,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00Z,15.5,mem used,m m,A
,,0,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:01Z,oops,mem used,m m,A

,result,table,_start,_stop,_time,_value,_field,_measurement,host
,,0,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:02.5Z,2,load,m m,

#datatype,string,long,dateTime:RFC3339,unsignedLong,string,string
#group,false,false,false,false,true,true
#default,_result,,,,,
,result,table,_time,_value,_field,_measurement
,,0,2023-01-01T00:52:00Z,18446744073709551615,n,m2
`,
			Options{Limits: limits},
			[]string{
				`5: m\ m,host=A mem\ used=15.5 1672534320000000000`,
				`9: m\ m load=2 1672534322500000000`,
				`15: m2 n=18446744073709551615u 1672534320000000000`,
				`6 refused: column "_value": "oops" is not a number, which the column's type says`,
			},
		},
		{
			"a pivoted answer of Flux", `#datatype,string,long,dateTime:RFC3339,string,string,long,string
#group,false,false,false,true,true,false,false
#default,_result,,,,,,
,result,table,_time,_measurement,host,n,note
,,0,2023-01-01T00:00:00Z,m,a,5,"so, so"
`,
			Options{Limits: limits},
			[]string{`5: m,host=a n=5i,note="so, so" 1672531200000000000`},
		},
		{
			"as influx write takes it", "#datatype measurement,tag,double,dateTime:number\n#default ,,1.5,\nm,host,used,time\nmem,h 1,64.25,1577836800000000000\nmem,h2,,5\n",
			Options{Limits: limits},
			[]string{`4: mem,host=h\ 1 used=64.25 1577836800000000000`, `5: mem,host=h2 used=1.5 5`},
		},
		{
			"plain", "time,room,temp,ok,note\r\n2026-01-02 03:04:05,hall,21,true,\"a\r\nb\"\r\n1767225600,attic,,,\"\"\r\n1767225601.5,attic,1,,\n2026-01-02,attic,cold,,\n",
			plain,
			[]string{
				`2: r,room=hall temp=21,ok=true,note="a` + "\r", `2: b" 1767323045000000000`,
				`4: r,room=attic note="" 1767225600000000000`,
				`6: r,room=attic temp="cold" 1767312000000000000`,
				`5 refused: column "time": "1767225601.5" is no time such as 2026-11-20T08:00:00Z, and no number`,
			},
		},
		{
			"types by name", "time,room,temp,n\n1,a,21,7\n2,a,x,7\n3,a,1,7.5\n",
			Options{Table: "r", TagColumns: []string{"room"}, Types: map[string]schema.ColumnType{"n": schema.Int64, "temp": schema.Float64}, Precision: lineprotocol.Second, Limits: limits},
			[]string{
				`2: r,room=a temp=21,n=7i 1000000000`,
				`3 refused: column "temp": "x" is not a number, which the column's type says`,
				`4 refused: column "n": "7.5" is not an integer of 64 bits, which the column's type says`,
			},
		},
		{
			"rows that are wrong", "time,room,v\n1,a\n2,a\"b,1\n3,a,NaN\n4,a\\,1\n5,a,\n,a,1\n99999999999999999999,a,1\n6,a,1\n", plain,
			[]string{
				"9: r,room=a v=1 6000000000",
				"2 refused: the row has 2 fields, the header 3",
				"3 refused: a quote in the middle of a field: put the field into quotes and double those in it",
				`4 refused: column "v": NaN is not a number that can be stored`,
				`5 refused: column "room": the value of the tag "a\\" ends in a backslash, which line protocol cannot say`,
				`6 refused: column "time": no field has a value in this row, and line protocol needs one`,
				`7 refused: column "time": the row has no time`,
				`8 refused: column "time": "99999999999999999999" is no time such as 2026-11-20T08:00:00Z, and no number`,
			},
		},
		{"a quote that is not closed", "time,room,v\n1,a,1\n2,\"a,1\n3,a,1\n", plain, []string{"2: r,room=a v=1 1000000000", "line 3: a quote that begins here is not closed"}},
		{"no time", "when,v\n1,1\n", plain, []string{"line 1: one column must hold the time, and 0 do; say with --time-column which: when, v"}},
		{"no tags", "time,v\n1,1\n", Options{Table: "r", Limits: limits}, []string{"line 1: the file does not say which columns are tags; name them with --tag-columns, or say --no-tags: time, v"}},
		{"no table", "time,v\n1,1\n", Options{NoTags: true, Limits: limits}, []string{"line 1: the table's name is empty; name the table with --table"}},
		{"an unknown tag", "time,v\n1,1\n", plain, []string{`line 1: there is no column "room"; the columns are time, v`}},
		{"an unsupported annotation", "#constant,tag,a,b\n", plain, []string{"line 1: the annotation #constant is not supported; #datatype, #group and #default are"}},
		{"an unsupported type", "#datatype measurement,duration,time\nm,d,t\n", Options{Limits: limits}, []string{`line 2: column 2, "d": the type "duration" is not supported`}},
		{"an error of Flux", "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,broken,897\n", plain, []string{"line 4: the file holds the error of a query, not its rows"}},
		{"nothing", "", plain, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, importText(NewCSV(strings.NewReader(c.text), c.o))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAnyCSVIsReadOrRefused: no input makes it panic, and every line that comes out is whole.
func TestAnyCSVIsReadOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{"time", "v", "1", ",", ",", "\n", "\n", "\"", "#datatype", " tag", "double", "x", "\\", "\r\n", "measurement"}))
		text := strings.Join(pieces.Draw(t, "pieces"), "")
		r := NewCSV(strings.NewReader(text), Options{Table: "m", NoTags: true, Limits: Limits{Lines: 3, Bytes: 100}})
		for {
			c, err := r.Next()
			if err != nil {
				return
			}
			readLines(t, c.Body)
		}
	})
}

func TestDumpFollowsItsContexts(t *testing.T) {
	var d Dump
	var got []string
	for _, line := range []string{
		"# INFLUXDB EXPORT: x - y", "# DDL", "CREATE DATABASE a WITH NAME autogen", "# DML", "# CONTEXT-DATABASE:a", "# CONTEXT-RETENTION-POLICY:autogen",
		"m v=1 1", "# CONTEXT-RETENTION-POLICY:week", "m v=1 2", "# CONTEXT-DATABASE:b", "m v=1 3",
	} {
		if d.Line([]byte(line + "\n")) {
			got = append(got, line+" in "+TargetDatabase(d.Database, d.Policy))
		}
	}
	want := []string{"# INFLUXDB EXPORT: x - y in ", "m v=1 1 in a", "m v=1 2 in a/week", "m v=1 3 in b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
