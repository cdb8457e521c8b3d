package persist

import "slices"

// SelectionBuffers hold the numbers of one row group after the other, so that they are not allocated for each. The
// zero value is ready; without any, memory is allocated.
type SelectionBuffers struct {
	words [][]uint64 // of which the first are taken
	used  int
	rows  []uint32
}

// take returns room for n numbers, whatever is in it.
func (b *SelectionBuffers) take(n int) []uint64 {
	if b == nil {
		return make([]uint64, n)
	}
	if b.used == len(b.words) {
		b.words = append(b.words, nil)
	}
	w := &b.words[b.used]
	b.used++
	if cap(*w) < n {
		*w = make([]uint64, n)
	}
	return (*w)[:n]
}

// zeros returns n numbers that are 0.
func (b *SelectionBuffers) zeros(n int) []uint64 {
	w := b.take(n)
	clear(w)
	return w
}

// series returns room for a number for each of n rows, until it is called again.
func (b *SelectionBuffers) series(n int) []uint32 {
	if b == nil {
		return make([]uint32, n)
	}
	b.rows = slices.Grow(b.rows[:0], n)[:n]
	return b.rows
}

// taken is how many are in use, for release.
func (b *SelectionBuffers) taken() int {
	if b == nil {
		return 0
	}
	return b.used
}

// release makes room again of what was taken since so many were in use.
func (b *SelectionBuffers) release(taken int) {
	if b != nil {
		b.used = taken
	}
}
