package persist

import "encoding/binary"

// hybrid reads Parquet's mixture of repeated and bit-packed small numbers: definition
// levels and dictionary indices.
type hybrid struct {
	data  []byte
	width uint // bits of a number, up to 32

	repeated uint32 // the value of the current run, if it is a repeated one
	packed   []byte // or its numbers
	at       int    // the next one in packed
	left     int    // numbers left in the run
}

func newHybrid(data []byte, width uint) hybrid { return hybrid{data: data, width: width} }

// load makes sure that there is a current run.
func (h *hybrid) load() error {
	for h.left == 0 {
		header, n := binary.Uvarint(h.data)
		if n <= 0 || header>>1 > 1<<31 {
			return errShort
		}
		h.data = h.data[n:]
		count := int(header >> 1)
		if header&1 == 0 {
			bytes := int(h.width+7) / 8
			if len(h.data) < bytes {
				return errShort
			}
			h.repeated = 0
			for i := range bytes {
				h.repeated |= uint32(h.data[i]) << (8 * i)
			}
			h.data, h.packed, h.left = h.data[bytes:], nil, count
			continue
		}
		bytes := min(count*int(h.width), len(h.data)) // the last run may be cut short
		h.packed, h.data = h.data[:bytes], h.data[bytes:]
		h.at, h.left = 0, count*8
	}
	return nil
}

// skip passes over n numbers.
func (h *hybrid) skip(n int) error {
	for n > 0 {
		if err := h.load(); err != nil {
			return err
		}
		step := min(n, h.left)
		h.at += step
		h.left -= step
		n -= step
	}
	return nil
}

// run returns up to limit numbers that are equal, at least one.
func (h *hybrid) run(limit int) (value uint32, n int, err error) {
	if err := h.load(); err != nil {
		return 0, 0, err
	}
	if h.packed == nil {
		n = min(limit, h.left)
		h.left -= n
		return h.repeated, n, nil
	}
	value, err = h.unpack(h.at)
	if err != nil {
		return 0, 0, err
	}
	for n = 1; n < min(limit, h.left); n++ {
		if next, err := h.unpack(h.at + n); err != nil || next != value {
			break
		}
	}
	h.at += n
	h.left -= n
	return value, n, nil
}

// unpack returns number i of the packed ones.
func (h *hybrid) unpack(i int) (uint32, error) {
	if h.width == 0 {
		return 0, nil
	}
	bit := uint(i) * h.width
	if bit+h.width > 8*uint(len(h.packed)) {
		return 0, errShort
	}
	return uint32(bitsAt(h.packed, bit, h.width)), nil
}

// run is a value that occurs so many times in a row.
type run struct {
	value  uint32
	length int32
}

// codeRuns reads n indices of a dictionary of so many values.
func codeRuns(dst []run, data []byte, n, values int) ([]run, error) {
	h, err := newIndices(data)
	if err == nil {
		dst, err = h.runs(dst, n)
	}
	for _, r := range dst {
		if int64(r.value) >= int64(values) {
			return dst, errCode
		}
	}
	return dst, err
}

// runs appends the next n numbers as runs.
func (h *hybrid) runs(dst []run, n int) ([]run, error) {
	for n > 0 {
		value, length, err := h.run(n)
		if err != nil {
			return dst, err
		}
		if last := len(dst) - 1; last >= 0 && dst[last].value == value {
			dst[last].length += int32(length)
		} else {
			dst = append(dst, run{value, int32(length)})
		}
		n -= length
	}
	return dst, nil
}

// cutLevels cuts the definition levels off a page of an optional column.
func cutLevels(body []byte) (levels, values []byte, err error) {
	if len(body) < 4 {
		return nil, nil, errShort
	}
	n := binary.LittleEndian.Uint32(body)
	if uint64(n) > uint64(len(body)-4) {
		return nil, nil, errShort
	}
	return body[4 : 4+n], body[4+n:], nil
}

// levelRuns reads the definition levels in front of a page's values, which it returns too.
func levelRuns(dst []run, data []byte, n int) ([]run, []byte, error) {
	levels, values, err := cutLevels(data)
	if err != nil {
		return dst, nil, err
	}
	h := newHybrid(levels, 1)
	dst, err = h.runs(dst, n)
	return dst, values, err
}

// presence says which rows of a page have a value.
type presence struct {
	all   bool
	ranks []int32 // by row: how many rows before it have a value; one more entry than rows
}

// readPresence reads the definition levels of a page of an optional column.
func readPresence(levels []byte, rows int) (presence, error) {
	h := newHybrid(levels, 1)
	value, n, err := h.run(rows)
	if err != nil {
		return presence{}, err
	}
	if value == 1 && n == rows {
		return presence{all: true}, nil
	}
	p := presence{ranks: make([]int32, 1, rows+1)}
	for rank := int32(0); ; {
		for range n {
			rank += int32(value)
			p.ranks = append(p.ranks, rank)
		}
		if len(p.ranks) > rows {
			return p, nil
		}
		if value, n, err = h.run(rows + 1 - len(p.ranks)); err != nil {
			return presence{}, err
		}
	}
}

// rank returns how many rows before a row have a value.
func (p *presence) rank(row int) int {
	if p.all {
		return row
	}
	return int(p.ranks[row])
}

// has reports whether a row has a value.
func (p *presence) has(row int) bool { return p.all || p.ranks[row+1] > p.ranks[row] }
