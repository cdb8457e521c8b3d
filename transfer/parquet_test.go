package transfer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/lineprotocol"
)

// foreign writes a Parquet file as another program does: rows of a time, a text, and a number.
func foreign(t *testing.T, timeType arrow.DataType, metadata map[string]string, rows string) []byte {
	t.Helper()
	columns := arrow.NewSchema([]arrow.Field{
		{Name: "host", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "time", Type: timeType, Nullable: true},
		{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, columns, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(columns, &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range metadata {
		if err := w.AppendKeyValueMetadata(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readParquet(t *testing.T, content []byte, o Options) []string {
	t.Helper()
	o.Limits = Limits{Lines: 100, Bytes: 1 << 20}
	p, err := OpenParquet(t.Context(), bytes.NewReader(content), "file", o)
	if err != nil {
		return []string{err.Error()}
	}
	defer p.Close()
	return importText(p)
}

func TestForeignParquet(t *testing.T) {
	const rows = `[{"host":"a b","time":"2026-01-02","n":1},{"host":null,"time":"2026-01-03","n":-2,"note":"x"},{"host":"c","time":"2026-01-03"},{"host":"c","n":1}]`
	want := []string{
		`1: file,host=a\ b n=1i 1767312000000000000`, `2: file n=-2i,note="x" 1767398400000000000`,
		"3 refused: no field has a value in this row, and line protocol needs one", "4 refused: the row has no time",
	}
	for _, typ := range []arrow.DataType{
		arrow.FixedWidthTypes.Timestamp_ms, arrow.FixedWidthTypes.Timestamp_us, arrow.FixedWidthTypes.Timestamp_ns,
		&arrow.TimestampType{Unit: arrow.Microsecond}, arrow.FixedWidthTypes.Date32,
	} {
		text := rows
		if t, ok := typ.(*arrow.TimestampType); ok {
			zone := ""
			if t.TimeZone != "" {
				zone = "Z"
			}
			text = strings.NewReplacer("-02", "-02 00:00:00"+zone, "-03", "-03 00:00:00"+zone).Replace(rows)
		}
		if diff := cmp.Diff(want, readParquet(t, foreign(t, typ, nil, text), Options{TagColumns: []string{"host"}})); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
	numbers := foreign(t, arrow.PrimitiveTypes.Int64, nil, `[{"time":1767312000000,"n":1}]`)
	if diff := cmp.Diff([]string{"1: file n=1i 1767312000000000000"}, readParquet(t, numbers, Options{NoTags: true})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1: m n=1i 1767312000000"}, readParquet(t, numbers, Options{NoTags: true, Table: "m", Precision: lineprotocol.Nanosecond})); diff != "" {
		t.Error(diff)
	}
}

// TestForeignParquetMustSayWhatAreTags: to take tags for fields would make one row of many.
func TestForeignParquetMustSayWhatAreTags(t *testing.T) {
	const row = `[{"host":"a","time":"2026-01-02 00:00:00Z","n":1,"note":"x"}]`
	file := foreign(t, arrow.FixedWidthTypes.Timestamp_ms, nil, row)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "the file does not say which columns are tags; name them with --tag-columns, or say --no-tags: host, time, n, note"},
		{Options{TagColumns: []string{"room"}}, `there is no column "room"; the columns are host, time, n, note`},
		{Options{TimeColumn: "when", NoTags: true}, `no column is named "when"; say with --time-column which of these holds the time: host, time, n, note`},
		{Options{TimeColumn: "host", NoTags: true}, `column "time" holds values of type timestamp[ms, tz=UTC], which cannot be stored`},
		{Options{NoTags: true, Table: "#m"}, `the table's name "#m" begins with #, which is a comment in line protocol`},
	} {
		if got := readParquet(t, file, c.o); !cmp.Equal(got, []string{c.want}) {
			t.Errorf("%+v: %q", c.o, got)
		}
	}
	if got := readParquet(t, file[:len(file)-5], Options{NoTags: true}); len(got) != 1 || !strings.HasPrefix(got[0], "this is no Parquet file, or only a part of one: ") {
		t.Errorf("cut off: %q", got)
	}
	ours := foreign(t, arrow.FixedWidthTypes.Timestamp_ns, map[string]string{formatKey: "1", tableKey: "m"}, row)
	if got := readParquet(t, ours, Options{}); !cmp.Equal(got, []string{`1: m,host=a n=1i,note="x" 1767312000000000000`}) {
		t.Errorf("a file of a data directory: %q", got)
	}
}
