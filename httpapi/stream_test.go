package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// raw asks without what net/http adds and undoes.
func (s *site) raw(t *testing.T, path string, headers ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestContentTypesOfTheFormats(t *testing.T) {
	s := weather(t)
	var got strings.Builder
	for _, c := range [][2]string{
		{"", ""},
		{"json", ""},
		{"jsonl", ""},
		{"json_lines", ""},
		{"csv", ""},
		{"pretty", ""},
		{"parquet", ""},
		{"arrow", ""},
		{"xml", ""},
		{"", "application/json"},
		{"", "application/jsonl"},
		{"", "text/csv"},
		{"", "text/plain"},
		{"", "*/*"},
		{"", "text/html, image/png"},
		{"", "application/vnd.apache.parquet"},
		{"", "application/vnd.apache.arrow.stream"},
		{"", "application/xml"},
		{"csv", "application/vnd.apache.parquet"},
		{"parquet", "image/png"},
	} {
		extra := []string{}
		if c[0] != "" {
			extra = append(extra, "format", c[0])
		}
		headers := []string{}
		if c[1] != "" {
			headers = append(headers, "Accept", c[1])
		}
		resp, _, err := s.raw(t, sqlPath("SELECT * FROM room", extra...), headers...)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "format=%s Accept=%s: %d %s\n", c[0], c[1], resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	const want = `format= Accept=: 200 application/json
format=json Accept=: 200 application/json
format=jsonl Accept=: 200 application/jsonl
format=json_lines Accept=: 200 application/jsonl
format=csv Accept=: 200 text/csv
format=pretty Accept=: 200 text/plain; charset=utf-8
format=parquet Accept=: 200 application/vnd.apache.parquet
format=arrow Accept=: 200 application/vnd.apache.arrow.stream
format=xml Accept=: 400 application/json
format= Accept=application/json: 200 application/json
format= Accept=application/jsonl: 200 application/jsonl
format= Accept=text/csv: 200 text/csv
format= Accept=text/plain: 200 text/plain; charset=utf-8
format= Accept=*/*: 200 application/json
format= Accept=text/html, image/png: 200 application/json
format= Accept=application/vnd.apache.parquet: 200 application/vnd.apache.parquet
format= Accept=application/vnd.apache.arrow.stream: 200 application/vnd.apache.arrow.stream
format= Accept=application/xml: 400 application/json
format=csv Accept=application/vnd.apache.parquet: 200 text/csv
format=parquet Accept=image/png: 200 application/vnd.apache.parquet
`
	if got.String() != want {
		t.Errorf("got\n%s", got.String())
	}
}

func TestBinaryFormatsAreReadByArrow(t *testing.T) {
	s := weather(t)
	const sql = "SELECT name, temp, time FROM room ORDER BY time"
	_, body, err := s.raw(t, sqlPath(sql, "format", "parquet"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(body), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	_, body, err = s.raw(t, sqlPath(sql, "format", "arrow"), "Accept-Encoding", "identity")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Release()
	const want = `name: type=dictionary<values=utf8, indices=int32, ordered=false>, nullable
temp: type=float64, nullable
time: type=timestamp[ns]
`
	for format, fields := range map[string]fmt.Stringer{"parquet": table.Schema(), "arrow": stream.Schema()} {
		var got strings.Builder
		for line := range strings.Lines(fields.String()) {
			if name, ok := strings.CutPrefix(line, "    - "); ok {
				got.WriteString(name)
			}
		}
		if strings.TrimSpace(got.String()) != strings.TrimSpace(want) {
			t.Errorf("%s:\n%s", format, got.String())
		}
	}
	if table.NumRows() != 2 || !stream.Next() || stream.RecordBatch().NumRows() != 2 {
		t.Error("rows are missing")
	}
}

const manyRows = "SELECT range AS n, 'some text ' || range AS s FROM range(200000)"

func TestAnswersAreCompressedForThoseWhoAskForIt(t *testing.T) {
	s := weather(t)
	_, plain, err := s.raw(t, sqlPath(manyRows, "format", "csv"))
	if err != nil {
		t.Fatal(err)
	}
	resp, zipped, err := s.raw(t, sqlPath(manyRows, "format", "csv"), "Accept-Encoding", "br, gzip;q=0.5")
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Encoding"); got != "gzip" || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v", resp.Header)
	}
	in, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, plain) || len(zipped) > len(plain)/2 {
		t.Errorf("%d of %d bytes (%v), compressed %d", len(got), len(plain), err, len(zipped))
	}
	for _, c := range []struct{ sql, format, coding string }{
		{manyRows, "csv", ""}, {manyRows, "csv", "br"}, {manyRows, "csv", "gzip;q=0"}, {manyRows, "parquet", "gzip"}, {"SELECT 1", "csv", "gzip"},
	} {
		resp, _, err := s.raw(t, sqlPath(c.sql, "format", c.format), "Accept-Encoding", c.coding)
		if got := resp.Header.Get("Content-Encoding"); err != nil || got != "" {
			t.Errorf("%v is encoded %q (%v)", c, got, err)
		}
	}
}

// TestAnswerThatFailsHalfwayIsNoWholeOne, in any format and coding: the first rows are sent
// before the last one turns out to have no value.
func TestAnswerThatFailsHalfwayIsNoWholeOne(t *testing.T) {
	s := weather(t)
	const sql = "SELECT range AS n, sin(range) AS x, CASE WHEN range = 599999 THEN CAST('x' || range AS BIGINT) END AS y FROM range(600000)"
	for _, format := range []string{"json", "jsonl", "csv", "parquet", "arrow"} {
		for _, coding := range []string{"identity", "gzip"} {
			resp, body, err := s.raw(t, sqlPath(sql, "format", format), "Accept-Encoding", coding)
			if resp.StatusCode != 200 || len(body) == 0 {
				t.Errorf("%s, %s: answered %d with %d bytes: nothing was sent before the error", format, coding, resp.StatusCode, len(body))
			}
			if err == nil {
				t.Errorf("%s, %s: %d bytes were received as a whole answer", format, coding, len(body))
			}
		}
	}
	resp, body, err := s.raw(t, sqlPath(sql, "format", "pretty"))
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("pretty: answered %d, %.200s (%v)", resp.StatusCode, body, err)
	}
}

