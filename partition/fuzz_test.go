package partition

import (
	"encoding/binary"
	"runtime/metrics"
	"testing"

	"github.com/klauspost/compress/s2"
)

// FuzzDecoder feeds anything to the decoder. Whatever it accepts can be appended and
// encoded again; what it allocates is bounded by the input, unless batches have cells
// that take no bytes, which MaxBatchCells bounds.
func FuzzDecoder(f *testing.F) {
	f.Add(new(Encoder).Encode(nil))
	f.Add(new(Encoder).Encode(sampleBatches()))
	f.Add(new(Encoder).Encode(sampleBatches()[:1]))
	f.Add(plain(emptyBody...))
	f.Add(new(Encoder).Encode([]*Batch{newBatch(columnRows()...), sampleBatches()[0]}))
	body := new(Encoder).Encode(sampleBatches())[3:]
	f.Add(append(binary.AppendUvarint([]byte{firstVersion, codecS2}, uint64(len(body))), s2.Encode(nil, body)...))
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) > 2 {
			if size, n := binary.Uvarint(record[2:]); n > 0 && size > 64*uint64(len(record))+1<<16 {
				return // a compressed length is trusted up to maxBody
			}
		}
		checkAllocation(t, record)
		_ = useAll(t, record) // an error is as good as an answer
	})
}

// checkAllocation compares what the decoder allocates with the input and with the
// columns and keys that it made room for, whose sizes are bounded.
func checkAllocation(t *testing.T, record []byte) {
	t.Helper()
	var d Decoder
	allocated := allocatedBy(func() {
		_ = d.Decode(record, func(*Batch) error { return nil })
	})
	rows, columns := uint64(max(cap(d.batch.Index), cap(d.batch.Time))), uint64(1) // the times may be bad
	for i := range d.batch.Fields[:cap(d.batch.Fields)] {
		if d.batch.Fields[:cap(d.batch.Fields)][i].capBytes() > 0 {
			columns++
		}
	}
	if rows > 2*MaxBatchCells {
		t.Fatalf("room for %d rows, at most %d are allowed", rows, MaxBatchCells)
	}
	keys := uint64(cap(d.keys)) + 32*uint64(cap(d.batch.Series)) // made of columns, as large as maxColumnKeys says
	if limit := 64*uint64(len(record)) + 1<<20 + 64*rows*columns + 8*keys; allocated > limit {
		t.Fatalf("%d bytes of input and %d rows made the decoder allocate %d bytes, at most %d expected", len(record), rows, allocated, limit)
	}
}

// allocatedBy returns the bytes that a function allocates on the heap.
func allocatedBy(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}
