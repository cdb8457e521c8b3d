package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
	parquetgo "github.com/parquet-go/parquet-go"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// randomSchema has a column of each type that a table's columns have, twice, with the
// metadata of such columns.
func randomSchema() *arrow.Schema {
	tag := arrow.NewMetadata([]string{columnTypeMetadata}, []string{schema.Tag.String()})
	types := []arrow.DataType{
		arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64,
		arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Boolean, instant,
	}
	var fields []arrow.Field
	for i, t := range append(types, types...) {
		f := arrow.Field{Name: fmt.Sprintf("c%d", i), Type: t, Nullable: true}
		if i%len(types) == 0 {
			f.Metadata = tag
		}
		fields = append(fields, f)
	}
	return arrow.NewSchema(fields, nil)
}

var oddFloats = []float64{0, math.Copysign(0, -1), 0.1, 50, 1e300, -5e-324, math.NaN(), math.Inf(1), math.Inf(-1)}

// randomRecords makes records with many nulls, of random lengths and some of them empty.
func randomRecords(r *rand.Rand, layout *arrow.Schema) []arrow.RecordBatch {
	var records []arrow.RecordBatch
	for range r.IntN(6) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, layout)
		for range []int{0, 1, 7, 2048}[r.IntN(4)] {
			for _, f := range b.Fields() {
				appendRandom(r, f)
			}
		}
		rec := b.NewRecordBatch()
		if n := rec.NumRows(); n > 2 { // offsets into buffers
			cut := rec.NewSlice(1, n-1)
			rec.Release()
			rec = cut
		}
		records = append(records, rec)
		b.Release()
	}
	return records
}

func appendRandom(r *rand.Rand, builder array.Builder) {
	if r.IntN(4) == 0 {
		builder.AppendNull()
		return
	}
	switch b := builder.(type) {
	case *array.StringBuilder:
		b.Append([]string{"", "a", "ü,\"\n", fmt.Sprint("value ", r.IntN(100))}[r.IntN(4)])
	case *array.Float64Builder:
		b.Append(oddFloats[r.IntN(len(oddFloats))])
	case *array.Int64Builder:
		b.Append(int64(r.Uint64()))
	case *array.Uint64Builder:
		b.Append(r.Uint64())
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64()>>r.IntN(63) - 1))
	}
}

func retained(records []arrow.RecordBatch) []arrow.RecordBatch {
	for _, r := range records {
		r.Retain()
	}
	return records
}

func encoded(t *testing.T, write func(io.Writer, Rows) error, rows Rows) []byte {
	t.Helper()
	defer rows.Close()
	var out bytes.Buffer
	if err := write(&out, rows); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readers give back what a binary format says.
var readers = map[string]func(*testing.T, []byte) Rows{
	"arrow": func(t *testing.T, data []byte) Rows {
		in, err := ipc.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Release()
		var records []arrow.RecordBatch
		for in.Next() {
			rec := in.RecordBatch()
			rec.Retain()
			records = append(records, rec)
		}
		if in.Err() != nil {
			t.Fatal(in.Err())
		}
		return NewRows(in.Schema(), records...)
	},
	"parquet": func(t *testing.T, data []byte) Rows {
		table, err := pqarrow.ReadTable(context.Background(), bytes.NewReader(data), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Release()
		in := array.NewTableReader(table, 1000)
		defer in.Release()
		var records []arrow.RecordBatch
		for in.Next() {
			rec := in.RecordBatch()
			rec.Retain()
			records = append(records, rec)
		}
		return NewRows(table.Schema(), records...)
	},
}

// TestFormatsSayTheSame writes random rows in each binary format, and what is read back in
// each text format, which must be what the rows themselves are.
func TestFormatsSayTheSame(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		layout := randomSchema()
		records := randomRecords(r, layout)
		for name, read := range readers {
			data := encoded(t, writers[name], NewRows(layout, retained(records)...))
			for _, text := range []string{"jsonl", "pretty"} {
				want := encoded(t, writers[text], NewRows(layout, retained(records)...))
				got := encoded(t, writers[text], read(t, data))
				if !bytes.Equal(got, want) {
					t.Fatalf("seed %d: %s as %s (-want +got)\n%.3000s", seed, name, text, cmp.Diff(string(want), string(got)))
				}
			}
		}
		for _, rec := range records {
			rec.Release()
		}
	}
}

// TestRebatchKeepsRowsAndBounds: whatever the sizes are, the rows are the same, and no record
// is larger than asked for.
func TestRebatchKeepsRowsAndBounds(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 6))
		layout := randomSchema()
		records := randomRecords(r, layout)
		want := encoded(t, WriteJSONL, NewRows(layout, retained(records)...))
		rows := &rebatched{
			source: NewRows(layout, records...), maxRows: 1 + r.Int64N(5000), maxBytes: 1 + r.Int64N(400_000), early: r.IntN(2) == 0,
		}
		var got []byte
		early := rows.early
		for rows.Next() {
			rec := rows.Record()
			if n := rec.NumRows(); n == 0 || n > rows.maxRows || n > 1 && recordBytes(rec) > rows.maxBytes*11/10+1000 {
				t.Errorf("seed %d: a record of %d rows and %d bytes, bounds %d and %d", seed, n, recordBytes(rec), rows.maxRows, rows.maxBytes)
			}
			if early && rec.NumRows() > 2048 {
				t.Errorf("seed %d: the first record was held back", seed)
			}
			early = false
			rec.Retain()
			got = append(got, encoded(t, WriteJSONL, NewRows(layout, rec))...)
		}
		if rows.Err() != nil || !bytes.Equal(got, want) {
			t.Errorf("seed %d: other rows (%v)", seed, rows.Err())
		}
		rows.Close()
	}
}

