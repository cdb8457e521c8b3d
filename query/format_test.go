package query

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

var writers = map[string]func(io.Writer, Rows) error{
	"json": WriteJSON, "jsonl": WriteJSONL, "csv": WriteCSV, "pretty": WritePretty,
	"arrow": WriteArrow, "parquet": WriteParquet,
}

// formatStore has every column type, nulls, and text that needs escapes.
func formatStore(t testing.TB) *store {
	s := newStore(t)
	v := s.table("db", "all", "host:tag f:float n:int u:uint s:string ok:bool")
	s.addBuffer(v, []row{
		{at: 3_000_000_051_000_000_000, tags: map[string]string{"host": "a"}, fields: map[string]any{"f": 50.0, "n": int64(-3), "u": uint64(math.MaxUint64), "s": "plain", "ok": true}},
		{at: 155, tags: map[string]string{"host": "grüße, \"x\""}, fields: map[string]any{"f": 0.9, "s": "line\nbreak\t\"q\", \\ \x01 世界"}},
		{at: -1_500_000_000, fields: map[string]any{"f": math.NaN(), "ok": false}},
		{at: 1_500_000, tags: map[string]string{"host": "b"}, fields: map[string]any{"f": 1e16, "n": int64(math.MinInt64), "s": ""}},
		{at: 1_000_001_000, tags: map[string]string{"host": "b"}, fields: map[string]any{"f": -1.5e-7}},
		{at: 2, tags: map[string]string{"host": "c"}, fields: map[string]any{"f": math.Inf(-1)}},
	}, 4)
	return s
}

// rareSQL answers with types that no column of a table has.
const rareSQL = `SELECT 1::TINYINT AS i8, 2::USMALLINT AS u16, 1.5::FLOAT AS f32, DATE '2024-02-29' AS d, TIME '12:34:56.789' AS t,
			TIMESTAMPTZ '2024-01-02 03:04:05Z' AS tz, INTERVAL '1 month 2 days 03:04:05.5' AS iv, 'ab'::BLOB AS bin, [1, NULL] AS list,
			{'a': 'x', 'b': NULL} AS struct, MAP {'k': 1.5} AS map, 12345678901234567890::HUGEINT AS huge, 1.25 AS dec, NULL AS nothing,
			'2f8b3f5e-36d5-4a2c-8f3b-1d2c3b4a5968'::UUID AS uuid, '{"j": 1}'::JSON AS json, 340282366920938463463374607431768211455::UHUGEINT::VARCHAR AS text`

func TestFormatsMatchTheGoldens(t *testing.T) {
	q := formatStore(t).querier()
	queries := map[string]string{
		"all":    `SELECT * FROM "all" ORDER BY time`,
		"empty":  `SELECT * FROM "all" WHERE host = 'nobody'`,
		"single": `SELECT s FROM "all" ORDER BY time`,
		"rare":   rareSQL,
	}
	for name, sql := range queries {
		for _, format := range []string{"json", "jsonl", "csv", "pretty"} {
			write := writers[format]
			r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got bytes.Buffer
			if err := write(&got, r); err != nil {
				t.Fatalf("%s as %s: %v", name, format, err)
			}
			r.Close()
			path := filepath.Join("testdata", name+"."+format)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := mustRead(t, path); got.String() != want {
				t.Errorf("%s as %s:\n%s\nwant\n%s", name, format, got.String(), want)
			}
		}
	}
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

var errBroken = errors.New("broken pipe")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestFormatsReportTheWritersError(t *testing.T) {
	q := formatStore(t).querier()
	for format, write := range writers {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT sin(range), repeat('x', 100) FROM range(20000)"})
		if err != nil {
			t.Fatal(err)
		}
		if err := write(&brokenWriter{left: flushBytes + 100}, r); !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v, want that of the writer", format, err)
		}
		r.Close()
	}
}

func TestFloatsAreShortAndUnmistakable(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", math.Copysign(0, -1): "-0.0", 1: "1.0", -2.5: "-2.5", 1e15: "1000000000000000.0", 1e16: "1e16", 1e-5: "0.00001", 9e-6: "9e-6",
		math.MaxFloat64: "1.7976931348623157e308", 5e-324: "5e-324", 123456.789: "123456.789",
	} {
		if got := string(jsonStyle.appendFloat(nil, v, 64)); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestJSONStringsSurviveInvalidUTF8(t *testing.T) {
	if got, want := string(appendJSONString(nil, "a\xffb\x7f\x00")), `"a`+"\uFFFD"+`b`+"\x7f"+`\u0000"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.ContainsRune(string(appendJSONString(nil, "<&>")), '\\') {
		t.Error("HTML characters need no escape")
	}
}
