package query

import (
	"slices"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

// TestBinsAtTheEndAreFoldedFirst: where bins come first in the order and a limit leaves few of them; then more, and
// at last all.
func TestBinsAtTheEndAreFoldedFirst(t *testing.T) {
	bin := foldBin{width: 10}
	hull := schema.TimeRange{Min: 1003, Max: 9995}
	whole := schema.TimeRange{Min: schema.MaxTimeRange.Min, Max: 9998}
	byBin, byTag := foldOrder{foldColumn: foldColumn{tag: -1}}, foldOrder{foldColumn: foldColumn{tag: 0}}
	newest := byBin
	newest.descending = true
	f := &fold{bin: &bin, where: constraint{time: whole}}
	for _, c := range []struct {
		name string
		end  foldEnd
		want []schema.TimeRange
	}{
		{"the newest", foldEnd{orders: []foldOrder{newest, byTag}, limit: 3, offset: 2}, []schema.TimeRange{{Min: 9950, Max: 9998}, {Min: 9200, Max: 9998}, whole}},
		{"the oldest", foldEnd{orders: []foldOrder{byBin}, limit: 5}, []schema.TimeRange{{Min: whole.Min, Max: 1049}, {Min: whole.Min, Max: 1799}, whole}},
		{"more than a quarter", foldEnd{orders: []foldOrder{newest}, limit: 300}, []schema.TimeRange{whole}},
		{"another order", foldEnd{orders: []foldOrder{byTag, newest}, limit: 5}, []schema.TimeRange{whole}},
		{"no limit", foldEnd{orders: []foldOrder{newest}, limit: -1}, []schema.TimeRange{whole}},
	} {
		if got := c.end.ranges(f, hull); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
