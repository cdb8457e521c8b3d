package persist

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// testOrigin is of a table that has a column more than the file.
var testOrigin = Origin{
	Seq: schema.SeqRange{Min: 7, Max: 1 << 60}, Order: 1<<36 + 5, Rule: schema.FirstByTag, Tag: 1,
	Absent: []schema.Column{{ID: 900, Name: "löst \"x\"", Type: schema.Bool}},
}

func TestDescribeSaysWhatWriteSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := drawTable(t)
		fs := vfs.NewMem()
		spec := Spec{
			FS: fs, Dir: "d", Name: "f", Columns: tb.columns, Origin: testOrigin,
			RowGroupRows: rapid.SampledFrom([]int{1, 7, 64, 1000}).Draw(t, "row group"),
		}
		want, err := Write(spec, tb.records(9, 40))
		if err != nil {
			t.Fatal(err)
		}
		want.Seq, want.Order = testOrigin.Seq, testOrigin.Order
		want.DayMin, want.DayMax = schema.DayOf(want.Time.Min), schema.DayOf(want.Time.Max)
		got, err := Describe(fs, "d/f")
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestFileCarriesItsOrigin(t *testing.T) {
	tb, fs := smallTable(), vfs.NewMem()
	if _, err := Write(Spec{FS: fs, Dir: "d", Name: "f", Columns: tb.columns, Origin: testOrigin}, tb.records(9)); err != nil {
		t.Fatal(err)
	}
	r, err := Open(fs, "d/f")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, ok := r.Origin()
	if diff := gocmp.Diff(testOrigin, got); !ok || diff != "" {
		t.Fatal(ok, diff)
	}
}

func TestOriginLeavesOutColumnsRatherThanGrow(t *testing.T) {
	o := testOrigin
	for i := range 20_000 {
		o.Absent = append(o.Absent, schema.Column{ID: schema.ColumnID(1000 + i), Name: strings.Repeat("x", 50), Type: schema.Int64})
	}
	text, err := o.encode()
	if err != nil || len(text) > 2*maxAbsentBytes {
		t.Fatal(len(text), err)
	}
	if got, err := decodeOrigin(text); err != nil || got.Order != o.Order {
		t.Fatal(got, err)
	}
}
