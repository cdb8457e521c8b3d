package persist

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// drawInput draws a file's rows of a table: some of its columns, few times, so that points
// meet.
func drawInput(t *rapid.T, columns []schema.Column) table {
	var tb table
	for _, c := range columns {
		if rapid.IntRange(0, 3).Draw(t, "has column") > 0 {
			tb.columns = append(tb.columns, c)
		}
	}
	nullPercent := rapid.SampledFrom([]int{0, 20, 100}).Draw(t, "null percent")
	times := rapid.SampledFrom([]int64{3, 40, 1 << 40}).Draw(t, "times")
	for range rapid.IntRange(1, 120).Draw(t, "rows") {
		r := row{time: rapid.Int64Range(0, times).Draw(t, "time")}
		for _, c := range tb.columns {
			if rapid.IntRange(0, 99).Draw(t, "null") < nullPercent {
				r.values = append(r.values, nil)
			} else {
				r.values = append(r.values, drawValue(t, c.Type))
			}
		}
		tb.rows = append(tb.rows, r)
	}
	tb.sort()
	return tb
}

// mergeModel merges tables as a query does: of each field the last value that is not null.
func mergeModel(columns []schema.Column, inputs []table, within schema.TimeRange) table {
	merged := table{columns: columns}
	byPoint := make(map[string]int)
	for _, in := range inputs {
		for _, r := range in.rows {
			if !within.Contains(r.time) {
				continue
			}
			wide := row{time: r.time}
			point := fmt.Sprint(r.time)
			for _, c := range columns {
				var v any
				if i := slices.Index(in.columns, c); i >= 0 {
					v = r.values[i]
				}
				wide.values = append(wide.values, v)
				if c.Type == schema.Tag {
					point += fmt.Sprintf(" %#v", v)
				}
			}
			at, ok := byPoint[point]
			if !ok {
				byPoint[point] = len(merged.rows)
				merged.rows = append(merged.rows, wide)
				continue
			}
			for i, v := range wide.values {
				if v != nil {
					merged.rows[at].values[i] = v
				}
			}
		}
	}
	merged.sort()
	return merged
}

// drawDrops draws deletions of rows of a table.
func drawDrops(t *rapid.T, columns []schema.Column) (drops []*schema.Tombstone) {
	for range rapid.IntRange(0, 2).Draw(t, "drops") {
		from := rapid.Int64Range(-1, 45).Draw(t, "from")
		d := &schema.Tombstone{Time: schema.TimeRange{Min: from, Max: from + rapid.Int64Range(0, 30).Draw(t, "length")}}
		if rapid.Bool().Draw(t, "with predicate") {
			d.Where = drawPredicate(t, columns, 0)
		}
		drops = append(drops, d)
	}
	return drops
}

