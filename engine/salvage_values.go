package engine

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// Where a damaged file is replaced by what is left of it and by a part of its rows from the
// log, the two may have points in common: what is lost is counted point by point.

// sumUp notes what is left of a damaged file, and what of its rows the log has.
func (s *salvage) sumUp(entry *SalvagedFile, def *schema.Table, h healed, left leftover) error {
	fromLog, filled, lost, err := s.compareLog(def, h, left)
	if err != nil {
		return err
	}
	entry.FromLog = fromLog
	if !h.isLatest {
		entry.PerhapsOlder = fromLog + filled
	}
	if left.file != nil {
		entry.Kept = left.file.Rows
	}
	entry.Lost = entry.Rows - min(entry.Rows, entry.Kept+entry.FromLog)
	for _, l := range lost {
		if l.Rows > 0 {
			entry.Values = append(entry.Values, LostValues{Column: l.Column.Name, Rows: l.Rows, From: l.Time.Min, To: l.Time.Max})
		}
	}
	return nil
}

// compareLog counts the points of the log's rows that are not among those that are left,
// the gaps in the latter that the log has filled, and what is still lost of them.
func (s *salvage) compareLog(def *schema.Table, h healed, left leftover) (fromLog, filled uint64, lost []persist.LostValues, err error) {
	lost = slices.Clone(left.lost)
	if len(h.files) == 0 {
		return 0, 0, lost, nil
	}
	seed := maphash.MakeSeed()
	rows := make(map[uint64]int) // of what is left, by point
	var hasValue []bool          // of the lost fields of each
	if left.file != nil {
		err = s.points(def, left.file, lost, seed, func(point uint64, has []bool) {
			rows[point] = len(rows)
			hasValue = append(hasValue, has...)
		})
	}
	others := make(map[uint64]bool)
	for _, f := range h.files {
		if err != nil {
			return 0, 0, nil, err
		}
		err = s.points(def, f, lost, seed, func(point uint64, has []bool) {
			row, ok := rows[point]
			if !ok {
				others[point] = true
				return
			}
			for i := range lost {
				if had := &hasValue[row*len(lost)+i]; has[i] && !*had && lost[i].Rows > 0 {
					*had = true
					lost[i].Rows--
					filled++
				}
			}
		})
	}
	return uint64(len(others)), filled, lost, err
}

// points visits the points of a file, and says which of the fields each has.
func (s *salvage) points(def *schema.Table, f *schema.File, fields []persist.LostValues, seed maphash.Seed, visit func(point uint64, has []bool)) (err error) {
	r, err := persist.Open(s.e.opts.FS, s.e.path(filePath(f)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	names := make(map[string]schema.ColumnID)
	for _, c := range def.Tags() {
		names[c.Name] = c.ID
	}
	has := make([]bool, len(fields))
	for rec, err := range r.Records() {
		if err != nil {
			return err
		}
		p := pointsOf(rec, names)
		columns := make([]arrow.Array, len(fields))
		for i, l := range fields {
			if at := rec.Schema().FieldIndices(l.Column.Name); len(at) == 1 {
				columns[i] = rec.Column(at[0])
			}
		}
		for row := range int(rec.NumRows()) {
			for i, c := range columns {
				has[i] = c != nil && c.IsValid(row)
			}
			visit(p.hash(seed, row), has)
		}
	}
	return nil
}

// pointRecord are the columns of a record that make up its points.
type pointRecord struct {
	ids   []schema.ColumnID
	tags  []*array.Dictionary
	time  *array.Timestamp
	bytes []byte
}

func pointsOf(rec arrow.RecordBatch, tags map[string]schema.ColumnID) *pointRecord {
	p := new(pointRecord)
	for i, field := range rec.Schema().Fields() {
		switch c := rec.Column(i).(type) {
		case *array.Dictionary:
			p.ids, p.tags = append(p.ids, tags[field.Name]), append(p.tags, c)
		case *array.Timestamp:
			p.time = c
		}
	}
	return p
}

// hash identifies the point of a row. Files of a table may have different tags: what is
// null does not count.
func (p *pointRecord) hash(seed maphash.Seed, row int) uint64 {
	b := binary.LittleEndian.AppendUint64(p.bytes[:0], uint64(p.time.Value(row)))
	for i, tag := range p.tags {
		if tag.IsNull(row) {
			continue
		}
		value := tag.Dictionary().(*array.String).Value(tag.GetValueIndex(row))
		b = binary.AppendUvarint(b, uint64(p.ids[i]))
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	p.bytes = b
	return maphash.Bytes(seed, b)
}
