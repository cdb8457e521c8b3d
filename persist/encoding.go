package persist

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/siltstone-db/siltstone/schema"
)

// zstdLevel 1 gives files 1 % larger than level 3 and takes up to a fifth less time.
const zstdLevel = 1

// dataPageBytes is the size at which a data page ends: of the values for a
// dictionary, of their encoding otherwise. Pages of 64 KiB make split floats 11 %
// larger and queries for one series and hour in DuckDB a tenth slower; 16 KiB cost
// DuckDB twice the time; 1 MiB gains 1 %.
const dataPageBytes = 256 << 10

// The encoding of a column is chosen for each row group, from some of its values. Compressed bytes
// per value, zstd level 1, row groups of 122,880 rows, pages of 1 MiB:
//
//	                                   plain   dict  delta    bss
//	integer, random walk in 0..100      0.74   0.88   0.38   0.67
//	integer, uniform in 0..100          0.85   0.88   0.96   0.85
//	integer, counter                    2.08   4.20   1.50   2.16
//	integer, random 64 bits             8.00  10.13   8.11   8.00
//	float, walk with two decimals       2.88   2.00      -   4.52
//	float, uniform with two decimals    3.16   2.02      -   4.82
//	float, walk, all digits             7.65   9.71      -   6.53
//	float, uniform in 0..1              8.00  10.13      -   6.79
//	float, whole numbers in 0..100      0.96   0.88      -   0.62
//
// No encoding is best for all, and the wrong one costs up to four times the bytes
// and, as a dictionary of distinct values, three times the time. So the choice
// compares estimates of the sizes: for a dictionary its entries plus an index for
// each row, for DELTA_BINARY_PACKED the widths of the miniblocks, for
// BYTE_STREAM_SPLIT the entropy of each byte plane, which is about what zstd makes of
// it. Splitting integers was left out: it wins by little, and old readers lack it.
// Measuring every way on the sample would be exact and cost as much as the writing.
func chooseEncoding(chunks []arrow.Array, rows int) encoding {
	switch chunks[0].DataType().ID() {
	case arrow.INT64, arrow.UINT64:
		s := sampleOf(chunks, int64Bits)
		return encoding{
			dictionary: s.dictionaryBits(rows, 64) < s.deltaBits()*float64(rows),
			otherwise:  plainOf(schema.Int64),
		}
	case arrow.FLOAT64:
		s := sampleOf(chunks, float64Bits)
		return encoding{
			dictionary: s.dictionaryBits(rows, 64) < s.splitBits()*float64(rows),
			otherwise:  plainOf(schema.Float64),
		}
	case arrow.STRING:
		s, length := sampleStrings(chunks)
		return encoding{
			// A text that is not repeated three times gains nothing from a dictionary
			// that zstd would not find as well.
			dictionary: length > 0 && s.dictionaryBits(rows, 8*(length+4)) < 8*(length+4)*float64(rows)/3,
			otherwise:  parquet.Encodings.Plain,
		}
	}
	return encoding{otherwise: parquet.Encodings.Plain} // booleans: a bit a value
}

// encoding is how a column is written: by dictionary, or otherwise.
type encoding struct {
	dictionary bool
	otherwise  parquet.Encoding
}

// plainOf returns the encoding of a type where no dictionary is used.
func plainOf(t schema.ColumnType) parquet.Encoding {
	switch t {
	case schema.Int64, schema.Uint64:
		return parquet.Encodings.DeltaBinaryPacked
	case schema.Float64:
		return parquet.Encodings.ByteStreamSplit
	}
	return parquet.Encodings.Plain
}

// fileProperties returns the properties of a file's columns. Whether a column has a
// dictionary is said by each of its chunks, and by whatever writes it.
func fileProperties(rowGroupRows int, columns []schema.Column, dictionaries bool) *parquet.WriterProperties {
	tags, fields := split(columns)
	props := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(zstdLevel),
		parquet.WithMaxRowGroupLength(int64(rowGroupRows)),
		parquet.WithDataPageSize(dataPageBytes),
		parquet.WithPageIndexEnabled(true),
		parquet.WithSortingColumns(sortingColumns(len(tags))),
		parquet.WithDictionaryDefault(dictionaries),
		parquet.WithEncodingFor(schema.TimeColumn, parquet.Encodings.DeltaBinaryPacked),
	}
	for _, c := range fields {
		props = append(props, parquet.WithEncodingFor(c.Name, plainOf(c.Type)))
	}
	return parquet.NewWriterProperties(props...)
}

