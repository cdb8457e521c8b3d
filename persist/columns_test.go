package persist

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// TestColumnsAreThoseOfTheRecords: what ColumnReader decodes is what was written, in every
// encoding that Write chooses.
func TestColumnsAreThoseOfTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawTable(t)
		fs := vfs.NewMem()
		groupRows := rapid.SampledFrom([]int{1, 7, 64, 1000}).Draw(t, "row group")
		if _, err := want.write(fs, "dir", "f.parquet", groupRows, 90); err != nil {
			t.Fatal(err)
		}
		columns, err := OpenColumns(fs, "dir/f.parquet")
		if err != nil {
			t.Fatal(err)
		}
		r, err := columns.NewReader()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		begin := 0
		var numbers Numbers
		var runs Runs
		for g := range columns.Groups() {
			rows := want.rows[begin : begin+columns.GroupRows(g)]
			begin += len(rows)
			compareNumbers(t, r, g, schema.Column{Type: schema.Int64}, &numbers, rows, func(r row) any { return r.time })
			for i, c := range want.columns {
				value := func(r row) any { return r.values[i] }
				switch c.Type {
				case schema.Tag:
					compareRuns(t, r, g, c, &runs, rows, value)
				case schema.Int64, schema.Uint64, schema.Float64:
					compareNumbers(t, r, g, c, &numbers, rows, value)
				default:
					if err := r.ReadNumbers(g, c.ID, &numbers); err == nil {
						t.Fatalf("column %q of type %v was read as numbers", c.Name, c.Type)
					}
				}
			}
		}
		if begin != len(want.rows) {
			t.Fatalf("%d rows of %d", begin, len(want.rows))
		}
	})
}

func compareNumbers(t *rapid.T, r *ColumnReader, g int, c schema.Column, numbers *Numbers, rows []row, value func(row) any) {
	if err := r.ReadNumbers(g, c.ID, numbers); err != nil {
		t.Fatalf("column %q: %v", c.Name, err)
	}
	for k, row := range rows {
		isValid := numbers.Valid == nil || numbers.Valid[k]
		same := false
		switch v := value(row).(type) {
		case nil:
			same = !isValid
		case int64:
			same = isValid && numbers.Ints[k] == v
		case uint64:
			same = isValid && uint64(numbers.Ints[k]) == v
		case float64:
			same = isValid && math.Float64bits(numbers.Floats[k]) == math.Float64bits(v)
		}
		if !same {
			t.Fatalf("column %q, row %d: not %v", c.Name, k, value(row))
		}
	}
}

func compareRuns(t *rapid.T, r *ColumnReader, g int, c schema.Column, runs *Runs, rows []row, value func(row) any) {
	if err := r.ReadRuns(g, c.ID, runs); err != nil {
		t.Fatalf("column %q: %v", c.Name, err)
	}
	k := 0
	for i, index := range runs.Index {
		for range runs.Lengths[i] {
			want := value(rows[k])
			if index < 0 && want != nil || index >= 0 && runs.Values[index] != want {
				t.Fatalf("column %q, row %d: run of %d, not %v", c.Name, k, index, want)
			}
			k++
		}
	}
	if k != len(rows) {
		t.Fatalf("column %q has %d rows of %d", c.Name, k, len(rows))
	}
}

func FuzzDecoders(f *testing.F) {
	f.Add([]byte{128, 1, 4, 3, 0, 2, 0, 0, 0, 0}, 3)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n = min(max(n, 0), 1000)
		read := make([]uint64, n)
		for _, e := range []parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.ByteStreamSplit, parquet.Encodings.RLEDict} {
			for _, floats := range []bool{false, true} {
				checkSkip(t, read, func() (words, error) { return newWords(e, floats, data, n, []uint64{1, 2, 3}) })
			}
		}
		_, _ = textsOf(data, n)
		if runs, _, err := levelRuns(nil, data, n); err == nil {
			sum := 0
			for _, r := range runs {
				sum += int(r.length)
			}
			if sum != n {
				t.Fatalf("%d levels of %d", sum, n)
			}
		}
	})
}

// checkSkip reads a page at once and in part: whoever passes over values gets the others as they are.
func checkSkip(t *testing.T, read []uint64, open func() (words, error)) {
	all, err := open()
	if err != nil || all.read(read) != nil {
		return
	}
	for _, skip := range []int{1, 5, 31, 64, len(read) / 2} {
		part, err := open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]uint64, 7)
		for at := 0; at+skip+len(got) <= len(read); at += skip + len(got) {
			if err := errors.Join(part.skip(skip), part.read(got)); err != nil || !slices.Equal(got, read[at+skip:][:len(got)]) {
				t.Fatalf("%d values behind %d that were passed: %v (%v), want %v", len(got), at+skip, got, err, read[at+skip:][:len(got)])
			}
		}
	}
}

func BenchmarkDeltas(b *testing.B) {
	for _, width := range []uint{0, 2, 3, 7, 12} {
		b.Run(string(rune('0'+width/10))+string(rune('0'+width%10)), func(b *testing.B) {
			out, packed := make([]uint64, 32), make([]byte, 32*width/8)
			for i := range packed {
				packed[i] = byte(i * 37)
			}
			b.SetBytes(32 * 8)
			for b.Loop() {
				unpackDeltas(out, packed, 0, width, 5, ^uint64(2))
			}
		})
	}
}
