package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// A rollup is a table with a record that says what it is, which never changes, and one that says
// how far its rows are what they should be, which most flushes of its source replace.

// RollupState returns how far the rows of a rollup are what they should be; nil if the table is none.
// It is shared and must not be changed.
func (c *Catalog) RollupState(table schema.TableID) *schema.RollupState {
	return c.files.Load().rollups[table]
}

// rollupStates is an immutable picture of the states of all rollups.
type rollupStates map[schema.TableID]*schema.RollupState

// Faults of rollups.
var (
	errRollup      = errors.New("its source, interval or aggregates cannot be a rollup's")
	errRollupState = errors.New("it is not the state of a rollup: its ranges are empty, overlap or are too many")
	errNoState     = errors.New("a rollup lacks its state")
)

func rollupKey(t schema.TableID) []byte      { return key32(kindRollup, uint32(t)) }
func rollupStateKey(t schema.TableID) []byte { return key32(kindRollupState, uint32(t)) }

const (
	rollupAllTags = 1 << 0
	staleShrunk   = 1 << 0
)

func appendRollup(b []byte, r *schema.Rollup) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(r.Source))
	b = binary.AppendUvarint(b, uint64(r.Interval))
	b = append(b, flagIf(r.AllTags, rollupAllTags))
	b = binary.AppendUvarint(b, uint64(len(r.Aggregates)))
	for _, a := range r.Aggregates {
		b = appendString(appendString(append(b, byte(a.Func)), a.Field), a.Name)
	}
	return b
}

func flagIf(is bool, flag byte) byte {
	if is {
		return flag
	}
	return 0
}

