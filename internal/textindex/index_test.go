package textindex_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/internal/textindex"
)

// hashes are ways to hash, good and bad ones.
var hashes = map[string]func(text []byte) uint64{
	"good":         textindex.Hash,
	"all the same": func([]byte) uint64 { return 42 },
	"few bits":     func(text []byte) uint64 { return textindex.Hash(text) & 0x8000_0007 },
	"half":         func(text []byte) uint64 { return textindex.Hash(text) | 0x8000_0000 },
}

// TestIndexFindsWhatWasAdded compares an index with a map, whatever the hashes are like.
func TestIndexFindsWhatWasAdded(t *testing.T) {
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var x textindex.Index
				var texts []string
				model := make(map[string]uint32)
				for _, text := range rapid.SliceOf(rapid.StringN(0, 3, 6)).Draw(t, "texts") {
					n, ok := x.Find(hash([]byte(text)), func(n uint32) bool { return texts[n] == text })
					if want, isThere := model[text]; ok != isThere || n != want {
						t.Fatalf("%q is number %d, %v; want %d, %v", text, n, ok, want, isThere)
					}
					if !ok {
						model[text] = uint32(len(texts))
						x.Add(hash([]byte(text)), uint32(len(texts)))
						texts = append(texts, text)
					}
				}
				if x.Len() != len(model) {
					t.Fatalf("%d texts, want %d", x.Len(), len(model))
				}
			})
		})
	}
}

// TestLargeIndex adds more than an index keeps in one part.
func TestLargeIndex(t *testing.T) {
	for name, hash := range hashes {
		const texts = 100_000
		if name == "all the same" || name == "few bits" {
			continue // looking through all of them takes too long
		}
		t.Run(name, func(t *testing.T) {
			var x textindex.Index
			text := func(n uint32) []byte { return fmt.Append(nil, "host_", n) }
			for n := range uint32(texts) {
				x.Add(hash(text(n)), n)
			}
			for n := range uint32(texts) {
				got, ok := x.Find(hash(text(n)), func(m uint32) bool { return m == n })
				if !ok || got != n {
					t.Fatalf("text %d is found as %d, %v", n, got, ok)
				}
			}
			if n, ok := x.Find(hash([]byte("another")), func(n uint32) bool { return string(text(n)) == "another" }); ok {
				t.Errorf("a text that was not added has number %d", n)
			}
			if perText := x.Bytes() / int64(texts); name == "good" && perText > 22 {
				t.Errorf("%d bytes for a text", perText)
			}
		})
	}
}

// TestTextsStay: texts are not changed by those that come after them, nor by who appends to one.
func TestTextsStay(t *testing.T) {
	var texts textindex.Texts
	var want []string
	var bytes [][]byte
	var strs []string
	allocated, size := 0, 0
	for n := range 3000 {
		text := strings.Repeat(string(rune('a'+n%26)), n%50)
		if n%500 == 0 {
			text = strings.Repeat("long", n*10)
		}
		want = append(want, text)
		b, m := texts.Add([]byte(text))
		if b == nil {
			t.Fatal("a text is nil")
		}
		_ = append(b, "behind"...)
		s, k := texts.AddString([]byte(text))
		bytes, strs = append(bytes, b), append(strs, s)
		allocated, size = allocated+m+k, size+2*len(text)
	}
	for n, text := range want {
		if string(bytes[n]) != text || strs[n] != text {
			t.Fatalf("text %d is %q and %q, want %q", n, bytes[n], strs[n], text)
		}
	}
	if allocated < size || allocated > size+size/4 {
		t.Errorf("%d bytes were allocated for %d", allocated, size)
	}
}

// TestTextsAreReset: the memory of texts that were given up is used again, and is not counted twice.
func TestTextsAreReset(t *testing.T) {
	var texts textindex.Texts
	first, allocated := texts.Add([]byte("a text"))
	if allocated < len(first) {
		t.Errorf("%d bytes were allocated for %d", allocated, len(first))
	}
	texts.Reset()
	second, allocated := texts.Add([]byte("another"))
	if allocated != 0 || string(second) != "another" || unsafe.SliceData(first) != unsafe.SliceData(second) {
		t.Errorf("%d bytes were allocated for %q in the place of the first", allocated, second)
	}
}

func BenchmarkFind(b *testing.B) {
	const texts = 1 << 20
	var x textindex.Index
	var memory textindex.Texts
	var all [][]byte
	for n := range uint32(texts) {
		text, _ := memory.Add(fmt.Append(nil, "host_", n))
		all = append(all, text)
		x.Add(textindex.Hash(text), n)
	}
	b.ReportMetric(float64(x.Bytes())/texts, "bytes/text")
	n := 0
	for b.Loop() {
		text := all[n*7919&(texts-1)]
		x.Find(textindex.Hash(text), func(n uint32) bool {
			return unsafe.SliceData(all[n]) == unsafe.SliceData(text)
		})
		n++
	}
}
