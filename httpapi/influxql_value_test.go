package httpapi

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"
)

// TestFloatsAreThoseOfGo: InfluxDB 1 is a Go program, and clients compare texts.
func TestFloatsAreThoseOfGo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := math.Float64frombits(rapid.Uint64().Draw(r, "bits"))
		if !isFinite(v) {
			return
		}
		want, err := json.Marshal(v)
		if err != nil {
			r.Fatal(err)
		}
		if got := string(appendGoFloat(nil, v)); got != string(want) {
			r.Errorf("got %s, want %s", got, want)
		}
	})
}

// valuesOfEachType has a row of values, one of those that are hard to write, and nulls.
func valuesOfEachType() []arrow.Array {
	times := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond})
	times.AppendValues([]arrow.Timestamp{1500000000123000000, -1, 0}, []bool{true, true, false})
	floats := array.NewFloat64Builder(memory.DefaultAllocator)
	floats.AppendValues([]float64{82, math.NaN(), 0}, []bool{true, true, false})
	large := array.NewFloat64Builder(memory.DefaultAllocator)
	large.AppendValues([]float64{1e21, math.Inf(-1), 0}, []bool{true, true, false})
	ints := array.NewInt64Builder(memory.DefaultAllocator)
	ints.AppendValues([]int64{-3, math.MinInt64, 0}, []bool{true, true, false})
	uints := array.NewUint64Builder(memory.DefaultAllocator)
	uints.AppendValues([]uint64{3, math.MaxUint64, 0}, []bool{true, true, false})
	bools := array.NewBooleanBuilder(memory.DefaultAllocator)
	bools.AppendValues([]bool{true, false, false}, []bool{true, true, false})
	texts := array.NewStringBuilder(memory.DefaultAllocator)
	texts.AppendValues([]string{"plain", "a,\"b\"\n<ü>", ""}, []bool{true, true, false})
	tags := array.NewDictionaryBuilder(memory.DefaultAllocator, &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String,
	}).(*array.BinaryDictionaryBuilder)
	for _, tag := range []string{"x", "y"} {
		if err := tags.AppendString(tag); err != nil {
			panic(err)
		}
	}
	tags.AppendNull()
	columns := []arrow.Array{}
	for _, b := range []array.Builder{times, floats, large, ints, uints, bools, texts, tags} {
		columns = append(columns, b.NewArray())
	}
	return columns
}

// documentOf is a document of one series of the values.
func documentOf(t *testing.T, f v1Format, unit epoch) string {
	t.Helper()
	var text bytes.Buffer
	out := &output{w: &text}
	w := f.write(out, unit)
	w.beginDocument()
	w.beginResult(0)
	w.beginSeries(v1Series{
		name: "m", keys: []string{"z", "a b"}, values: []string{"", "1,2"}, isTimed: true,
		columns: []string{"time", "f", "large", "i", "u", "b", "s", "tag"},
	})
	columns := valuesOfEachType()
	w.setRecord(columns, time.UTC)
	for row := range columns[0].Len() {
		w.row(row)
	}
	w.endSeries(true)
	w.endResult("it broke", true)
	w.endDocument()
	if err := out.flush(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestValuesInEachFormat(t *testing.T) {
	asJSON, asCSV := v1FormatOf(""), v1FormatOf("text/csv")
	const head = `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a b":"1,2","z":""},"columns":["time","f","large","i","u","b","s","tag"],"values":[`
	const tail = `],"partial":true}],"partial":true,"error":"it broke"}]}` + "\n"
	const nulls = `null,null,null,null,null,null,null,null]`
	for _, c := range []struct {
		format v1Format
		unit   epoch
		want   string
	}{
		{asJSON, 0, head + `["2017-07-14T02:40:00.123Z",82,1e+21,-3,3,true,"plain","x"],["1969-12-31T23:59:59.999999999Z",null,null,-9223372036854775808,18446744073709551615,false,"a,\"b\"\n<ü>","y"],[` + nulls + tail},
		{asJSON, epochs["ms"], head + `[1500000000123,82,1e+21,-3,3,true,"plain","x"],[0,null,null,-9223372036854775808,18446744073709551615,false,"a,\"b\"\n<ü>","y"],[` + nulls + tail},
		{asCSV, 0, "name,tags,time,f,large,i,u,b,s,tag\n" +
			`m,"a\ b=1\,2,z=",1500000000123000000,82,1000000000000000000000,-3,3,true,plain,x` + "\n" +
			`m,"a\ b=1\,2,z=",-1,,,-9223372036854775808,18446744073709551615,false,"a,""b""` + "\n" + `<ü>",y` + "\n" +
			`m,"a\ b=1\,2,z=",,,,,,,,` + "\n\nerror\nit broke\n"},
	} {
		if got := documentOf(t, c.format, c.unit); got != c.want {
			t.Errorf("%s, epoch %d:\n got %s\nwant %s", c.format.contentType, c.unit, got, c.want)
		}
	}
	packed := unpacked(t, documentOf(t, v1FormatOf("application/x-msgpack"), 0))
	for _, part := range []string{`"time 1500000000123000000"`, `"time -1"`, `82`, `18446744073709551615`, `"tags":{"a b":"1,2","z":""}`, `"partial":true`, `"error":"it broke"`} {
		if !strings.Contains(packed, part) {
			t.Errorf("MessagePack has no %s: %s", part, packed)
		}
	}
}

// TestIndenterIsThatOfGo compares with json.Indent, whatever pieces the text comes in.
func TestIndenterIsThatOfGo(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `{"results":[{"statement_id":0}]}`, `{"a":[],"b":{},"c":[[1,"x\"]{,:\\"],[null]]}`, documentOf(t, v1FormatOf(""), 0),
	} {
		var want, got bytes.Buffer
		if err := json.Indent(&want, []byte(text), "", "    "); err != nil {
			t.Fatal(err)
		}
		if _, err := (&indenter{w: &got}).Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		var piecemeal bytes.Buffer
		pieces := &indenter{w: &piecemeal}
		for i := range len(text) {
			if _, err := pieces.Write([]byte{text[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != want.String() || piecemeal.String() != want.String() {
			t.Errorf("got %s\nand %s\nwant %s", got.String(), piecemeal.String(), want.String())
		}
	}
}
