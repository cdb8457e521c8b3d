package persist

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// TestStoredPagesAreFramesOfZstd: its decoder reads them, and ours finds them and no other frames.
func TestStoredPagesAreFramesOfZstd(t *testing.T) {
	decoder, err := unzstd()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{0, 1, 2, 255, 256, 6700, 65536, 65537, maxStored} {
		raw := make([]byte, size)
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		frame := appendStored([]byte("in front"), raw)[len("in front"):]
		got, err := decoder.DecodeAll(frame, nil)
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%d bytes are %d bytes in zstd: %v", size, len(got), err)
		}
		found, ok := storedIn(frame, size)
		if !ok || !bytes.Equal(found, raw) {
			t.Fatalf("%d bytes are found as %d: %v", size, len(found), ok)
		}
		if _, ok := storedIn(compressPage(nil, raw), size); ok && size > 0 {
			if got, err := decoder.DecodeAll(compressPage(nil, raw), nil); err != nil || !bytes.Equal(got, raw) {
				t.Fatalf("another frame of %d bytes was taken for a stored one", size)
			}
		}
		for i := range storedHeader {
			broken := bytes.Clone(frame)
			broken[i] ^= 4
			if _, ok := storedIn(broken, size); ok {
				t.Fatalf("byte %d of the frame of %d bytes does not matter", i, size)
			}
		}
	}
}

// TestDifferencesAreCompressedWhereItPays: pages of noise stay as they are, those of a pattern do not.
func TestDifferencesAreCompressedWhereItPays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	values := make([]uint64, 4000)
	for i := range values {
		values[i] = rng.Uint64N(8)
	}
	c := chunk{encoding: parquet.Encodings.DeltaBinaryPacked}
	for range 2 {
		page := appendDelta(nil, values)
		before := len(c.data)
		c.add(page, 0, len(values), metadata.EncodedStatistics{})
		if _, stored := storedIn(c.data[before:], len(page)); stored != (before == 0) {
			t.Errorf("a page of %d bytes has %d in the file", len(page), len(c.data)-before)
		}
		for i := range values {
			values[i] = uint64(i % 8 * 5)
		}
	}
}
