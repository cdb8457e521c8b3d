package persist

import (
	"runtime"
	"slices"
	"testing"
)

// TestDamagedMetadataAllocatesLittle flips every bit of the metadata. The library alone
// makes room for 2^31 columns where the number of children of the schema's root is damaged.
func TestDamagedMetadataAllocatesLittle(t *testing.T) {
	raw, file := smallFile(t)
	metadata, err := splitMetadata(raw[file.Bytes-file.FooterBytes:])
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range metadata {
		for bit := range 8 {
			broken := slices.Clone(metadata)
			broken[i] ^= 1 << bit
			before := allocated()
			err := func() (err error) {
				defer recoverTo(&err, "f")
				_, err = parseMetadata(broken)
				return err
			}()
			if n := allocated() - before; n > 4<<20 {
				t.Errorf("bit %d of byte %d: %d bytes were allocated", bit, i, n)
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// allocated is how many bytes were allocated in all.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
