package partition

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// recordMemory is the memory of the columns of sorted records. A record of a row group
// takes some 17 MB, which would be fetched from the system, zeroed, and given back for
// each; instead it is used again once the record is released. What nobody uses is left
// to the garbage collector.
type recordMemory struct {
	classes [recordClasses]sync.Pool // of *[]byte of 1<<i bytes
}

// recordClasses bounds what is kept: buffers of up to 16 MiB.
const recordClasses = 25

var pooled recordMemory

// Allocate implements memory.Allocator. The bytes are not zeroed.
func (m *recordMemory) Allocate(size int) []byte {
	class := bits.Len(uint(max(size, 64) - 1))
	if class >= recordClasses {
		return make([]byte, size)
	}
	if b, ok := m.classes[class].Get().(*[]byte); ok {
		return (*b)[:size]
	}
	// Of words, so that the bytes lie where numbers may.
	words := make([]uint64, 1<<class/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 1<<class)[:size]
}

// Reallocate implements memory.Allocator.
func (m *recordMemory) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	larger := m.Allocate(size)
	copy(larger, b)
	m.Free(b)
	return larger
}

// Free implements memory.Allocator.
func (m *recordMemory) Free(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < 0 || class >= recordClasses || cap(b) != 1<<class {
		return
	}
	b = b[:cap(b)]
	m.classes[class].Put(&b)
}

// column is the values of a column of a record under construction, which are not zero in
// the beginning.
type column[T int32 | fixed] struct {
	bytes  []byte
	values []T
}

func newColumn[T int32 | fixed](rows int) column[T] {
	var zero T
	b := pooled.Allocate(rows * int(unsafe.Sizeof(zero)))
	return column[T]{b, unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), rows)}
}

// array makes the column an array, with a dictionary or none. Its memory is that of the
// array from now on.
func (c column[T]) array(typ arrow.DataType, v *validity, dict arrow.Array) arrow.Array {
	values := memory.NewBufferWithAllocator(c.bytes, &pooled)
	defer values.Release()
	buffers := []*memory.Buffer{nil, values}
	if v.bits != nil {
		buffers[0] = memory.NewBufferBytes(v.bits)
	}
	var data *array.Data
	if dict != nil {
		data = array.NewDataWithDictionary(typ, len(c.values), buffers, v.nulls, 0, dict.Data().(*array.Data))
	} else {
		data = array.NewData(typ, len(c.values), buffers, nil, v.nulls, 0)
	}
	defer data.Release()
	return array.MakeFromData(data)
}
