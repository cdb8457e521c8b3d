package persist

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// seriesTable draws a table of a few series of many rows, whose columns end up in every
// encoding that Write chooses.
func seriesTable(rng *rand.Rand) table {
	types := []schema.ColumnType{schema.Tag, schema.Tag}
	for range 1 + rng.IntN(6) {
		types = append(types, []schema.ColumnType{schema.Int64, schema.Uint64, schema.Float64, schema.String, schema.Bool}[rng.IntN(5)])
	}
	var t table
	makers := make([]func() any, len(types))
	for i, typ := range types {
		t.columns = append(t.columns, schema.Column{ID: schema.ColumnID(i + 1), Name: fmt.Sprintf("c%d", i), Type: typ})
		makers[i] = valueMaker(rng, typ)
	}
	for s := range 1 + rng.IntN(12) {
		first, second := any(fmt.Sprintf("host_%d", s/2)), any(nil)
		if s%3 > 0 {
			second = fmt.Sprintf("region-%d", s%3)
		}
		if s == 1 && rng.IntN(2) == 0 {
			first = ""
		}
		at, step := rng.Int64N(1000), 1+rng.Int64N(3)
		for range 10 + rng.IntN(300) {
			r := row{time: at, values: []any{first, second}}
			for i := 2; i < len(types); i++ {
				r.values = append(r.values, makers[i]())
			}
			t.rows = append(t.rows, r)
			if at += step; rng.IntN(50) == 0 {
				at += rng.Int64N(100)
			}
		}
	}
	t.sort()
	return t
}

// valueMaker returns a function that makes the values of a column of some nature.
func valueMaker(rng *rand.Rand, typ schema.ColumnType) func() any {
	nulls, nature, last := []int{0, 0, 2, 20}[rng.IntN(4)], rng.IntN(4), rng.Int64()>>rng.IntN(64)
	return func() any {
		if nulls > 0 && rng.IntN(nulls) == 0 {
			return nil
		}
		switch nature {
		case 0:
			last += rng.Int64N(7) - 3
		case 1:
			last = rng.Int64N(5)
		case 2:
			last = int64(rng.Uint64())
		}
		switch typ {
		case schema.Uint64:
			return uint64(last)
		case schema.Float64:
			if nature == 2 {
				return math.Float64frombits(uint64(last))
			}
			return float64(last) / 4
		case schema.String:
			return strings.Repeat("text", int(uint64(last)%4)) + fmt.Sprint(last)
		case schema.Bool:
			return last&1 == 0
		}
		return last
	}
}

// find reads rows with a Finder, as a table of all its tags and the named columns.
func find(f *Finder, fs vfs.FS, path string, w *Wanted) (t table, err error) {
	src, err := fs.Open(path)
	if err != nil {
		return t, err
	}
	defer src.Close()
	found, err := f.Find(context.Background(), src, w, 3)
	if err != nil {
		return t, err
	}
	t.addFound(found)
	return t, nil
}

func foundValue(f *FoundField, k int) any {
	if f.Valid != nil && f.Valid[k/64]>>(k%64)&1 == 0 {
		return nil
	}
	switch f.Column.Type {
	case schema.Int64:
		return int64(f.Words[k])
	case schema.Uint64:
		return f.Words[k]
	case schema.Float64:
		return math.Float64frombits(f.Words[k])
	case schema.Bool:
		return f.Bools[k] == 1
	}
	return string(f.Data[f.Offsets[k]:f.Offsets[k+1]])
}

// drawWanted asks for some of the values that occur, some that do not, and a range of time.
func drawWanted(rng *rand.Rand, t *table) *Wanted {
	w := &Wanted{Time: schema.MaxTimeRange, MaxRows: 1 << 20, MaxSeriesRows: 1 << 20, Tags: map[schema.ColumnID][]string{}}
	for tag := range 2 {
		if rng.IntN(2) == 0 {
			continue
		}
		values := []string{"nowhere"}
		for range rng.IntN(4) {
			if v, ok := t.rows[rng.IntN(len(t.rows))].values[tag].(string); ok {
				values = append(values, v)
			}
		}
		w.Tags[t.columns[tag].ID] = values
	}
	if rng.IntN(3) > 0 {
		a, b := t.rows[rng.IntN(len(t.rows))].time, t.rows[rng.IntN(len(t.rows))].time
		w.Time = schema.TimeRange{Min: min(a, b), Max: max(a, b) - rng.Int64N(2)}
	}
	for _, c := range t.columns[2:] {
		if rng.IntN(3) > 0 {
			w.Columns = append(w.Columns, c.ID)
		}
	}
	return w
}