func TestTableOfTooManyRowsNamesOtherFormats(t *testing.T) {
	s := weather(t)
	a := s.get(sqlPath("SELECT repeat('x', 1000) AS s FROM range(20000)", "format", "pretty"))
	if a.StatusCode != 400 || !strings.Contains(a.text, "csv or jsonl") {
		t.Errorf("answered %d %s", a.StatusCode, a.text)
	}
}

// TestHangingUpHalfwayFreesTheSlot: clients that leave in the midst of an answer must not
// keep others waiting.
func TestHangingUpHalfwayFreesTheSlot(t *testing.T) {
	s := weather(t)
	const endlessRows = "SELECT range AS n, 'some text ' || range AS s FROM range(1000000000000)"
	for i := range 40 { // more than run at the same time
		format := []string{"json", "csv", "arrow", "parquet"}[i%4]
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+sqlPath(endlessRows, "format", format), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 100_000); err != nil {
			t.Fatal(err)
		}
		cancel()
		_ = resp.Body.Close()
	}
	s.get(sqlPath("SELECT 1 AS one")).is(t, 200, `[{"one":1}]`)
	awaitInFlight(t, s.api, "0")
	s.get(sqlPath("SELECT count(*) AS n, count(*) FILTER (running) AS running FROM system.queries WHERE query_text LIKE '%1000000000000%' AND query_text NOT LIKE '%queries%'")).
		is(t, 200, `[{"n":40,"running":0}]`)
}
