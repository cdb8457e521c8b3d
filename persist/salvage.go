package persist

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// Describe reads a whole file of which the catalog knows nothing, and describes it as
// Write would have. Column chunks are compared with the checksums in the footer where it
// has them. What the file does not say stays zero: the ids, and if it has no Origin, Seq
// and Order too. The errors are a *CorruptError, a *ChunkError, ErrUnknownFormat, and
// those of reading.
func Describe(fs vfs.FS, path string) (f schema.File, err error) {
	r, err := Open(fs, path)
	if err != nil {
		return schema.File{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if f.Bytes, f.CRC32C, err = checksum(fs, path); err != nil {
		return f, err
	}
	if o, ok := r.Origin(); ok {
		f.Seq, f.Order = o.Seq, o.Order
	}
	err = r.describeFooter(&f)
	if chunk := new(ChunkError); errors.As(err, &chunk) {
		f.CRC32C = ^f.CRC32C
		f.Rows, f.Time = r.Rows(), r.Time()
		for _, c := range r.footer.columns {
			f.Columns = append(f.Columns, schema.ColumnStats{Column: c.ID})
		}
		f.DayMin, f.DayMax = schema.DayOf(f.Time.Min), schema.DayOf(f.Time.Max)
	}
	if err != nil {
		return f, err
	}
	return f, r.describeRows(&f)
}

// describeFooter finds out where the footer begins, and verifies the column chunks.
func (r *Reader) describeFooter(f *schema.File) error {
	if r.footer.sums == "" {
		return nil
	}
	sums, err := parseSums(r.footer.sums)
	if err != nil {
		return &CorruptError{Path: r.path, Err: err}
	}
	chunks := uint64(len(magic))
	for _, s := range sums {
		if s.bytes > f.Bytes-chunks {
			return &CorruptError{Path: r.path, Err: errors.New(sumsKey + " covers more bytes than the file has")}
		}
		chunks += s.bytes
	}
	f.FooterBytes = f.Bytes - chunks
	v := verifier{ctx: context.Background(), src: r.source, path: r.path, want: f}
	crc, err := v.sum(0, 0, int64(len(magic)))
	if err == nil {
		f.FooterCRC32C, err = v.sum(crc, int64(chunks), int64(f.FooterBytes))
	}
	if err == nil {
		_, err = VerifyColumns(v.ctx, r.source, r.path, f, append(r.columnIDs(), 0))
	}
	return err
}

func (r *Reader) columnIDs() []schema.ColumnID {
	var ids []schema.ColumnID
	for _, c := range r.footer.columns {
		ids = append(ids, c.ID)
	}
	return ids
}

// parseSums decodes the checksums without knowing how many there must be.
func parseSums(text string) ([]section, error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sumsKey, err)
	}
	var sums []section
	for len(b) > 0 {
		length, used := binary.Uvarint(b)
		if used <= 0 || len(b) < used+crc32.Size {
			return nil, fmt.Errorf("%s: entry %d is malformed", sumsKey, len(sums))
		}
		sums = append(sums, section{length, binary.LittleEndian.Uint32(b[used:])})
		b = b[used+crc32.Size:]
	}
	return sums, nil
}

// describeRows computes what is said of the rows from the rows themselves.
func (r *Reader) describeRows(f *schema.File) error {
	tags, fields := split(r.footer.columns)
	stats := make([]fieldStats, 0, len(tags)+len(fields))
	for _, c := range tags {
		stats = append(stats, &tagStats{stringStats{id: c.ID}})
	}
	for _, c := range fields {
		stats = append(stats, newFieldStats(c))
	}
	f.Time = schema.EmptyTimeRange
	for rec, err := range r.Records() {
		if err != nil {
			return err
		}
		f.Rows += uint64(rec.NumRows())
		for i := range stats {
			at := i
			if i >= len(tags) {
				at++ // behind the time
			}
			stats[i].include(rec.Column(at))
		}
		times, ok := rec.Column(len(tags)).(*array.Timestamp)
		if !ok {
			return &CorruptError{Path: r.path, Err: errors.New("the time column holds no times")}
		}
		for i := range times.Len() {
			f.Time = f.Time.Include(int64(times.Value(i)))
		}
	}
	byID := make(map[schema.ColumnID]schema.ColumnStats, len(stats))
	for _, s := range stats {
		result := s.result()
		byID[result.Column] = result
	}
	for _, c := range r.footer.columns {
		f.Columns = append(f.Columns, byID[c.ID])
	}
	f.DayMin, f.DayMax = schema.DayOf(f.Time.Min), schema.DayOf(f.Time.Max)
	return nil
}

// tagStats bounds the values of a tag, which is read as a dictionary.
type tagStats struct{ stringStats }

func (s *tagStats) include(a arrow.Array) {
	d, ok := a.(*array.Dictionary)
	if !ok {
		return
	}
	values, ok := d.Dictionary().(*array.String)
	if !ok {
		return
	}
	s.nulls += uint64(d.NullN())
	used := make([]bool, values.Len())
	for i := range d.Len() {
		if d.IsNull(i) {
			continue
		}
		if v := d.GetValueIndex(i); !used[v] {
			used[v] = true
			s.includeValue(values.Value(v))
		}
	}
}