func drawPredicate(t *rapid.T, columns []schema.Column, depth int) *schema.Predicate {
	op := schema.PredicateOp(rapid.IntRange(int(schema.And), int(schema.NoMatch)).Draw(t, "op"))
	if op > schema.Or || depth == 2 {
		tag := columns[rapid.IntRange(0, len(columns)-1).Draw(t, "tag")].Name
		text, _ := drawValue(t, schema.Tag).(string)
		p, err := schema.Compare(tag, max(op, schema.Equal), regexp.QuoteMeta(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := &schema.Predicate{Op: op}
	for range rapid.IntRange(0, 3).Draw(t, "operands") {
		p.Args = append(p.Args, drawPredicate(t, columns, depth+1))
	}
	return p
}

// withoutDropped returns a table without the rows that were deleted.
func (tb table) withoutDropped(drops []*schema.Tombstone) table {
	tb.rows = slices.DeleteFunc(slices.Clone(tb.rows), func(r row) bool {
		value := func(name string) string {
			i := slices.IndexFunc(tb.columns, func(c schema.Column) bool { return c.Name == name && c.Type == schema.Tag })
			if i < 0 {
				return ""
			}
			text, _ := r.values[i].(string)
			return text
		}
		return slices.ContainsFunc(drops, func(d *schema.Tombstone) bool { return d.Time.Contains(r.time) && d.Where.Holds(value) })
	})
	return tb
}

// drawLatest draws whether only the newest rows are wanted.
func drawLatest(t *rapid.T, columns []schema.Column) *MergeLatest {
	if rapid.Bool().Draw(t, "all versions") {
		return nil
	}
	latest := &MergeLatest{DeletedBefore: rapid.Int64Range(-1, 45).Draw(t, "deleted before")}
	if i := slices.IndexFunc(columns, func(c schema.Column) bool { return c.Type == schema.Bool }); i >= 0 {
		latest.Deleted = columns[i].ID
	}
	return latest
}

// newest is what is left of a merged table where only the newest row of a series counts.
func (tb table) newest(latest *MergeLatest) table {
	if latest == nil {
		return tb
	}
	newest := make(map[string]int64)
	series := func(r row) (key string) {
		for i, c := range tb.columns {
			if c.Type == schema.Tag {
				key += fmt.Sprintf(" %#v", r.values[i])
			}
		}
		return key
	}
	for _, r := range tb.rows { // in order of time
		newest[series(r)] = r.time
	}
	mark := slices.IndexFunc(tb.columns, func(c schema.Column) bool { return c.ID == latest.Deleted && c.Type == schema.Bool })
	tb.rows = slices.DeleteFunc(tb.rows, func(r row) bool {
		return r.time < newest[series(r)] || mark >= 0 && r.time < latest.DeletedBefore && r.values[mark] == true
	})
	return tb
}

// TestMergeIsWhatQueriesSee draws files with points in common and columns of their own, and
// compares their merge with a model, in several ranges of time, with batches of any size, with
// rows that were deleted, and of all versions or the newest.
func TestMergeIsWhatQueriesSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns, fs := drawTable(t).columns, vfs.NewMem()
		spec := MergeSpec{FS: fs, Columns: columns, BatchRows: rapid.IntRange(1, 50).Draw(t, "batch"), Latest: drawLatest(t, columns)}
		var inputs []table
		for n := range rapid.IntRange(1, 6).Draw(t, "inputs") {
			in := drawInput(t, columns)
			name := fmt.Sprint(n)
			f, err := in.write(fs, "d", name, rapid.IntRange(1, 60).Draw(t, "row group"), 50)
			if err != nil {
				t.Fatal(err)
			}
			drops := drawDrops(t, columns)
			inputs = append(inputs, in.withoutDropped(drops))
			spec.Inputs = append(spec.Inputs, MergeInput{Path: "d/" + name, File: &f, Drop: drops})
		}
		m, err := OpenMerge(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		cut := rapid.Int64Range(-1, 45).Draw(t, "cut")
		for i, within := range []schema.TimeRange{schema.MaxTimeRange, {Min: schema.MaxTimeRange.Min, Max: cut}, {Min: cut + 1, Max: schema.MaxTimeRange.Max}} {
			want := mergeModel(m.Columns(), inputs, within).newest(spec.Latest)
			name := fmt.Sprint("merged", i)
			f, err := Write(Spec{FS: fs, Dir: "d", Name: name, Columns: m.Columns(), RowGroupRows: 70}, m.Records(within))
			if len(want.rows) == 0 {
				if !errors.Is(err, ErrNoRows) {
					t.Fatalf("of no rows: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := readArrow(fs, "d/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.lines(), got.lines()); d != "" {
				t.Fatalf("%v: %s", within, d)
			}
			if err := VerifyRows(fs, "d/"+name, &f, columns); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestMergeLeavesOutWhatIsNull: a field without any value is not a column of the result.
func TestMergeLeavesOutWhatIsNull(t *testing.T) {
	fs := vfs.NewMem()
	tb := table{columns: []schema.Column{{ID: 1, Name: "t", Type: schema.Tag}, {ID: 2, Name: "f", Type: schema.Int64}, {ID: 3, Name: "g", Type: schema.Int64}}}
	tb.rows = []row{{1, []any{nil, nil, int64(1)}}}
	f, err := tb.write(fs, "d", "f", 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenMerge(context.Background(), MergeSpec{FS: fs, Columns: tb.columns, Inputs: []MergeInput{{Path: "d/f", File: &f}}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if want := []schema.Column{tb.columns[0], tb.columns[2]}; !slices.Equal(m.Columns(), want) {
		t.Fatalf("the columns are %v, not %v", m.Columns(), want)
	}
}

// TestMergeRefusesEveryFlippedBit: no input is merged that is not what was written.
func TestMergeRefusesEveryFlippedBit(t *testing.T) {
	raw, f := smallFile(t)
	for at := range raw {
		fs := vfs.NewMem()
		damaged := slices.Clone(raw)
		damaged[at] ^= 1 << (at % 8)
		writeFile(t, fs, "f.parquet", damaged)
		m, err := OpenMerge(context.Background(), MergeSpec{FS: fs, Columns: smallTable().columns, Inputs: []MergeInput{{Path: "f.parquet", File: &f}}})
		if err == nil {
			m.Close()
			t.Fatalf("a flipped bit in byte %d of %d is not noticed", at, len(raw))
		}
	}
}

// TestMergeStopsWhenItIsTold: the pace is asked for leave before anything is read.
func TestMergeStopsWhenItIsTold(t *testing.T) {
	raw, f := smallFile(t)
	fs, stop := vfs.NewMem(), errors.New("stop")
	writeFile(t, fs, "f.parquet", raw)
	spec := MergeSpec{FS: fs, Columns: smallTable().columns, Inputs: []MergeInput{{Path: "f.parquet", File: &f}}, Pace: func(int64) error { return stop }}
	if _, err := OpenMerge(context.Background(), spec); !errors.Is(err, stop) {
		t.Fatalf("it answers %v", err)
	}
}

// TestMergeOfManyValues renews the dictionaries of a tag in the middle.
func TestMergeOfManyValues(t *testing.T) {
	t.Run("all versions", func(t *testing.T) { testMergeOfManyValues(t, nil) })
	t.Run("the newest", func(t *testing.T) { testMergeOfManyValues(t, &MergeLatest{}) })
}

func testMergeOfManyValues(t *testing.T, latest *MergeLatest) {
	fs := vfs.NewMem()
	columns := []schema.Column{{ID: 1, Name: "t", Type: schema.Tag}, {ID: 2, Name: "f", Type: schema.Int64}}
	spec := MergeSpec{FS: fs, Columns: columns, BatchRows: 1000, Latest: latest}
	const rows = 100_000
	for n := range 2 {
		tb := table{columns: columns}
		for i := n; i < rows; i += 1 + n {
			tb.rows = append(tb.rows, row{5, []any{fmt.Sprintf("%06d", i), int64(i + n)}})
		}
		f, err := tb.write(fs, "d", fmt.Sprint(n), 30_000, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		spec.Inputs = append(spec.Inputs, MergeInput{Path: fmt.Sprint("d/", n), File: &f})
	}
	m, err := OpenMerge(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := Write(Spec{FS: fs, Dir: "d", Name: "m", Columns: columns}, m.Records(schema.MaxTimeRange)); err != nil {
		t.Fatal(err)
	}
	got, err := readArrow(fs, "d/m")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.rows) != rows {
		t.Fatalf("%d rows, not %d", len(got.rows), rows)
	}
	for i, r := range got.rows {
		if want := int64(i + i%2); r.values[0] != fmt.Sprintf("%06d", i) || r.values[1] != want {
			t.Fatalf("row %d is %v", i, r)
		}
	}
}
