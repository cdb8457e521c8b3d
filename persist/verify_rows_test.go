package persist

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// TestVerifyRowsAcceptsWhatWriteWrote draws tables with all types and values that are hard
// to carry, in one row group and in many.
func TestVerifyRowsAcceptsWhatWriteWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb, fs := drawTable(t), vfs.NewMem()
		tb.sort()
		f, err := tb.write(fs, "d", "f.parquet", rapid.IntRange(1, 300).Draw(t, "row group"), rapid.IntRange(1, 300).Draw(t, "record"))
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyRows(fs, "d/f.parquet", &f, tb.columns); err != nil {
			t.Fatalf("%v\n%s", err, tb.lines())
		}
	})
}

// TestVerifyRowsNamesWhatDiffers changes one thing of a description after the other.
func TestVerifyRowsNamesWhatDiffers(t *testing.T) {
	raw, f := smallFile(t)
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", raw)
	columns := smallTable().columns
	if err := VerifyRows(fs, "f.parquet", &f, columns); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, want schema.File, columns []schema.Column) {
		t.Helper()
		var mismatch *MismatchError
		if err := VerifyRows(fs, "f.parquet", &want, columns); !errors.As(err, &mismatch) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	other := f
	other.Rows++
	refused("rows", other, columns)
	other = f
	other.Time.Min--
	refused("time", other, columns)
	for i := range f.Columns {
		for what, change := range map[string]func(*schema.ColumnStats){
			"nulls":   func(s *schema.ColumnStats) { s.Nulls++ },
			"minimum": func(s *schema.ColumnStats) { s.Min = append(bytes.Clone(s.Min), 0) },
			"maximum": func(s *schema.ColumnStats) { s.Max = append(bytes.Clone(s.Max), 0) },
		} {
			other := f
			other.Columns = slices.Clone(f.Columns)
			change(&other.Columns[i])
			refused(what, other, columns)
		}
		other := slices.Clone(columns)
		other[i].Name += "x"
		refused("name", f, other)
		refused("column", f, slices.Delete(slices.Clone(columns), i, i+1))
	}
}
