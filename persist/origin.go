package persist

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/siltstone-db/siltstone/schema"
)

// originKey is the metadata under which a file carries what only the catalog knows
// otherwise, for the day on which the catalog is lost.
const originKey = "siltstone.origin"

// maxAbsentBytes bounds what a file says about columns that it does not have: with
// thousands of sparse columns it would be larger than the rows.
const maxAbsentBytes = 32 << 10

// Origin says where the rows of a file come from: what its description in the catalog
// has, and cannot be seen in the rows. The zero Origin is not recorded.
type Origin struct {
	// Seq and Order are those of schema.File.
	Seq   schema.SeqRange
	Order uint64
	// Rule and Tag are the key of the table; Tag is 0 for schema.PointKey.
	Rule schema.KeyRule
	Tag  schema.ColumnID
	// Absent are columns that the table had and the file has not.
	Absent []schema.Column
}

// originText is the form in the file.
type originText struct {
	First  schema.Seq     `json:"first"`
	Last   schema.Seq     `json:"last"`
	Order  uint64         `json:"order"`
	Rule   uint8          `json:"rule,omitempty"`
	Tag    uint32         `json:"tag,omitempty"`
	Absent []absentColumn `json:"absent,omitempty"`
}

type absentColumn struct {
	ID   uint32 `json:"id"`
	Type uint8  `json:"type"`
	Name string `json:"name"`
}

func (o *Origin) isZero() bool { return o.Seq == schema.SeqRange{} }

func (o *Origin) encode() (string, error) {
	text := originText{First: o.Seq.Min, Last: o.Seq.Max, Order: o.Order, Rule: uint8(o.Rule), Tag: uint32(o.Tag)}
	room := maxAbsentBytes
	for _, c := range o.Absent {
		if room -= len(c.Name) + 32; room < 0 {
			break
		}
		text.Absent = append(text.Absent, absentColumn{uint32(c.ID), uint8(c.Type), c.Name})
	}
	b, err := json.Marshal(text)
	return string(b), err
}

func decodeOrigin(text string) (Origin, error) {
	var t originText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return Origin{}, fmt.Errorf("%s: %w", originKey, err)
	}
	o := Origin{
		Seq: schema.SeqRange{Min: t.First, Max: t.Last}, Order: t.Order,
		Rule: schema.KeyRule(t.Rule), Tag: schema.ColumnID(t.Tag),
	}
	if o.Seq.Min > o.Seq.Max || !o.Rule.Valid() {
		return Origin{}, fmt.Errorf("%s: impossible range or key rule", originKey)
	}
	for _, c := range t.Absent {
		column := schema.Column{ID: schema.ColumnID(c.ID), Type: schema.ColumnType(c.Type), Name: c.Name}
		if c.ID == 0 || c.ID >= TimeFieldID || !column.Type.Valid() || c.Name == "" {
			return Origin{}, errors.New(originKey + ": impossible column")
		}
		o.Absent = append(o.Absent, column)
	}
	return o, nil
}

// Origin returns where the rows come from; ok is false where the file does not say.
func (r *Reader) Origin() (o Origin, ok bool) { return r.footer.origin, !r.footer.origin.isZero() }
