package catalog

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func orders(list []*schema.Tombstone) (orders []uint64) {
	for _, d := range list {
		orders = append(orders, d.Order)
	}
	return orders
}

// TestTombstonesLastUntilTheyAreExhumed adds and removes them, with openings in between.
func TestTombstonesLastUntilTheyAreExhumed(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "m", "f"))
	const id = schema.TableID(1)
	bury := func() *schema.Tombstone {
		d := &schema.Tombstone{
			Table: id, Order: uint64(c.AllocateFileID()), Time: schema.MaxTimeRange,
			Where: &schema.Predicate{Op: schema.Equal, Tag: "host", Text: "a"},
		}
		mustDo(t, c.Commit(Edit{Bury: []*schema.Tombstone{d}}))
		return d
	}
	first := bury()
	second := bury()
	for _, bad := range []Edit{
		{Bury: []*schema.Tombstone{first}},
		{Bury: []*schema.Tombstone{{Table: 99, Order: second.Order}}},
		{Bury: []*schema.Tombstone{{Table: id, Order: second.Order + 100}}},
		{Bury: []*schema.Tombstone{{Table: id, Order: uint64(c.AllocateFileID()), Time: schema.EmptyTimeRange}}},
		{Exhume: []*schema.Tombstone{{Table: id, Order: 99}}},
	} {
		if err := c.Commit(bad); !errors.Is(err, ErrInvalidEdit) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	reopen := func(want ...*schema.Tombstone) {
		t.Helper()
		mustDo(t, c.Close())
		c = mustOpen(t, fs)
		got := c.Tombstones(id)
		if len(got) != len(want) {
			t.Fatalf("there are %v", orders(got))
		}
		for i := range want {
			if got[i].Order != want[i].Order || got[i].Where.String() != want[i].Where.String() {
				t.Errorf("%d is %+v, not %+v", i, got[i], want[i])
			}
		}
	}
	reopen(first, second)
	mustDo(t, c.Commit(Edit{Exhume: []*schema.Tombstone{first}}))
	reopen(second)
	mustDo(t, c.DeleteTable("db", "m", 1))
	mustDo(t, c.Purge([]schema.TableID{id}, nil))
	reopen()
	mustDo(t, c.Close())
}

// FuzzDecodeTombstones: what decodes is written as it was read.
func FuzzDecodeTombstones(f *testing.F) {
	tag := func(op schema.PredicateOp, text string) *schema.Predicate {
		p, err := schema.Compare("host", op, text)
		if err != nil {
			f.Fatal(err)
		}
		return p
	}
	f.Add(AppendTombstones(nil, nil))
	f.Add(AppendTombstones(nil, []*schema.Tombstone{
		{Table: 1, Order: 2, Time: schema.MaxTimeRange, Seq: 3, Created: 4},
		{Table: 2, Order: 2, Time: schema.TimeRange{Min: -1, Max: 5}, Where: &schema.Predicate{
			Op: schema.And, Args: []*schema.Predicate{tag(schema.Equal, "a"), tag(schema.Match, "^b")},
		}},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := DecodeTombstones(b)
		if err != nil {
			return
		}
		again, err := DecodeTombstones(AppendTombstones(nil, all))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%d tombstones became %d: %v", len(all), len(again), err)
		}
		for i := range all {
			if again[i].Where.String() != all[i].Where.String() || again[i].Time != all[i].Time || again[i].Order != all[i].Order {
				t.Errorf("%+v became %+v", all[i], again[i])
			}
		}
	})
}