// TestParquetIsReadByOthers: what DuckDB and parquet-go read in a file is what was asked.
func TestParquetIsReadByOthers(t *testing.T) {
	q := formatStore(t).querier()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: `SELECT * FROM "all" ORDER BY time`})
	if err != nil {
		t.Fatal(err)
	}
	data := encoded(t, WriteParquet, r)
	path := filepath.Join(t.TempDir(), "answer.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sql, want string }{
		{`count(*), count(f), count(n), count(u), count(s), count(ok), count(host)`, "6|6|2|1|3|2|5"},
		{`arg_min(epoch_ns(time), time), max(u), min(n), max(s)`, "-1500000000|18446744073709551615|-9223372036854775808|plain"},
		{`typeof(any_value(time)), typeof(any_value(u)), typeof(any_value(host))`, "TIMESTAMP_NS|UBIGINT|VARCHAR"},
	} {
		ask, err := prepareTextFunction(unlockedConnection(), "SELECT concat_ws('|', "+c.sql+") || $1 FROM read_parquet("+sqltext.Literal(path)+")")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ask.call("")
		ask.close()
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("DuckDB: %s is %s, want %s", c.sql, got, c.want)
		}
	}
	pf, err := parquetgo.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if pf.NumRows() != 6 || len(pf.Root().Columns()) != 7 {
		t.Errorf("parquet-go: %d rows of %d columns", pf.NumRows(), len(pf.Root().Columns()))
	}
}

// TestAnswersWithoutRowsHaveASchema: a reader of a table of nothing must not fail.
func TestAnswersWithoutRowsHaveASchema(t *testing.T) {
	q := formatStore(t).querier()
	for name, read := range readers {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: `SELECT * FROM "all" WHERE host = 'nobody'`})
		if err != nil {
			t.Fatal(err)
		}
		rows := read(t, encoded(t, writers[name], r))
		if n := rows.Schema().NumFields(); n != 7 || rows.Next() {
			t.Errorf("%s: %d columns", name, n)
		}
		rows.Close()
	}
}

// TestRareTypesAreWritten: what an expression may be, and no column is.
func TestRareTypesAreWritten(t *testing.T) {
	q := formatStore(t).querier()
	const sql = rareSQL + `, TIMESTAMP '2024-02-29 12:00:00.000001' AS micros, TIMESTAMP_S '1970-01-01 00:00:01' AS secs`
	for _, name := range []string{"arrow", "parquet"} {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = writers[name](&out, r)
		r.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rows := readers[name](t, out.Bytes())
		for _, f := range rows.Schema().Fields() {
			if ts, ok := f.Type.(*arrow.TimestampType); ok && (ts.Unit != arrow.Nanosecond || ts.TimeZone != "") {
				t.Errorf("%s: %s is %v", name, f.Name, f.Type)
			}
		}
		const want = `{"i8":1,"u16":2,"f32":1.5,"d":"2024-02-29","t":"12:34:56.789","tz":"2024-01-02T03:04:05",` +
			`"iv":"1 mons 2 days 3 hours 4 mins 5.500000000 secs","bin":"6162","list":[1,null],"struct":{"a":"x","b":null},"map":{"k":1.5},` +
			`"huge":12345678901234567890,"dec":1.25,"uuid":"2f8b3f5e-36d5-4a2c-8f3b-1d2c3b4a5968","json":"{\"j\": 1}",` +
			`"text":"340282366920938463463374607431768211455","micros":"2024-02-29T12:00:00.000001","secs":"1970-01-01T00:00:01"}` + "\n"
		if diff := cmp.Diff(want, string(encoded(t, WriteJSONL, rows))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestWhatAFormatCannotHoldIsTheUsersFault, and the error says what to do.
func TestWhatAFormatCannotHoldIsTheUsersFault(t *testing.T) {
	q := formatStore(t).querier()
	for _, c := range []struct{ format, sql, want string }{
		{"parquet", "SELECT [INTERVAL '1 day'] AS days", "cast it to VARCHAR"},
		{"arrow", "SELECT TIMESTAMP '9999-12-31' AS t", `the instant 9999-12-31`},
		{"parquet", "SELECT TIMESTAMP '0001-01-01' AS t", `cast the column to VARCHAR`},
	} {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: c.sql})
		if err != nil {
			t.Fatal(err)
		}
		err = writers[c.format](io.Discard, r)
		r.Close()
		var user *UserError
		if !errors.As(err, &user) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %s: %v, want %q", c.sql, c.format, err, c.want)
		}
	}
}

// TestRowGroupsAreBounded: a file is written in row groups, each of which fits memory.
func TestRowGroupsAreBounded(t *testing.T) {
	q := formatStore(t).querier()
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: "SELECT range AS n, 'tag' || range % 5 AS s FROM range(300000)"})
	if err != nil {
		t.Fatal(err)
	}
	pf, err := file.NewParquetReader(bytes.NewReader(encoded(t, WriteParquet, r)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{parquetRows, parquetRows, 300000 - 2*parquetRows} {
		if got := pf.RowGroup(i).NumRows(); got != want {
			t.Errorf("row group %d has %d rows, want %d", i, got, want)
		}
	}
}
