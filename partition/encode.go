package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/siltstone-db/siltstone/schema"
)

// The encoding of a request's batches is what the log carries; docs/format/batch.md
// describes it byte by byte. Integers, series numbers and times, and floats that are
// decimal numbers, are stored as offsets from their minimum in the fewest whole bytes,
// which costs a nanosecond or three a value both ways; what repeats beyond that (tag
// sets, other floats, strings) is left to S2.

const (
	// A record is of the first version unless a batch of it has its series by tags.
	firstVersion    = 1
	encodingVersion = 2

	codecPlain = 0
	codecS2    = 1

	// minCompress is the size below which S2 is not tried: a body of few lines fits
	// one disk block either way, and its sync costs the same.
	minCompress = 2 << 10
	// maxBody bounds the uncompressed body that a decoder accepts.
	maxBody = 1 << 30
)

// ErrBadEncoding is wrapped by every error about bytes that are no encoded batches.
var ErrBadEncoding = errors.New("batch encoding is invalid")

// ErrNewerEncoding is wrapped by the error about batches in a later version of the encoding.
var ErrNewerEncoding = errors.New("batch encoding is of a later version")

// Encoder turns batches into a log record; it reuses its buffers from call to call.
type Encoder struct {
	body, out []byte
	version   byte         // of the record under way
	scaled    []int64      // a column of floats as integers
	tags      []tagEncoder // of the series
	key       []byte       // of a series, with room behind it
}

// IsTooLarge reports whether the last record is more than a Decoder takes: such a
// record must not be logged.
func (e *Encoder) IsTooLarge() bool { return len(e.body) > maxBody }

// Encode returns the record for batches, valid until the next call.
func (e *Encoder) Encode(batches []*Batch) []byte {
	e.version = firstVersion
	if slices.ContainsFunc(batches, fitsColumns) {
		e.version = encodingVersion
	}
	body := binary.AppendUvarint(e.body[:0], uint64(len(batches)))
	for _, b := range batches {
		body = e.appendBatch(body, b)
	}
	e.body = body
	out := append(e.out[:0], e.version, codecPlain)
	out = binary.AppendUvarint(out, uint64(len(body)))
	head := len(out)
	if len(body) >= minCompress {
		out = slices.Grow(out, s2.MaxEncodedLen(len(body)))
		packed := s2.Encode(out[head:cap(out)], body)
		if len(packed) < len(body)-len(body)/8 {
			out[1] = codecS2
			e.out = out[:head+len(packed)]
			return e.out
		}
	}
	e.out = append(out, body...)
	return e.out
}

func (e *Encoder) appendBatch(dst []byte, b *Batch) []byte {
	dst = binary.AppendUvarint(dst, uint64(b.Key.Database))
	dst = binary.AppendUvarint(dst, uint64(b.Key.Table))
	dst = binary.AppendVarint(dst, int64(b.Key.Day))
	dst = binary.AppendUvarint(dst, uint64(len(b.Time)))
	dst = binary.AppendUvarint(dst, uint64(len(b.Series)))
	if e.version > firstVersion {
		dst = e.appendSeries(dst, b)
	} else {
		dst = appendKeys(dst, b.Series)
	}
	dst = appendPacked(dst, b.Index, scaleOne)
	dst = appendPacked(dst, b.Time, commonScale(b.Time))
	dst = binary.AppendUvarint(dst, uint64(len(b.Fields)))
	for i := range b.Fields {
		dst = e.appendField(dst, &b.Fields[i], len(b.Time))
	}
	return dst
}

// keysLen is the most that keys take with their lengths. A record that grew key by key would be moved
// often, and leave many times its length to the collector.
func keysLen(keys [][]byte) int {
	n := binary.MaxVarintLen32 * len(keys)
	for _, key := range keys {
		n += len(key)
	}
	return n
}

func (e *Encoder) appendField(dst []byte, f *Field, rows int) []byte {
	dst = binary.AppendUvarint(dst, uint64(f.ID))
	dst = append(dst, byte(f.Type), boolByte(f.Valid != nil))
	if f.Valid != nil {
		for _, w := range f.Valid[:(rows+63)/64] {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	switch f.Type {
	case schema.Int64:
		return appendPacked(dst, f.Int64, scaleOne)
	case schema.Uint64:
		return appendPacked(dst, f.Uint64, scaleOne)
	case schema.Float64:
		dst, e.scaled = appendFloats(dst, f.Float64, e.scaled)
		return dst
	case schema.Bool:
		return append(dst, f.Bool...)
	}
	dst = appendPacked(dst, f.Offsets[1:], scaleOne)
	return append(dst, f.Data...)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// A scale is the power of a thousand that divides all offsets: time stamps of
// seconds need a billionth of the range.
const (
	scaleOne = iota
	scaleMicro
	scaleMilli
	scaleSecond
)

var scaleFactor = [...]uint64{1, 1e3, 1e6, 1e9}

// commonScale returns the largest scale that divides all distances from the minimum.
// (Distances below another value would wrap around to numbers of other divisors.)
func commonScale(v []int64) int {
	if len(v) == 0 {
		return scaleOne
	}
	scale, lo := scaleSecond, slices.Min(v)
	for _, t := range v {
		d := uint64(t) - uint64(lo)
		for scale > scaleOne && !divides(scale, d) {
			scale--
		}
		if scale == scaleOne {
			break
		}
	}
	return scale
}

// divides spells the factors out, so that the compiler multiplies instead of dividing.
func divides(scale int, d uint64) bool {
	switch scale {
	case scaleSecond:
		return d%1e9 == 0
	case scaleMilli:
		return d%1e6 == 0
	}
	return d%1e3 == 0
}

// appendPacked stores len(v) values as offsets from their minimum, divided by the
// scale's factor: a byte of width and scale, the minimum, the offsets.
func appendPacked[T int64 | uint64 | uint32](dst []byte, v []T, scale int) []byte {
	if len(v) == 0 {
		return append(dst, 0)
	}
	lo, hi := v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	factor := scaleFactor[scale]
	width := widthOf((uint64(hi) - uint64(lo)) / factor)
	dst = append(dst, byte(width|scale<<4))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(lo))
	at := len(dst)
	dst = slices.Grow(dst, width*len(v))[:at+width*len(v)]
	out := dst[at:]
	switch {
	case width == 0:
	case factor != 1:
		packScaled(out, v, lo, factor, width)
	case width == 1:
		for i, x := range v {
			out[i] = byte(x - lo)
		}
	case width == 2:
		for i, x := range v {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(x-lo))
		}
	case width == 4:
		for i, x := range v {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(x-lo))
		}
	default:
		for i, x := range v {
			binary.LittleEndian.PutUint64(out[8*i:], uint64(x)-uint64(lo))
		}
	}
	return dst
}

func packScaled[T int64 | uint64 | uint32](out []byte, v []T, lo T, factor uint64, width int) {
	for i, x := range v {
		d := (uint64(x) - uint64(lo)) / factor
		switch width {
		case 1:
			out[i] = byte(d)
		case 2:
			binary.LittleEndian.PutUint16(out[2*i:], uint16(d))
		case 4:
			binary.LittleEndian.PutUint32(out[4*i:], uint32(d))
		default:
			binary.LittleEndian.PutUint64(out[8*i:], d)
		}
	}
}

func widthOf(d uint64) int {
	switch {
	case d == 0:
		return 0
	case d < 1<<8:
		return 1
	case d < 1<<16:
		return 2
	case d < 1<<32:
		return 4
	}
	return 8
}

func badEncoding(what string) error { return fmt.Errorf("%w: %s", ErrBadEncoding, what) }
