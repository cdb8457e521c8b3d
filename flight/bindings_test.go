package flight

import (
	"strconv"
	"strings"
	"testing"
)

func TestBindingsForgetTheOldestFirst(t *testing.T) {
	var b bindings
	long := strings.Repeat("x", maxBoundBytes/10)
	for i := range 20 {
		b.put(strconv.Itoa(i), []value{{Name: "1", Kind: stringValue, Text: long}})
	}
	if b.get("0") != nil || b.get("19") == nil {
		t.Errorf("the first %v, the last %v", b.get("0") != nil, b.get("19") != nil)
	}
	if b.mu.bytes > maxBoundBytes || b.mu.age.Len() != len(b.mu.byID) {
		t.Errorf("%d bytes, %d and %d entries", b.mu.bytes, b.mu.age.Len(), len(b.mu.byID))
	}
	b.put("big", []value{{Text: strings.Repeat("x", maxBoundBytes+1)}})
	if b.get("big") != nil || b.mu.bytes != 0 {
		t.Errorf("what is larger than all may be stays; %d bytes", b.mu.bytes)
	}
}

func TestBindingsKeepTheLastValuesOfAStatement(t *testing.T) {
	var b bindings
	b.put("a", []value{{Name: "1", Kind: intValue, Text: "1"}})
	b.put("a", []value{{Name: "1", Kind: intValue, Text: "2"}})
	if got := b.get("a"); len(got) != 1 || got[0].Text != "2" {
		t.Errorf("%v", got)
	}
	if b.get("b") != nil || b.get("") != nil {
		t.Error("another statement has values")
	}
	b.drop("a")
	if b.get("a") != nil || b.mu.bytes != 0 {
		t.Errorf("dropped values are there; %d bytes", b.mu.bytes)
	}
}