// expected filters the rows of the model.
func expected(t *table, w *Wanted) table {
	var want table
	for _, r := range t.rows {
		keep := w.Time.Contains(r.time)
		for id, values := range w.Tags {
			v, ok := r.values[id-1].(string)
			keep = keep && ok && slices.Contains(values, v)
		}
		if !keep {
			continue
		}
		shown := row{time: r.time, values: slices.Clone(r.values[:2])}
		for _, id := range w.Columns {
			shown.values = append(shown.values, r.values[id-1])
		}
		want.rows = append(want.rows, shown)
	}
	return want
}

// drawFinder writes a table that is drawn to a file, and opens it twice. It skips what a Finder does not take.
func drawFinder(rt *rapid.T, rng *rand.Rand) (model table, fs *vfs.MemFS, f *Finder, src vfs.File) {
	model, fs = seriesTable(rng), vfs.NewMem()
	if _, err := model.write(fs, "/", "file", 100+rng.IntN(2000), 1+rng.IntN(500)); err != nil {
		rt.Fatal(err)
	}
	f, err := NewFinder(fs, "file")
	if errors.Is(err, ErrNotSupported) {
		rt.Skip(err)
	}
	if err != nil {
		rt.Fatal(err)
	}
	if src, err = fs.Open("file"); err != nil {
		rt.Fatal(err)
	}
	rt.Cleanup(func() { src.Close() })
	return model, fs, f, src
}

func TestFinderFindsWhatReadingEverythingFinds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		model, fs, f, _ := drawFinder(rt, rng)
		for range 5 {
			w := drawWanted(rng, &model)
			got, err := find(f, fs, "file", w)
			if err != nil {
				rt.Fatalf("%+v: %v", w, err)
			}
			want := expected(&model, w)
			if diff := cmp.Diff(want.lines(), got.lines()); diff != "" {
				rt.Fatalf("%+v (-want +got):\n%s", w, diff)
			}
		}
	})
}

func TestFinderRefusesMoreRowsThanAreWanted(t *testing.T) {
	fs, model := vfs.NewMem(), seriesTable(rand.New(rand.NewPCG(7, 0)))
	if _, err := model.write(fs, "/", "file", 1000, 100); err != nil {
		t.Fatal(err)
	}
	f, err := NewFinder(fs, "file")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Wanted{
		{Time: schema.MaxTimeRange, MaxRows: len(model.rows) - 1, MaxSeriesRows: len(model.rows)},
		{Time: schema.MaxTimeRange, MaxRows: len(model.rows), MaxSeriesRows: len(model.rows) - 1},
	} {
		if _, err := find(f, fs, "file", w); !errors.Is(err, ErrNotSupported) {
			t.Errorf("%d rows, %d of the series: %v", w.MaxRows, w.MaxSeriesRows, err)
		}
	}
}

func TestFinderIsNotForSeriesOfFewRows(t *testing.T) {
	fs := vfs.NewMem()
	model := table{columns: []schema.Column{{ID: 1, Name: "tag", Type: schema.Tag}}}
	for i := range maxShortSeries + 1 {
		model.rows = append(model.rows, row{int64(i), []any{fmt.Sprintf("%04d", i)}})
	}
	if _, err := model.write(fs, "/", "file", 2000, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFinder(fs, "file"); !errors.Is(err, ErrNotSupported) {
		t.Error(err)
	}
}

// Damage that got past the checksums must not end the process.
func TestFinderSurvivesDamage(t *testing.T) {
	fs, model := vfs.NewMem(), seriesTable(rand.New(rand.NewPCG(3, 0)))
	if _, err := model.write(fs, "/", "file", 1000, 100); err != nil {
		t.Fatal(err)
	}
	raw, err := readFile(fs, "file")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 0))
	for range 200 {
		damaged := slices.Clone(raw)
		for range 1 + rng.IntN(3) {
			damaged[rng.IntN(len(raw))] ^= 1 << rng.IntN(8)
		}
		fs := vfs.NewMem()
		writeFile(t, fs, "file", damaged)
		f, err := NewFinder(fs, "file")
		if err != nil {
			continue
		}
		w := &Wanted{Time: schema.MaxTimeRange, MaxRows: 1 << 20, MaxSeriesRows: 1 << 20, Columns: []schema.ColumnID{3, 4, 5, 6, 7, 8}}
		_, _ = find(f, fs, "file", w)
	}
}
