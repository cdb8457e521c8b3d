package persist

import (
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	pqschema "github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/klauspost/compress/zstd"
)

// chunk is an encoded column chunk. Making one needs nothing of the file; emit writes it.
type chunk struct {
	dictionary []byte // its values in PLAIN encoding, nil for none
	entries    int    // of the dictionary
	encoding   parquet.Encoding
	data       []byte // the compressed pages, one after the other
	pages      []encodedPage
	stats      metadata.EncodedStatistics
}

// encodedPage is a data page of a chunk.
type encodedPage struct {
	end   int // of its bytes in chunk.data
	raw   int // bytes before compression
	row   int // its first one in the row group
	rows  int
	stats metadata.EncodedStatistics
}

func (c *chunk) reset(e parquet.Encoding) {
	*c = chunk{encoding: e, data: c.data[:0], pages: c.pages[:0]}
}

// add compresses a data page that holds the rows from row on.
func (c *chunk) add(raw []byte, row, rows int, stats metadata.EncodedStatistics) {
	from := len(c.data)
	c.data = compressPage(c.data, raw)
	if c.encoding == parquet.Encodings.DeltaBinaryPacked && storesAs(len(c.data)-from, len(raw)) {
		c.data = appendStored(c.data[:from], raw)
	}
	c.pages = append(c.pages, encodedPage{end: len(c.data), raw: len(raw), row: row, rows: rows, stats: stats})
}

// emit writes the chunk as the file's next one.
func (c *chunk) emit(to *container) error {
	pages, about, err := to.nextColumn()
	if err != nil {
		return err
	}
	if c.dictionary != nil {
		dictionary := file.NewDictionaryPage(memory.NewBufferBytes(c.dictionary), int32(c.entries), parquet.Encodings.Plain)
		_, err := pages.WriteDictionaryPage(dictionary)
		dictionary.Release()
		if err != nil {
			return err
		}
	}
	limit, signed := int(to.props.MaxStatsSizeFor(about.Descr().Path())), about.Descr().SortOrder() == pqschema.SortSIGNED
	from := 0
	for _, p := range c.pages {
		p.stats.Signed = signed
		p.stats.ApplyStatSizeLimits(limit)
		data := file.NewDataPageV1WithConfig(memory.NewBufferBytes(c.data[from:p.end]), parquet.Encodings.RLE, parquet.Encodings.RLE, file.DataPageConfig{
			Num: int32(p.rows), Encoding: c.encoding, UncompressedSize: int32(p.raw), Stats: p.stats, FirstRowIndex: int64(p.row),
		})
		_, err := pages.WriteDataPage(data)
		data.Release()
		if err != nil {
			return err
		}
		from = p.end
	}
	c.stats.Signed = signed
	c.stats.ApplyStatSizeLimits(limit)
	about.SetStats(c.stats)
	return pages.Close(c.dictionary != nil, false)
}

// compressors holds what compresses pages. They do without the checksum of zstd: each
// chunk has one of its own.
var compressors = sync.Pool{New: func() any {
	c, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(zstdLevel)), zstd.WithEncoderConcurrency(1),
		zstd.WithZeroFrames(true), zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return c
}}

// compressPage appends the compressed bytes to dst.
func compressPage(dst, raw []byte) []byte {
	c := compressors.Get().(*zstd.Encoder)
	defer compressors.Put(c)
	return c.EncodeAll(raw, dst)
}
