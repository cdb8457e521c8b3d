package persist

import (
	"encoding/binary"
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// keep writes the survivors of a file, and returns what is left and what the new file holds.
func keep(t testing.TB, raw []byte, file *schema.File, table []schema.Column) (*Survivors, schema.File, []string, error) {
	t.Helper()
	fs := vfs.NewMem()
	writeFile(t, fs, "f", raw)
	s, err := FindSurvivors(fs, "f", file, table)
	if err != nil {
		return nil, schema.File{}, nil, err
	}
	written, err := Write(Spec{FS: fs, Dir: "d", Name: "kept", Columns: s.Columns}, s.Records())
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := VerifyRows(fs, "d/kept", &written, table); err != nil {
		t.Fatal(err)
	}
	kept, err := readArrow(fs, "d/kept")
	if err != nil {
		t.Fatal(err)
	}
	return s, written, kept.lines(), nil
}

// TestSurvivorsAreWhatMatchesItsChecksum damages some column chunks.
func TestSurvivorsAreWhatMatchesItsChecksum(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := drawTable(rt)
		fs := vfs.NewMem()
		groupRows := rapid.SampledFrom([]int{1, 7, 64, 1000}).Draw(rt, "row group")
		file, err := tb.write(fs, "d", "f", groupRows, 9, 40)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := readFile(fs, "d/f")
		if err != nil {
			t.Fatal(err)
		}
		isDamaged := make(map[[2]int]bool) // row group and place in it
		chunks := chunksOf(t, raw)
		for range rapid.IntRange(1, 4).Draw(rt, "damaged") {
			i := rapid.IntRange(0, len(chunks)-1).Draw(rt, "chunk")
			if at := [2]int{i / (len(tb.columns) + 1), i % (len(tb.columns) + 1)}; !isDamaged[at] {
				isDamaged[at] = true
				raw[chunks[i].Min+rapid.Int64Range(0, chunks[i].Max-chunks[i].Min-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			}
		}
		want, lost := tb.without(groupRows, isDamaged)
		s, _, got, err := keep(t, raw, &file, tb.columns)
		if len(want.rows) == 0 {
			if !errors.Is(err, ErrNoRows) {
				rt.Fatalf("no row group is intact, and the error is %v", err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if diff := gocmp.Diff(want.lines(), got); diff != "" {
			rt.Error(diff)
		}
		if diff := gocmp.Diff(lost, s.Lost, cmpopts.EquateEmpty()); diff != "" {
			rt.Error(diff)
		}
	})
}

// without is the model: a table of which some column chunks are gone.
func (t *table) without(groupRows int, isDamaged map[[2]int]bool) (left table, lost []LostValues) {
	tags, fields := split(t.columns)
	losses := make([]LostValues, len(fields))
	used := make(map[int]bool) // places in columns
	for i, row := range t.rows {
		group := i / groupRows
		whole := true
		for at := range len(tags) + 1 {
			whole = whole && !isDamaged[[2]int{group, at}]
		}
		if !whole {
			continue
		}
		row.values = slices.Clone(row.values)
		for n, f := range fields {
			at := slices.Index(t.columns, f)
			if row.values[at] == nil {
				continue
			}
			if isDamaged[[2]int{group, len(tags) + 1 + n}] {
				row.values[at] = nil
				last := min(len(t.rows), (group+1)*groupRows)
				times := schema.EmptyTimeRange
				for _, r := range t.rows[group*groupRows : last] {
					times = times.Include(r.time)
				}
				losses[n].add(f, 1, times)
				continue
			}
			used[at] = true
		}
		left.rows = append(left.rows, row)
	}
	for at, c := range t.columns {
		if c.Type == schema.Tag || used[at] {
			left.columns = append(left.columns, c)
			continue
		}
	}
	for i := range left.rows {
		var values []any
		for at, c := range t.columns {
			if c.Type == schema.Tag || used[at] {
				values = append(values, left.rows[i].values[at])
			}
		}
		left.rows[i].values = values
	}
	return left, slices.DeleteFunc(losses, func(l LostValues) bool { return l.Rows == 0 })
}

// chunksOf returns where the column chunks of a file are; Max is behind the end.
func chunksOf(t testing.TB, raw []byte) []schema.TimeRange {
	t.Helper()
	fs := vfs.NewMem()
	writeFile(t, fs, "f", raw)
	r, err := Open(fs, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sums, err := parseSums(r.footer.sums)
	if err != nil {
		t.Fatal(err)
	}
	var chunks []schema.TimeRange
	at := int64(len(magic))
	for _, s := range sums {
		chunks = append(chunks, schema.TimeRange{Min: at, Max: at + int64(s.bytes)})
		at += int64(s.bytes)
	}
	return chunks
}

var footerStride = flag.Int("footer-stride", 16, "damage every so manieth bit of a footer")

// TestFlippedBitOfTheFooterCostsNothing flips bits outside of the column chunks.
func TestFlippedBitOfTheFooterCostsNothing(t *testing.T) {
	raw, file := smallFile(t)
	tb := smallTable()
	for i := range raw {
		if i >= len(magic) && i < int(file.Bytes-file.FooterBytes) {
			continue
		}
		for bit := i % *footerStride; bit < 8; bit += *footerStride {
			broken := slices.Clone(raw)
			broken[i] ^= 1 << bit
			if s, _, got, err := keep(t, broken, &file, tb.columns); err != nil || len(s.Lost) > 0 || !slices.Equal(got, tb.lines()) {
				t.Fatalf("bit %d of byte %d: %v, lost %v", bit, i, err, s)
			}
		}
	}
}

// TestDamagedFooterCostsWhatCannotBeProved flips three bits outside of the column chunks. What is
// kept is what was written, and no footer makes the reader allocate much.
func TestDamagedFooterCostsWhatCannotBeProved(t *testing.T) {
	raw, file := smallFile(t)
	tb := smallTable()
	whole, parts, none := 0, 0, 0
	footer := int(file.Bytes - file.FooterBytes)
	for i := footer; i < len(raw); i++ {
		for bit := i % *footerStride; bit < 8; bit += *footerStride {
			broken := slices.Clone(raw)
			broken[i] ^= 1 << bit
			broken[footer] ^= 2 // in the page indexes, which nobody needs
			broken[footer+1] ^= 8
			before := allocated()
			s, _, got, err := keep(t, broken, &file, tb.columns)
			if n := allocated() - before; n > 16<<20 {
				t.Errorf("bit %d of byte %d: %d bytes were allocated", bit, i, n)
			}
			if err != nil {
				if !errors.Is(err, ErrNoRows) {
					t.Fatalf("bit %d of byte %d: %v", bit, i, err)
				}
				none++
				continue
			}
			isDamaged := make(map[[2]int]bool)
			for _, l := range s.Lost {
				if l.Rows != file.Rows || l.Time != file.Time {
					t.Errorf("bit %d of byte %d: %d values are said to be lost, in %v", bit, i, l.Rows, l.Time)
				}
				at := slices.Index(tb.columns, l.Column) + 1 // behind one tag and the time
				isDamaged[[2]int{0, at}], isDamaged[[2]int{1, at}] = true, true
			}
			if len(s.Lost) == 0 {
				whole++
			} else {
				parts++
			}
			want, _ := tb.without(12, isDamaged)
			if diff := gocmp.Diff(want.lines(), got); diff != "" {
				t.Fatalf("bit %d of byte %d: %s", bit, i, diff)
			}
		}
	}
	t.Logf("of %d footers %d cost nothing, %d some columns, %d all", whole+parts+none, whole, parts, none)
	if whole < none {
		t.Error("damage to the footer mostly costs all rows")
	}
}

// TestWipedPageIndexesCostNothing also shows that a column with damage of its own is lost alone.
func TestWipedPageIndexesCostNothing(t *testing.T) {
	raw, file := smallFile(t)
	tb := smallTable()
	chunks := chunksOf(t, raw)
	metadata := len(raw) - 8 - int(binary.LittleEndian.Uint32(raw[len(raw)-8:]))
	clear(raw[file.Bytes-file.FooterBytes : metadata])
	copy(raw, "xxxx")
	copy(raw[len(raw)-4:], "yyyy")
	if s, _, got, err := keep(t, raw, &file, tb.columns); err != nil || len(s.Lost) > 0 || !slices.Equal(got, tb.lines()) {
		t.Fatal(err, s)
	}
	raw[chunks[len(tb.columns)].Min+5] ^= 1 // the last column of the first row group
	s, _, got, err := keep(t, raw, &file, tb.columns)
	if err != nil || len(s.Lost) != 1 || s.Lost[0].Rows != file.Rows {
		t.Fatal(err, s)
	}
	lost := slices.Index(tb.columns, s.Lost[0].Column) + 1
	want, _ := tb.without(12, map[[2]int]bool{{0, lost}: true, {1, lost}: true})
	if diff := gocmp.Diff(want.lines(), got); diff != "" {
		t.Error(diff)
	}
}

// TestFileWithoutChecksumsInside is kept if no more than its magic is damaged.
func TestFileWithoutChecksumsInside(t *testing.T) {
	raw, file := smallFile(t)
	file.FooterBytes, file.FooterCRC32C = 0, 0
	tb := smallTable()
	for i := range raw {
		broken := slices.Clone(raw)
		broken[i] ^= 1
		s, _, got, err := keep(t, broken, &file, tb.columns)
		if i >= len(magic) && i < len(raw)-len(magic) {
			if !errors.Is(err, ErrNoRows) {
				t.Fatalf("byte %d: %v", i, err)
			}
		} else if err != nil || len(s.Lost) > 0 || !slices.Equal(got, tb.lines()) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func TestTruncatedFileHasNoSurvivors(t *testing.T) {
	raw, file := smallFile(t)
	for i := range raw {
		if _, _, _, err := keep(t, raw[:i], &file, smallTable().columns); !errors.Is(err, ErrNoRows) {
			t.Fatalf("a file cut at %d of %d: %v", i, len(raw), err)
		}
	}
	if s, _, _, err := keep(t, append(slices.Clone(raw), "more"...), &file, smallTable().columns); err != nil || s.Rows != file.Rows {
		t.Fatal(err)
	}
}

// TestReadErrorIsNoLoss fails every operation of the search in turn.
func TestReadErrorIsNoLoss(t *testing.T) {
	raw, file := smallFile(t)
	raw[len(raw)-1] ^= 1
	raw[file.Bytes-file.FooterBytes] ^= 1
	fs := vfs.NewMem()
	writeFile(t, fs, "f", raw)
	for n := int32(0); ; n++ {
		s, err := FindSurvivors(errorfs.Wrap(fs, errorfs.OnIndex(n)), "f", &file, smallTable().columns)
		if err == nil {
			if n < 20 || len(s.Lost) > 0 {
				t.Fatalf("%d operations, lost %v", n, s.Lost)
			}
			s.Close()
			return
		}
		if !errors.Is(err, errorfs.ErrInjected) || errors.Is(err, ErrNoRows) {
			t.Fatalf("operation %d: %v", n, err)
		}
	}
}
