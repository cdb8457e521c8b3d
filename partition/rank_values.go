package partition

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// valueRef is a value of a tag while the values are sorted.
type valueRef struct {
	prefix uint64 // the bytes behind what all values begin with; less is before
	at     uint32 // its place among the values of all snapshots
}

// rankValues returns the sorted values of a tag, and for each value of each snapshot, one
// snapshot after the other, 1 + its place among them.
func rankValues(snaps []*Snapshot, id schema.ColumnID) (dict []string, ranks []uint32) {
	values, most := valuesOf(snaps, id)
	dict, ranks = make([]string, 0, most), make([]uint32, len(values))
	last := uint64(0)
	for i, ref := range sortValues(values) {
		if v := values[ref.at]; i == 0 || ref.prefix != last || v != dict[len(dict)-1] {
			dict = append(dict, v)
		}
		last, ranks[ref.at] = ref.prefix, uint32(len(dict))
	}
	return dict, ranks
}

// valuesOf returns the values of a tag, one snapshot after the other, and how many the one with the most has.
func valuesOf(snaps []*Snapshot, id schema.ColumnID) (values []string, most int) {
	for i, s := range snaps {
		c := findTag(s.Tags, id)
		switch {
		case c == nil:
			continue
		case i == 0 && len(snaps) == 1:
			return c.Values, len(c.Values)
		}
		values, most = append(values, c.Values...), max(most, len(c.Values))
	}
	return values, most
}

// fewValues are compared with each other. Distributing goes through 256 counters for each byte.
const fewValues = 256

// sortValues returns references to values in the order of these.
//
// Values of a tag mostly begin alike and differ within the eight bytes behind that, which
// are a number. Many numbers are sorted byte by byte, of which those that are the same in all are passed
// over: a million names of hosts take a quarter of the time of comparing them.
func sortValues(values []string) []valueRef {
	common := commonPrefix(values)
	refs := make([]valueRef, len(values))
	varying := uint64(0)
	for i, v := range values {
		prefix := prefixOf(v[common:])
		refs[i] = valueRef{prefix, uint32(i)}
		varying |= prefix ^ refs[0].prefix
	}
	if len(refs) < fewValues {
		slices.SortFunc(refs, func(a, b valueRef) int { return cmp.Compare(a.prefix, b.prefix) })
	} else {
		refs = distributeValues(refs, varying)
	}
	sortTies(refs, values)
	return refs
}

// distributeValues sorts references by their prefixes, which differ in the given bits at most.
func distributeValues(refs []valueRef, varying uint64) []valueRef {
	spare := make([]valueRef, len(refs))
	for shift := 0; varying>>shift != 0; shift += 8 {
		if byte(varying>>shift) == 0 {
			continue
		}
		var next [256]uint32
		for _, r := range refs {
			next[byte(r.prefix>>shift)]++
		}
		sum := uint32(0)
		for b, n := range next {
			next[b] = sum
			sum += n
		}
		for _, r := range refs {
			b := byte(r.prefix >> shift)
			spare[next[b]] = r
			next[b]++
		}
		refs, spare = spare, refs
	}
	return refs
}

// sortTies sorts what has the same prefix by the values.
func sortTies(refs []valueRef, values []string) {
	for from := 0; from < len(refs); {
		to := from + 1
		for to < len(refs) && refs[to].prefix == refs[from].prefix {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(refs[from:to], func(a, b valueRef) int { return strings.Compare(values[a.at], values[b.at]) })
		}
		from = to
	}
}

// commonPrefix returns the number of bytes with which all values begin.
func commonPrefix(values []string) int {
	if len(values) == 0 {
		return 0
	}
	first := values[0]
	n := len(first)
	for _, v := range values {
		n = min(n, len(v))
		if v[:n] == first[:n] {
			continue
		}
		for i := range n {
			if v[i] != first[i] {
				n = i
				break
			}
		}
	}
	return n
}

// prefixOf returns the first bytes of s as a number that orders as they do. Of two
// strings whose numbers are equal nothing is known.
func prefixOf(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}
