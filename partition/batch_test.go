package partition

import (
	"testing"

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
