package persist

import "math/bits"

// What is kept of rows is a bit for each.

// eachRun calls do with the runs of set bits: rows from to to-1.
func eachRun(keep []uint64, do func(from, to int)) {
	begin := -1 // of a run that reaches up to the current word
	for i, word := range keep {
		at := 64 * i
		if word == ^uint64(0) {
			if begin < 0 {
				begin = at
			}
			continue
		}
		for done := 0; ; {
			if begin >= 0 { // the run ends at the next zero
				zeros := bits.TrailingZeros64(^(word >> done))
				if done += zeros; done >= 64 {
					break
				}
				do(begin, at+done)
				begin = -1
			}
			if word>>done == 0 {
				break
			}
			done += bits.TrailingZeros64(word >> done)
			begin = at + done
		}
	}
	if begin >= 0 {
		do(begin, 64*len(keep))
	}
}

// pickRows moves what is kept to the front.
func pickRows[T any](values []T, keep []uint64) []T {
	kept := values[:0]
	if len(values) == 0 { // they are elsewhere
		return kept
	}
	eachRun(keep, func(from, to int) { kept = append(kept, values[from:to]...) })
	return kept
}

// pickSpans cuts the rows that are not kept out of spans.
func pickSpans(spans []span, keep []uint64) []span {
	var kept []span
	first := 0 // row at which spans[0] begins
	eachRun(keep, func(from, to int) {
		for from < to {
			s := spans[0]
			end := first + s.to - s.from
			if from >= end {
				first, spans = end, spans[1:]
				continue
			}
			n := min(to, end) - from
			begin := s.from + from - first
			kept = append(kept, span{begin, begin + n, s.series})
			from += n
		}
	})
	return kept
}

// pick leaves the rows that are kept, of which there are so many.
func (f *FoundField) pick(keep []uint64, rows int) {
	if f.Valid != nil {
		valid, at := make([]uint64, (rows+63)/64), 0
		eachRun(keep, func(from, to int) {
			for i := from; i < to; i, at = i+1, at+1 {
				valid[at/64] |= f.Valid[i/64] >> (i % 64) & 1 << (at % 64)
			}
		})
		f.Valid = valid
	}
	f.Words, f.Bools = pickRows(f.Words, keep), pickRows(f.Bools, keep)
	if f.Offsets == nil {
		return
	}
	offsets, data := make([]uint32, 1, rows+1), []byte(nil)
	eachRun(keep, func(from, to int) {
		for i := from; i < to; i++ {
			data = append(data, f.Data[f.Offsets[i]:f.Offsets[i+1]]...)
			offsets = append(offsets, uint32(len(data)))
		}
	})
	f.Offsets, f.Data = offsets, data
}
