package partition

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

func TestTagsAreFoundInASeriesKey(t *testing.T) {
	key := AppendTag(nil, 2, []byte("two"))
	key = AppendTag(key, 7, []byte("seven"))
	key = AppendTag(key, 300, nil)
	for id, want := range map[schema.ColumnID]string{2: "two", 7: "seven", 300: ""} {
		if got, ok := TagValue(key, id); !ok || string(got) != want {
			t.Errorf("tag %d is %q, %v, want %q", id, got, ok, want)
		}
	}
	for _, id := range []schema.ColumnID{0, 1, 3, 8, 301} {
		if got, ok := TagValue(key, id); ok {
			t.Errorf("found %q for tag %d", got, id)
		}
	}
	if got, ok := TagValue(key[:3], 7); ok {
		t.Errorf("found %q in a key that is cut", got)
	}
}

// TestSeriesKeysAreValidInOneSpelling compares the check of keys with reading them number by number:
// valid ones are those that AppendTag makes of what is read.
func TestSeriesKeysAreValidInOneSpelling(t *testing.T) {
	isValid := func(key []byte) bool {
		var again []byte
		last := uint64(0)
		for rest := key; len(rest) > 0; {
			id, n := binary.Uvarint(rest)
			if n <= 0 || id <= last || id > math.MaxUint32 {
				return false
			}
			rest = rest[n:]
			size, n := binary.Uvarint(rest)
			if n <= 0 || size > uint64(len(rest)-n) {
				return false
			}
			again = AppendTag(again, schema.ColumnID(id), rest[n:n+int(size)])
			last, rest = id, rest[n+int(size):]
		}
		return bytes.Equal(again, key)
	}
	rapid.Check(t, func(t *rapid.T) {
		var key []byte
		for range rapid.IntRange(0, 4).Draw(t, "tags") {
			id := rapid.SampledFrom([]schema.ColumnID{1, 2, 3, 100, 127, 128, 300, math.MaxUint32}).Draw(t, "id")
			key = AppendTag(key, id, make([]byte, rapid.SampledFrom([]int{0, 1, 5, 127, 128, 200}).Draw(t, "size")))
		}
		spoiled := rapid.SampledFrom([]byte{0, 1, 2, 0x7f, 0x80, 0x81, 0xff})
		if len(key) > 0 && rapid.Bool().Draw(t, "is spoiled") {
			key[rapid.IntRange(0, len(key)-1).Draw(t, "at")] = spoiled.Draw(t, "byte")
		}
		if len(key) > 0 && rapid.Bool().Draw(t, "is cut") {
			key = key[:rapid.IntRange(0, len(key)).Draw(t, "length")]
		}
		if got, want := validSeriesKey(key), isValid(key); got != want {
			t.Fatalf("%x is valid: %v, want %v", key, got, want)
		}
	})
}

// TestSelectedRowsAreThoseOfTheBatch with their fields and range, in order.
func TestSelectedRowsAreThoseOfTheBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		keep := rapid.SliceOfN(rapid.Bool(), len(rows), len(rows)).Draw(t, "keep")
		var want []row
		span := schema.EmptyTimeRange
		for i, r := range rows {
			if keep[i] {
				want, span = append(want, r), span.Include(r.time)
			}
		}
		got := newBatch(rows...).Select(func(i int) bool { return keep[i] })
		if d := diffRows(want, batchRows(got)); d != "" || got.Range != span {
			t.Fatalf("range %v, want %v\n%s", got.Range, span, d)
		}
		for i := range got.Fields {
			if n := got.Fields[i].Len(); n != len(want) {
				t.Fatalf("field %d has %d rows of %d", i, n, len(want))
			}
		}
	})
}