// sortingColumns names the tags and the time, which come first in the file.
func sortingColumns(tags int) []parquet.SortingColumn {
	var columns []parquet.SortingColumn
	for i := range tags + 1 {
		columns = append(columns, parquet.SortingColumn{ColumnIdx: int32(i), NullsFirst: true})
	}
	return columns
}

// The sample of a column is sampleRuns runs of sampleRun consecutive values, spread
// evenly: runs, because neighbours decide how a column is to be encoded; many, because
// series differ. A column that has no more values is its own sample. A sample costs
// some 0.3 ms.
const (
	sampleRuns = 32
	sampleRun  = 128
	miniblock  = 32 // values that share a bit width in DELTA_BINARY_PACKED
)

// sample is values of one column as 64 bits each, nulls left out.
type sample struct{ values []uint64 }

func int64Bits(a arrow.Array, i int) uint64 {
	if u, ok := a.(*array.Uint64); ok {
		return u.Value(i)
	}
	return uint64(a.(*array.Int64).Value(i))
}

func float64Bits(a arrow.Array, i int) uint64 {
	return math.Float64bits(a.(*array.Float64).Value(i))
}

func sampleOf(chunks []arrow.Array, bitsOf func(arrow.Array, int) uint64) sample {
	var s sample
	visitSample(chunks, func(a arrow.Array, i int) { s.values = append(s.values, bitsOf(a, i)) })
	return s
}

// sampleStrings samples strings by their hash, and returns their mean length too.
func sampleStrings(chunks []arrow.Array) (s sample, length float64) {
	seed := maphash.MakeSeed()
	visitSample(chunks, func(a arrow.Array, i int) {
		v := a.(*array.String).Value(i)
		s.values = append(s.values, maphash.String(seed, v))
		length += float64(len(v))
	})
	return s, length / float64(max(1, len(s.values)))
}

// visitSample calls visit for the sampled values that are not null.
func visitSample(chunks []arrow.Array, visit func(a arrow.Array, i int)) {
	rows := 0
	for _, a := range chunks {
		rows += a.Len()
	}
	stride := max(sampleRun, rows/sampleRuns)
	start := 0 // of the chunk, counted in rows
	for _, a := range chunks {
		for i := 0; i < a.Len(); i++ {
			if at := (start + i) % stride; at >= sampleRun { // between two runs
				i += stride - at
			}
			if i < a.Len() && a.IsValid(i) {
				visit(a, i)
			}
		}
		start += a.Len()
	}
}

// dictionaryBits estimates the size of a dictionary of values of the given width and
// of the indices of that many rows.
func (s sample) dictionaryBits(rows int, width float64) float64 {
	distinct := s.distinct(rows)
	return distinct*width + float64(rows)*math.Ceil(math.Log2(max(1, distinct)))
}

// distinct estimates the number of distinct values among all rows from those in the
// sample: n values drawn from d equally frequent ones show d(1-exp(-n/d)) of them.
func (s sample) distinct(rows int) float64 {
	var seen numberDictionary
	seen.build(s.values)
	n, shown := float64(len(s.values)), float64(len(seen.values))
	lo, hi := shown, float64(max(rows, len(seen.values)))
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; mid*(1-math.Exp(-n/mid)) < shown {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// deltaBits estimates the bits a value that DELTA_BINARY_PACKED takes.
func (s sample) deltaBits() float64 {
	total := 0
	for block := range slices.Chunk(s.values, miniblock) {
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for i := 1; i < len(block); i++ {
			d := int64(block[i] - block[i-1])
			lo, hi = min(lo, d), max(hi, d)
		}
		if lo <= hi {
			total += len(block) * bits.Len64(uint64(hi-lo))
		}
	}
	return float64(total) / float64(max(1, len(s.values)))
}

// splitBits estimates the bits a value that BYTE_STREAM_SPLIT and zstd take.
func (s sample) splitBits() float64 {
	var planes [8][256]int
	for _, v := range s.values {
		for p := range planes {
			planes[p][byte(v>>(8*p))]++
		}
	}
	entropy := 0.0
	for p := range planes {
		for _, count := range planes[p] {
			if count > 0 {
				share := float64(count) / float64(len(s.values))
				entropy -= share * math.Log2(share)
			}
		}
	}
	return entropy
}