func decodeRollup(value []byte) (*schema.Rollup, error) {
	d := newDecoder(value)
	r := &schema.Rollup{
		Source: schema.TableID(d.uvarint(math.MaxUint32)), Interval: time.Duration(d.uvarint(math.MaxInt64)),
		AllTags: d.flags(rollupAllTags) != 0,
	}
	for range d.uvarint(schema.MaxAggregates) {
		a := schema.Aggregate{Func: schema.AggregateFunc(d.byte()), Field: string(d.bytes(MaxNameBytes)), Name: string(d.bytes(MaxNameBytes))}
		if d.err != nil {
			break
		}
		r.Aggregates = append(r.Aggregates, a)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if !isRollup(r) {
		return nil, errRollup
	}
	return r, nil
}

func isRollup(r *schema.Rollup) bool {
	if r.Source == 0 || !schema.ValidInterval(r.Interval) || len(r.Aggregates) == 0 || len(r.Aggregates) > schema.MaxAggregates {
		return false
	}
	for _, a := range r.Aggregates {
		if _, ok := a.Func.Result(schema.Float64); !ok || a.Field == "" || a.Name == "" {
			return false
		}
	}
	return true
}

// appendRollupState leaves out the table, which is in the key.
func appendRollupState(b []byte, s *schema.RollupState) []byte {
	b = binary.AppendVarint(append(b, recordVersion), s.FrozenBefore)
	b = binary.AppendUvarint(b, uint64(len(s.Stale)))
	for _, r := range s.Stale {
		b = append(b, flagIf(r.Shrunk, staleShrunk))
		b = binary.AppendVarint(b, r.Time.Min)
		b = binary.AppendVarint(b, r.Time.Max)
	}
	return b
}

func decodeRollupState(table schema.TableID, value []byte) (*schema.RollupState, error) {
	d := newDecoder(value)
	s := &schema.RollupState{Table: table, FrozenBefore: d.varint()}
	for range d.uvarint(schema.MaxStaleRanges) {
		r := schema.StaleRange{Shrunk: d.flags(staleShrunk) != 0, Time: schema.TimeRange{Min: d.varint(), Max: d.varint()}}
		if d.err != nil {
			break
		}
		s.Stale = append(s.Stale, r)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if !isRollupState(s) {
		return nil, errRollupState
	}
	return s, nil
}

// isRollupState reports whether the ranges are few, ascending, apart and not frozen.
func isRollupState(s *schema.RollupState) bool {
	for i, r := range s.Stale {
		if r.Time.IsEmpty() || r.Time.Min < s.FrozenBefore || i > 0 && r.Time.Min <= s.Stale[i-1].Time.Max {
			return false
		}
	}
	return len(s.Stale) <= schema.MaxStaleRanges
}

// checkRollups says whether the states of an edit are those of rollups.
func checkRollups(s *schema.Snapshot, e *Edit) error {
	for _, r := range e.Rollups {
		if t, ok := s.TableByID(r.Table); !ok || t.Rollup == nil || !isRollupState(r) {
			return fmt.Errorf("%w: state of rollup %d: %w", ErrInvalidEdit, r.Table, errRollupState)
		}
	}
	return nil
}

// with returns the states after some have changed, and writes these.
func (s rollupStates) with(b *batch, changed ...*schema.RollupState) rollupStates {
	if len(changed) == 0 {
		return s
	}
	next := maps.Clone(s)
	if next == nil {
		next = make(rollupStates)
	}
	for _, r := range changed {
		b.put(rollupStateKey(r.Table), appendRollupState(nil, r))
		next[r.Table] = r
	}
	return next
}

// setRollup makes a rollup of a table that the change has just begun. Its source must be another table of
// the database that is no rollup.
func (p *plan) setRollup(t *tablePlan, change *TableChange) error {
	r := change.Rollup
	source, ok := p.current.TableByID(r.Source)
	if !ok || source.Deleted != nil || source.Database != p.database.ID || source.Rollup != nil || !isRollup(r) {
		return fmt.Errorf("%w: table %q: %w", ErrInvalidChange, t.base.Name, errRollup)
	}
	t.base.Rollup = r
	p.rollups = append(p.rollups, (&schema.RollupState{Table: t.base.ID, FrozenBefore: change.FrozenBefore}).Mark(
		schema.StaleRange{Time: schema.MaxTimeRange}))
	return nil
}

// addTagsToRollups gives the rollups that keep all tags of a table those that the change adds. One whose name a rollup
// has for something else, or that would be one too many, is not kept.
func (p *plan) addTagsToRollups(source *tablePlan) error {
	for _, added := range source.added {
		if added.Type != schema.Tag || source.isNew {
			continue
		}
		for _, target := range p.current.Rollups(source.base.ID) {
			if !target.Rollup.AllTags {
				continue
			}
			change := TableChange{Name: target.Name, Columns: []NewColumn{{added.Name, schema.Tag}}, ofSource: true}
			err := p.addTable(&change)
			if conflict, limit := new(ConflictError), new(LimitError); err != nil && !errors.As(err, &conflict) && !errors.As(err, &limit) {
				return err
			}
		}
	}
	return nil
}

// decodeRollup takes the record of a rollup; those of its table came before.
func (l *loader) decodeRollup(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	r, err := decodeRollup(value)
	switch {
	case err != nil:
		return err
	case id == 0 || int(id) > len(l.tables) || int(r.Source) > len(l.tables):
		return errUnknown
	case l.tables[id-1].state.purged:
		return errPurged
	}
	l.tables[id-1].rollup = r
	return nil
}

func (l *loader) decodeRollupState(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	s, err := decodeRollupState(schema.TableID(id), value)
	switch {
	case err != nil:
		return err
	case id == 0 || int(id) > len(l.tables) || l.tables[id-1].rollup == nil:
		return errUnknown
	}
	if l.rollups == nil {
		l.rollups = make(rollupStates)
	}
	l.rollups[s.Table] = s
	return nil
}

// checkRollups returns the key of the rollup at fault, nil if there is none: each needs its state, and a source
// that is there as long as it is.
func (l *loader) checkRollups() (key []byte, err error) {
	for i := range l.tables {
		id, r := schema.TableID(i+1), l.tables[i].rollup
		if r == nil {
			continue
		}
		if l.rollups[id] == nil {
			return rollupKey(id), errNoState
		}
		if t, ok := l.snapshot.TableByID(id); !ok || t.Deleted != nil {
			continue
		}
		source, ok := l.snapshot.TableByID(r.Source)
		if !ok || source.Deleted != nil || source.Rollup != nil || source.Database != l.tables[i].database {
			return rollupKey(id), errRollup
		}
	}
	return nil, nil
}

// decodeRollup takes a record of either kind that verifies.
func (r *Remains) decodeRollup(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil || id == 0 {
		return errBadKey
	}
	if kind(key[0]) == kindRollupState {
		s, err := decodeRollupState(schema.TableID(id), value)
		if err == nil {
			r.rollups[s.Table] = s
		}
		return err
	}
	def, err := decodeRollup(value)
	if err == nil {
		r.table(schema.TableID(id)).rollup = def
	}
	return err
}

// completeRollups makes plain tables of rollups of which the state or the source is lost. Of the others everything is
// stale: what has changed since the state that was found was written is not known.
func (b *rebuild) completeRollups() {
	for id, t := range b.r.tables {
		if t.rollup == nil {
			continue
		}
		if t.state.purged {
			t.rollup = nil
			continue
		}
		source := b.r.tables[t.rollup.Source]
		isLive := t.state.deleted == nil && b.r.databases[t.database].state.deleted == nil
		isWhole := source != nil && !source.state.purged && source.state.deleted == nil && source.rollup == nil && source.database == t.database
		if b.r.rollups[id] == nil || isLive && !isWhole || source == nil {
			b.note("table %q is no rollup any more, because records of it or of its source are lost; its rows stay as they are stored", t.name)
			t.rollup = nil
			continue
		}
		b.r.rollups[id] = b.r.rollups[id].Mark(schema.StaleRange{Time: schema.MaxTimeRange})
	}
	maps.DeleteFunc(b.r.rollups, func(id schema.TableID, _ *schema.RollupState) bool {
		return b.r.tables[id] == nil || b.r.tables[id].rollup == nil
	})
}
