package persist

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/schema"
)

func TestRecordsHoldTheColumnsThatWereNamed(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 6, 4); err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]schema.ColumnID{{1}, {3}, {6, 1}, {5, 2, 1}} {
		got, err := readArrow(fs, "d/f", ids...)
		if err != nil {
			t.Fatal(err)
		}
		want := table{columns: got.columns}
		for _, r := range tb.rows {
			projected := row{time: r.time}
			for _, c := range got.columns {
				projected.values = append(projected.values, r.values[c.ID-1])
			}
			want.rows = append(want.rows, projected)
		}
		if len(got.columns) != len(ids) {
			t.Fatalf("got columns %v for %v", got.columns, ids)
		}
		if diff := gocmp.Diff(want.lines(), got.lines()); diff != "" {
			t.Fatalf("columns %v: %s", ids, diff)
		}
	}
}

func TestUnknownColumnIsAnError(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 6, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := readArrow(fs, "d/f", 1, 99); err == nil {
		t.Fatal("column 99 was read")
	}
}

func TestReadingMayEndAnywhere(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	if _, err := tb.write(fs, "d", "f", 6, 4); err != nil {
		t.Fatal(err)
	}
	r, err := Open(fs, "d/f")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and may begin again
		for rec, err := range r.Records() {
			if err != nil || rec.NumRows() != 6 {
				t.Fatal(rec, err)
			}
			break
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFileNamesWhatItHolds(t *testing.T) {
	tb := smallTable()
	fs := vfs.NewMem()
	file, err := tb.write(fs, "d", "f", 6, 4)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(fs, "d/f")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	if r.Database() != "db" || r.Table() != "tbl" || r.Rows() != 20 || r.Time() != file.Time {
		t.Fatalf("got %q, %q, %d rows, %v", r.Database(), r.Table(), r.Rows(), r.Time())
	}
}
