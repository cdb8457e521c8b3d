package catalog

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// The state of a database or table is what may change about it, and what format 1 did
// not know. One without a state record has the zero state.

// Flags of a state. A purged one has nothing else.
const (
	stateDeleted = 1 << 0
	statePurged  = 1 << 1
	// stateRetention is of tables with a retention period of their own.
	stateRetention = 1 << 2
)

type databaseState struct {
	purged    bool
	created   int64
	retention time.Duration
	deleted   *schema.Deletion
}

func appendDatabaseState(b []byte, s *databaseState) []byte {
	b = append(b, recordVersion, stateFlags(s.purged, s.deleted))
	if s.purged {
		return b
	}
	b = binary.AppendVarint(b, s.created)
	b = binary.AppendUvarint(b, uint64(s.retention))
	return appendDeletion(b, s.deleted)
}

func decodeDatabaseState(value []byte) (databaseState, error) {
	d := newDecoder(value)
	flags := d.stateFlags(0)
	s := databaseState{purged: flags == statePurged}
	if !s.purged {
		s.created = d.varint()
		s.retention = time.Duration(d.uvarint(math.MaxInt64))
		s.deleted = d.deletion(flags)
	}
	return s, d.finish()
}

type tableState struct {
	purged  bool
	created int64
	rule    schema.KeyRule
	tag     schema.ColumnID // 0 if the rule is PointKey
	// retention is the table's own, 0 if it has none.
	retention time.Duration
	deleted   *schema.Deletion
}

func appendTableState(b []byte, s *tableState) []byte {
	flags := stateFlags(s.purged, s.deleted)
	if s.retention != 0 {
		flags |= stateRetention
	}
	b = append(b, recordVersion, flags)
	if s.purged {
		return b
	}
	b = binary.AppendVarint(b, s.created)
	b = append(b, byte(s.rule))
	if s.rule != schema.PointKey {
		b = binary.AppendUvarint(b, uint64(s.tag))
	}
	if s.retention != 0 {
		b = binary.AppendUvarint(b, uint64(s.retention))
	}
	return appendDeletion(b, s.deleted)
}

func decodeTableState(value []byte) (tableState, error) {
	d := newDecoder(value)
	flags := d.stateFlags(stateRetention)
	s := tableState{purged: flags == statePurged}
	if !s.purged {
		s.created = d.varint()
		s.rule = schema.KeyRule(d.byte())
		if d.err == nil && !s.rule.Valid() {
			d.err = errKeyRule
		}
		if s.rule != schema.PointKey {
			s.tag = schema.ColumnID(d.uvarint(math.MaxUint32))
		}
		if flags&stateRetention != 0 {
			s.retention = time.Duration(d.uvarint(math.MaxInt64))
			if d.err == nil && s.retention == 0 {
				d.err = errFlags
			}
		}
		s.deleted = d.deletion(flags)
	}
	return s, d.finish()
}

func stateOfDatabase(d *schema.Database, deleted *schema.Deletion) *databaseState {
	return &databaseState{created: d.Created, retention: d.Retention, deleted: deleted}
}

// stateOfTable takes the table's own deletion, not that of its database.
func stateOfTable(t *schema.Table, deleted *schema.Deletion) *tableState {
	tag, _ := t.Column(t.Key.Tag)
	return &tableState{created: t.Created, rule: t.Key.Rule, tag: tag.ID, retention: t.Retention, deleted: deleted}
}

func stateFlags(purged bool, deleted *schema.Deletion) byte {
	switch {
	case purged:
		return statePurged
	case deleted != nil:
		return stateDeleted
	}
	return 0
}

// stateFlags reads the flags of a state, of which some may be those of its kind alone.
func (d *decoder) stateFlags(own byte) byte {
	flags := d.flags(stateDeleted | statePurged | own)
	if d.err == nil && flags&statePurged != 0 && flags != statePurged {
		d.err = errFlags
	}
	return flags
}

func appendDeletion(b []byte, deleted *schema.Deletion) []byte {
	if deleted == nil {
		return b
	}
	b = binary.AppendVarint(b, deleted.At)
	return binary.AppendVarint(b, deleted.PurgeAt)
}

func (d *decoder) deletion(flags byte) *schema.Deletion {
	if flags&stateDeleted == 0 {
		return nil
	}
	return &schema.Deletion{At: d.varint(), PurgeAt: d.varint()}
}
