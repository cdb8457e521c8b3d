package partition

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// TestRanksFollowTheOrderOfStrings compares the ranks with a plain sort, for values that
// share beginnings and differ in length only.
func TestRanksFollowTheOrderOfStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.SampledFrom([]string{"", "h", "host-number-"}).Draw(t, "begin")
		value := rapid.Custom(func(t *rapid.T) string {
			return begin + rapid.StringOfN(rapid.SampledFrom([]rune("a\x00é")), 0, 12, -1).Draw(t, "end")
		})
		var snaps []*Snapshot
		var all []string
		for range rapid.IntRange(1, 3).Draw(t, "snapshots") {
			values := rapid.SliceOfNDistinct(value, 0, 20, rapid.ID).Draw(t, "values")
			snaps = append(snaps, &Snapshot{Tags: []TagColumn{{ID: 1, Values: values}}})
			all = append(all, values...)
		}
		dict, ranks := rankValues(snaps, 1)
		want := slices.Compact(slices.Sorted(slices.Values(all)))
		if !slices.Equal(dict, want) {
			t.Fatalf("got %q, want %q", dict, want)
		}
		for i, v := range all {
			if dict[ranks[i]-1] != v {
				t.Fatalf("%q has rank %d in %q", v, ranks[i], dict)
			}
		}
	})
}

// TestManyValuesAreSortedAsStrings compares values that are distributed byte by byte with a plain sort.
func TestManyValuesAreSortedAsStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom([]string{"host_%d", "%x", "%08d", "\x00%d\xff"}).Draw(t, "format")
		groups := rapid.IntRange(1, 3).Draw(t, "groups") // whose names are longer than what is compared first
		factor := rapid.SampledFrom([]uint32{1, 7, 1 << 20, 2654435761}).Draw(t, "factor")
		values := make([]string, rapid.IntRange(fewValues-1, 4*fewValues).Draw(t, "values"))
		for i := range values {
			values[i] = strings.Repeat("group ", groups-1) + fmt.Sprint(i%groups, "        ") + fmt.Sprintf(format, uint32(i/2)*factor) // some of them twice
		}
		var got []string
		for _, ref := range sortValues(values) {
			got = append(got, values[ref.at])
		}
		if want := slices.Sorted(slices.Values(values)); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// TestTuplesAreSortedByTheFirstTagFirst compares the distribution with a plain sort.
func TestTuplesAreSortedByTheFirstTagFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &order{tags: rapid.IntRange(1, 4).Draw(t, "tags")}
		n := rapid.IntRange(0, 30).Draw(t, "tuples")
		distinct := make([]int, o.tags)
		for i := range distinct {
			distinct[i] = rapid.IntRange(0, 3).Draw(t, "values")
			o.dicts = append(o.dicts, make([]string, distinct[i]))
		}
		var tuples []uint32
		for range n {
			for _, d := range distinct {
				tuples = append(tuples, uint32(rapid.IntRange(0, d).Draw(t, "value")))
			}
		}
		want := slices.Collect(slices.Chunk(tuples, o.tags))
		slices.SortStableFunc(want, slices.Compare)
		sorted := o.sortTuples(tuples, n)
		for i, s := range sorted {
			if got := tuples[int(s)*o.tags : (int(s)+1)*o.tags]; !slices.Equal(got, want[i]) {
				t.Fatalf("tuple %d is %v, want %v", i, got, want[i])
			}
			if i > 0 && slices.Equal(want[i-1], want[i]) && sorted[i-1] > s {
				t.Fatalf("equal tuples changed their order: %v", sorted)
			}
		}
	})
}

// TestRecordsDoNotShowWhatTheirMemoryHeld sorts rows with nulls into memory that other
// values have been in, while a record of them is still held.
func TestRecordsDoNotShowWhatTheirMemoryHeld(t *testing.T) {
	full, sparse := New(testKey), New(testKey)
	full.Append(tsbsBatch(0, schema.Int64), 1)
	b := tsbsBatch(1, schema.Int64)
	for i := range b.Fields {
		b.Fields[i].Valid = make([]uint64, (benchRows+63)/64) // all null
		b.Fields[i].Valid[0] = 1
	}
	sparse.Append(b, 2)
	columns := []schema.Column{{ID: 1, Name: "a", Type: schema.Tag}, {ID: 11, Name: "b", Type: schema.Int64}}
	text := func(p *Partition, release bool) (texts []string) {
		for r := range Sorted([]*Snapshot{p.Snapshot()}, columns, arrowLayout(columns), 3000, 0) {
			b, err := r.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(b))
			if release {
				r.Release()
			}
		}
		return texts
	}
	want := text(sparse, false)
	text(full, true)
	if got := text(sparse, true); !slices.Equal(got, want) {
		t.Fatal("rows differ when memory is used again")
	}
	for r := range Sorted([]*Snapshot{sparse.Snapshot()}, columns, arrowLayout(columns), benchRows, 0) {
		before, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		text(full, true) // may not take what r holds
		if after, err := r.MarshalJSON(); err != nil || !bytes.Equal(before, after) {
			t.Fatal("a record changed while it was held", err)
		}
		r.Release()
	}
}
