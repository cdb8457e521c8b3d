package persist

import (
	"encoding/binary"
	"math/bits"
)

// The sum of values that are coded as differences follows from sums of the packed numbers d1, d2, … dn, without the values
// themselves: if v is the value before them and m what is added to each, the last value is v + n*m + d1 + … + dn, and
// the sum of the n values n*v + m*n*(n+1)/2 and the sum of the prefix sums d1, d1+d2, …
//
// Packed numbers of up to eight bits, which nearly all are, are not taken apart for that. Eight or sixteen of them in a word
// are four times two or four numbers with room for sums between them (lanes): every fourth number, moved to the lowest place.
// The rest is adding and multiplying of such words: half a nanosecond a value, of which unpacking takes one.

// laneSums adds up the packed numbers of a word.
type laneSums struct {
	width          uint   // bits of a number
	numbers, bytes int    // that are in a word
	pairs          bool   // lanes have room for the sums of two words
	mask           uint64 // the first number of each lane
	ones, weights  uint64 // a factor that makes the highest lane the sum of all, or of all times 4, 3, 2 and 1
	top            uint   // where the highest lane is
	lane           uint64 // mask of a lane
}

// laneSumsOf are for packed numbers of 0 to 8 bits. A lane holds the sums of all lanes' numbers: of those of one bit
// only if there are two.
var laneSumsOf = func() (all [9]laneSums) {
	for w := uint(1); w < uint(len(all)); w++ {
		lanes := uint(2)
		if w > 1 && w <= 4 {
			lanes = 4
		}
		l := &all[w]
		*l = laneSums{width: w, numbers: int(4 * lanes), bytes: int(w * lanes / 2), pairs: w > 1, top: 4 * w * (lanes - 1), lane: 1<<(4*w) - 1}
		for i := range lanes {
			l.mask |= (1<<w - 1) << (4 * w * i)
			l.ones |= 1 << (4 * w * i)
			l.weights |= uint64(i+1) << (4 * w * i)
		}
	}
	return all
}()

// prefixSums returns the sum of n packed numbers from number at on, and that of their prefix sums.
func prefixSums(packed []byte, at, n int, width uint) (sum, prefix uint64) {
	switch {
	case width == 0:
		return 0, 0
	case width > 8:
		return prefixSumsWide(packed, at, n, width)
	}
	l := &laneSumsOf[width]
	if off := at & (l.numbers - 1); off > 0 { // up to whole words
		count := min(l.numbers-off, n)
		sum, prefix = l.some(packed, at, count, 0, 0)
		at, n = at+count, n-count
	}
	if n >= l.numbers {
		whole := n &^ (l.numbers - 1)
		sum, prefix = l.words(packed[at*int(width)/8:], whole, sum, prefix)
		at, n = at+whole, n-whole
	}
	if n > 0 {
		sum, prefix = l.some(packed, at, n, sum, prefix)
	}
	return sum, prefix
}

// words adds up n numbers of whole words, behind numbers whose sums are given.
func (l *laneSums) words(packed []byte, n int, sum, prefix uint64) (uint64, uint64) {
	ones, weights, top, lane := l.ones, l.weights, l.top&63, l.lane
	numbers, size := l.numbers, l.bytes
	if l.pairs {
		for ; n >= 2*numbers && len(packed) >= size+8; n -= 2 * numbers {
			all, inner := l.split(binary.LittleEndian.Uint64(packed))
			next, nextInner := l.split(binary.LittleEndian.Uint64(packed[size:]))
			packed = packed[2*size:]
			prefix += (2*sum + all*ones>>top&lane) * uint64(numbers)
			all, inner = all+next, inner+nextInner
			prefix += 4*(all*weights>>top&lane) - inner*ones>>top&lane
			sum += all * ones >> top & lane
		}
	}
	for ; n > 0; n -= numbers {
		var x uint64
		if len(packed) >= 8 {
			x = binary.LittleEndian.Uint64(packed)
		} else {
			x = partialWord(packed)
		}
		packed = packed[size:]
		all, inner := l.split(x)
		prefix += sum*uint64(numbers) + 4*(all*weights>>top&lane) - inner*ones>>top&lane
		sum += all * ones >> top & lane
	}
	return sum, prefix
}

// split returns the sum of the numbers of each lane, and that of the second, twice the third and three times the fourth.
func (l *laneSums) split(x uint64) (all, inner uint64) {
	w, mask := l.width&15, l.mask
	all = x >> (3 * w) & mask // every fourth number
	inner = all
	all += x >> (2 * w) & mask
	inner += all
	all += x >> w & mask
	inner += all
	return all + x&mask, inner
}

// some is words for fewer numbers than a word has, which end where a word does or begin there.
func (l *laneSums) some(packed []byte, at, n int, sum, prefix uint64) (uint64, uint64) {
	bit := uint(at) * l.width
	x := partialWord(packed[bit/8:]) >> (bit & 7) & (1<<(uint(n)*l.width) - 1)
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], x)
	own, ownPrefix := l.words(word[:], l.numbers, 0, 0)
	// The zeros behind the numbers have prefix sums as well.
	return sum + own, prefix + sum*uint64(n) + ownPrefix - uint64(l.numbers-n)*own
}

// prefixSumsWide is prefixSums for any width.
func prefixSumsWide(packed []byte, at, n int, width uint) (sum, prefix uint64) {
	bit := uint(at) * width
	if width <= 56 { // whole words, as far as there are eight bytes
		mask := uint64(1)<<width - 1
		for ; n > 0 && bit/8+8 <= uint(len(packed)); n-- {
			sum += binary.LittleEndian.Uint64(packed[bit/8:]) >> (bit & 7) & mask
			prefix += sum
			bit += width
		}
	}
	for ; n > 0; n-- {
		sum += bitsAt(packed, bit, width)
		prefix += sum
		bit += width
	}
	return sum, prefix
}

// sum adds up the next n values, whose sum is a signed number. If ok is false it might need more than 64 bits: whoever asked goes back
// to where it was and looks at the values.
func (w *deltaWords) sum(n int) (total int64, ok bool, err error) {
	var all, magnitude uint64
	left := n
	if left > 0 && !w.started {
		w.started = true
		all, magnitude = w.last, magnitudeOf(w.last)
		left--
	}
	for left > 0 {
		if err := w.load(); err != nil {
			return 0, false, err
		}
		step := min(left, w.left)
		magnitude |= w.reach(step)
		k := uint64(step)
		sum, prefix := prefixSums(w.data[w.mini:], w.at, step, w.width)
		all += k*w.last + w.least*(k*(k+1)/2) + prefix
		w.last += k*w.least + sum
		w.at += step
		w.left -= step
		left -= step
	}
	return int64(all), bits.Len64(magnitude)+bits.Len(uint(n)) < 63, nil
}

// reach bounds the magnitudes of the next n values, which lie in the miniblock; it is the largest number
// where they may wrap around.
func (w *deltaWords) reach(n int) uint64 {
	least := magnitudeOf(w.least)
	if w.width > 56 || bits.Len64(least) > 56 {
		return ^uint64(0)
	}
	step := least + 1 + 1<<w.width
	if bits.Len64(step)+bits.Len(uint(n)) > 62 {
		return ^uint64(0)
	}
	return magnitudeOf(w.last) + uint64(n)*step
}

// magnitudeOf is about the distance of a signed number from 0: the bits it needs are those of the sign's opposite.
func magnitudeOf(v uint64) uint64 { return v ^ uint64(int64(v)>>63) }
