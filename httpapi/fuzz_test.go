package httpapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/tinylib/msgp/msgp"
)

// fuzzServer reads requests and has nothing behind it.
func fuzzServer(f *testing.F) *Server {
	f.Helper()
	api, err := New(Options{MaxRequestBytes: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	return api
}

// fuzzRequest makes a request of any text.
func fuzzRequest(method, raw, kind string, body []byte) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, "/query", bytes.NewReader(body))
	r.URL.RawQuery = raw
	r.Header.Set("Content-Type", kind)
	return r
}

// mustBlameClient fails if an error of reading a request is not the client's.
func mustBlameClient(t *testing.T, err error) {
	t.Helper()
	if status, text := statusOf(err); status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", status, text)
	}
}

// FuzzInfluxQLRequest: whatever the query string and the form are, they make a query with a text
// and values, or a 4xx, and all that was read of the body is given back.
func FuzzInfluxQLRequest(f *testing.F) {
	const form = "application/x-www-form-urlencoded"
	f.Add("db=a&q=SELECT+1&epoch=ms&chunked=true&chunk_size=10", "", []byte(nil))
	f.Add("", form, []byte(`q=SELECT+v+FROM+m&params={"a":1,"b":{"duration":"1h"},"c":9999999999999999999}`))
	f.Add("epoch=x&pretty=true", "text/plain", []byte("SHOW DATABASES"))
	f.Add("chunk_size=-1&chunked=true&q=%00", `multipart/form-data; boundary="b"`, []byte("--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nSELECT 1\r\n--b--\r\n"))
	f.Add("params=[]", "multipart/form-data", []byte("--\r\n\r\n----"))
	f.Add("q=%zz;", "application/json", []byte(`{"q":"SELECT 1"}`))
	f.Add(`q=1&params={"a":1e999}`, "a/b; c=\xff", []byte{0})
	s := fuzzServer(f)
	f.Fuzz(func(t *testing.T, raw, kind string, body []byte) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			q, err := s.v1Query(httptest.NewRecorder(), fuzzRequest(method, raw, kind, body))
			switch {
			case err != nil:
				mustBlameClient(t, err)
			case q.text == "" || q.epoch < 0 || q.chunkRows < 0 || q.mayChange != (method == http.MethodPost):
				t.Errorf("%s makes %+v", method, q)
			}
		}
		if held := s.bodies.buffered.Load(); held != 0 {
			t.Fatalf("%d bytes are still accounted for", held)
		}
	})
}

// FuzzSQLRequest does so for the parameters and the JSON of version 3.
func FuzzSQLRequest(f *testing.F) {
	for _, seed := range []string{
		`{"db":"a","q":"SELECT $x","format":"csv","params":{"x":1}}`, `{"db":null,"q":1}`, `{"params":[[[[]]]],"db":"\ud800"}`,
		`{"db":"a","db":"b","q":"","params":{"x":1e999,"y":-0,"z":18446744073709551616}}`, "", "[]", "\x00", `{"params":{"":null,"a":true,"b":"c"},"q":"1","db":""}`,
	} {
		f.Add("db=a&q=1&format=json&params="+seed, []byte(seed))
	}
	s := fuzzServer(f)
	f.Fuzz(func(t *testing.T, raw string, body []byte) {
		read := []func() (queryParams, error){
			func() (queryParams, error) { return queryParamsOf(fuzzRequest(http.MethodGet, raw, "", nil)) },
			func() (queryParams, error) {
				return s.queryBody(httptest.NewRecorder(), fuzzRequest(http.MethodPost, "", "application/json", body))
			},
		}
		for _, params := range read {
			p, err := params()
			if err == nil {
				_, err = bindParams(p.Params)
			}
			if err == nil {
				_, err = chooseFormat(p.Format, raw)
			}
			if err != nil {
				mustBlameClient(t, err)
			}
		}
	})
}

// documentWith is a document with one row of a text, a number and an integer.
func documentWith(t *testing.T, kind, text string, float float64, integer int64) []byte {
	t.Helper()
	texts := array.NewStringBuilder(memory.DefaultAllocator)
	texts.Append(text)
	floats := array.NewFloat64Builder(memory.DefaultAllocator)
	floats.Append(float)
	integers := array.NewInt64Builder(memory.DefaultAllocator)
	integers.Append(integer)
	columns := []arrow.Array{texts.NewArray(), floats.NewArray(), integers.NewArray()}
	var doc bytes.Buffer
	out := &output{w: &doc}
	w := v1FormatOf(kind).write(out, 1)
	w.beginDocument()
	w.beginResult(0)
	w.beginSeries(v1Series{name: text, keys: []string{text}, values: []string{text}, columns: []string{"s", "f", text}})
	w.setRecord(columns, time.UTC)
	w.row(0)
	w.endSeries(false)
	w.endResult("", false)
	w.endDocument()
	if err := out.flush(); err != nil {
		t.Fatal(err)
	}
	return doc.Bytes()
}

// FuzzAnswers: whatever names and values are stored, each format can be read, and has them exactly.
func FuzzAnswers(f *testing.F) {
	f.Add("plain", uint64(0), int64(0))
	f.Add("a,\"b\"\n<ü>\u2028\x7f\x01", math.Float64bits(math.Inf(1)), int64(math.MinInt64))
	f.Add("=1+1", math.Float64bits(5e-324), int64(math.MaxInt64))
	f.Add("\t \\\\ ''", math.Float64bits(1e21), int64(-1))
	f.Fuzz(func(t *testing.T, text string, bits uint64, integer int64) {
		text = strings.ToValidUTF8(text, "?") // nothing else is stored
		float := math.Float64frombits(bits)
		checkJSONAnswer(t, documentWith(t, "", text, float, integer), text, float, integer)
		if !strings.Contains(text, "\r") { // which encoding/csv does not keep before a newline
			checkCSVAnswer(t, documentWith(t, "text/csv", text, float, integer), text)
		}
		var plain bytes.Buffer
		packed := documentWith(t, "application/x-msgpack", text, float, integer)
		if rest, err := msgp.UnmarshalAsJSON(&plain, packed); err != nil || len(rest) > 0 {
			t.Fatalf("MessagePack: %v, %d bytes behind its end", err, len(rest))
		}
		if rest, err := msgp.Skip(packed); err != nil || len(rest) > 0 {
			t.Fatalf("MessagePack: %v, %d bytes behind its end", err, len(rest))
		}
	})
}

func checkJSONAnswer(t *testing.T, doc []byte, text string, float float64, integer int64) {
	t.Helper()
	var got struct {
		Results []struct {
			Series []struct {
				Name    string
				Tags    map[string]string
				Columns []string
				Values  [][]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	s := got.Results[0].Series[0]
	if s.Name != text || s.Tags[text] != text || s.Columns[2] != text {
		t.Errorf("%q is %q, %q, %q", text, s.Name, s.Tags, s.Columns)
	}
	var gotText string
	var gotFloat *float64
	var gotInteger int64
	for i, v := range []any{&gotText, &gotFloat, &gotInteger} {
		if err := json.Unmarshal(s.Values[0][i], v); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
	}
	if gotText != text || gotInteger != integer || (gotFloat != nil) != isFinite(float) || gotFloat != nil && *gotFloat != float {
		t.Errorf("%q, %v and %d are %s", text, float, integer, doc)
	}
}

func checkCSVAnswer(t *testing.T, doc []byte, text string) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(doc)).ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	if len(rows) != 2 || rows[0][len(rows[0])-1] != text || rows[1][0] != text || rows[1][2] != text {
		t.Errorf("%q is %q", text, rows)
	}
}
