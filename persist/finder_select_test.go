package persist

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// valuePredicate draws a test that accepts a part of all values, null perhaps among them.
func valuePredicate(rng *rand.Rand) func(v any) bool {
	salt, share := rng.Uint64(), rng.Uint32N(5)
	return func(v any) bool {
		h := fnv.New32a()
		fmt.Fprint(h, salt, v)
		return h.Sum32()>>8%4 < share
	}
}

// drawSelection asks for rows by random tests of their values, by column, which it returns too.
func drawSelection(rng *rand.Rand, t *table) (*Selection, map[schema.ColumnID]func(v any) bool) {
	w := drawWanted(rng, t)
	s, tests := &Selection{Time: w.Time, Columns: w.Columns}, make(map[schema.ColumnID]func(v any) bool)
	absent := schema.ColumnID(len(t.columns) + 1) // a field, and behind it a tag
	for id := schema.ColumnID(1); id <= absent+1; id++ {
		if rng.IntN(4) > 0 {
			continue
		}
		accepts := valuePredicate(rng)
		tests[id] = accepts
		if id == absent+1 || id <= 2 {
			s.Tags = append(s.Tags, TagTest{Column: id, Accepts: func(v string, ok bool) bool {
				if !ok {
					return accepts(nil)
				}
				return accepts(v)
			}})
			continue
		}
		s.Fields = append(s.Fields, FieldTest{Column: id, Null: accepts(nil), Keep: func(f *FoundField, keep []uint64) {
			for row := range 64 * len(keep) {
				if keep[row/64]>>(row%64)&1 != 0 && !accepts(foundValue(f, row)) {
					keep[row/64] &^= 1 << (row % 64)
				}
			}
		}})
	}
	for tag := range schema.ColumnID(2) {
		if rng.IntN(3) > 0 {
			s.Columns = append(s.Columns, tag+1)
		}
	}
	return s, tests
}

// selectedOf filters the rows of the model. Tags come first.
func selectedOf(t *table, s *Selection, tests map[schema.ColumnID]func(v any) bool) (want table) {
	columns := slices.Clone(s.Columns)
	slices.SortStableFunc(columns, func(a, b schema.ColumnID) int { return min(int(a), 3) - min(int(b), 3) })
	for _, r := range t.rows {
		value := func(id schema.ColumnID) any {
			if int(id) > len(r.values) {
				return nil
			}
			return r.values[id-1]
		}
		isKept := s.Time.Contains(r.time)
		for id, accepts := range tests {
			isKept = isKept && accepts(value(id))
		}
		if !isKept {
			continue
		}
		shown := row{time: r.time}
		for _, id := range columns {
			shown.values = append(shown.values, value(id))
		}
		want.rows = append(want.rows, shown)
	}
	return want
}

// addFound adds rows that were found.
func (t *table) addFound(found *Found) {
	for _, p := range found.Pieces {
		for k, at := range p.Times {
			r := row{time: at}
			for _, tag := range found.Tags {
				var v any
				if i := tag.Indices[p.Series[k]]; i > 0 {
					v = tag.Values[i-1]
				}
				r.values = append(r.values, v)
			}
			for i := range p.Fields {
				r.values = append(r.values, foundValue(&p.Fields[i], k))
			}
			t.rows = append(t.rows, r)
		}
	}
}

// selectAll reads all row groups, with buffers or without, where all that was read stays as it was.
func selectAll(s *Selector, src vfs.File, buffers *SelectionBuffers) (got table, err error) {
	var kept []*Found
	for g := range s.Groups() {
		if !s.Wants(g) {
			continue
		}
		err := s.Read(src, g, buffers, func(found *Found) error {
			if buffers == nil {
				kept = append(kept, found)
			} else {
				got.addFound(found)
			}
			return nil
		})
		if err != nil {
			return got, err
		}
	}
	for _, found := range kept {
		got.addFound(found)
	}
	return got, nil
}

func TestSelectorFindsWhatFilteringEverythingFinds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		model, _, f, src := drawFinder(rt, rng)
		buffers := new(SelectionBuffers)
		for range 5 {
			selection, tests := drawSelection(rng, &model)
			s, err := f.Selector(src, selection)
			if err != nil {
				rt.Fatal(err)
			}
			s.partRows = []int{1, 7, 100, s.partRows}[rng.IntN(4)]
			want := selectedOf(&model, selection, tests)
			for _, room := range []*SelectionBuffers{nil, buffers} {
				got, err := selectAll(s, src, room)
				if err != nil {
					rt.Fatal(err)
				}
				if diff := cmp.Diff(want.lines(), got.lines()); diff != "" {
					rt.Fatalf("%+v, buffers %t (-want +got):\n%s", selection, room != nil, diff)
				}
			}
		}
	})
}
