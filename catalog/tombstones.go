package catalog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Tombstones returns what was deleted of the files of a table, by Order. The slice is shared
// and must not be changed.
func (c *Catalog) Tombstones(table schema.TableID) []*schema.Tombstone {
	return c.files.Load().tombstones[table]
}

// tombstoneSet is an immutable picture of all tombstones, those of a table by Order.
type tombstoneSet map[schema.TableID][]*schema.Tombstone

// Faults of tombstones.
var (
	errTombstone = errors.New("its range of time is empty, or its place among the files was never given")
	errSecond    = errors.New("the table has another one in its place")
	errPredicate = errors.New("malformed predicate")
)

func tombstoneKey(d *schema.Tombstone) []byte {
	return binary.BigEndian.AppendUint64(key32(kindTombstone, uint32(d.Table)), d.Order)
}

func tombstonePrefix(t schema.TableID) []byte { return key32(kindTombstone, uint32(t)) }

// tombstoneKeyIDs is the inverse of tombstoneKey; it does not check the kind.
func tombstoneKeyIDs(key []byte) (table schema.TableID, order uint64, err error) {
	var id uint32
	if len(key) != 1+4+8 {
		return 0, 0, errBadKey
	}
	err = key32IDs(key[:5], &id)
	return schema.TableID(id), binary.BigEndian.Uint64(key[5:]), err
}

// appendTombstone leaves out what is in the key.
func appendTombstone(b []byte, d *schema.Tombstone) []byte {
	b = binary.AppendVarint(append(b, recordVersion), d.Time.Min)
	b = binary.AppendVarint(b, d.Time.Max)
	b = binary.AppendUvarint(b, uint64(d.Seq))
	b = binary.AppendVarint(b, d.Created)
	return appendPredicate(b, d.Where)
}

// appendPredicate writes a 0 for nil.
func appendPredicate(b []byte, p *schema.Predicate) []byte {
	if p == nil {
		return append(b, 0)
	}
	b = append(b, byte(p.Op))
	if p.Op != schema.And && p.Op != schema.Or {
		return appendString(appendString(b, p.Tag), p.Text)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Args)))
	for _, a := range p.Args {
		b = appendPredicate(b, a)
	}
	return b
}

func decodeTombstone(key, value []byte) (*schema.Tombstone, error) {
	table, order, err := tombstoneKeyIDs(key)
	if err != nil {
		return nil, err
	}
	d := newDecoder(value)
	t := &schema.Tombstone{
		Table: table, Order: order, Time: schema.TimeRange{Min: d.varint(), Max: d.varint()}, Seq: d.seq(), Created: d.varint(),
	}
	t.Where = d.predicate(schema.MaxPredicateDepth)
	if err := d.finish(); err != nil {
		return nil, err
	}
	if t.Time.IsEmpty() {
		return nil, errTombstone
	}
	if err := t.Where.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// AppendTombstones writes tombstones in the form that DecodeTombstones reads: how many, then for each
// its key and its value as records of the catalog have them.
func AppendTombstones(b []byte, all []*schema.Tombstone) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, d := range all {
		b = appendString(appendString(b, string(tombstoneKey(d))), string(appendTombstone(nil, d)))
	}
	return b
}

// DecodeTombstones reads what AppendTombstones wrote, and nothing behind it.
func DecodeTombstones(b []byte) ([]*schema.Tombstone, error) {
	d := &decoder{rest: b}
	var all []*schema.Tombstone
	for range d.uvarint(uint64(len(b))) {
		key := d.bytes(1 + 4 + 8)
		value := d.bytes(2 * maxTombstoneBytes)
		if d.err != nil {
			return nil, d.err
		}
		t, err := decodeTombstone(key, value)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, d.finish()
}

// maxTombstoneBytes bounds a value: its predicate's texts, and what each node of it takes besides.
const maxTombstoneBytes = schema.MaxPredicateBytes + 32*schema.MaxPredicateNodes

// AllTombstones returns those of all tables.
func (c *Catalog) AllTombstones() []*schema.Tombstone {
	var all []*schema.Tombstone
	for _, of := range c.files.Load().tombstones {
		all = append(all, of...)
	}
	return all
}

// predicate reads a predicate of at most some depth.
func (d *decoder) predicate(depth int) *schema.Predicate {
	op := schema.PredicateOp(d.byte())
	switch {
	case d.err != nil || op == 0 && depth == schema.MaxPredicateDepth:
		return nil
	case op == 0 || op > schema.NoMatch || depth == 0:
		d.err = errPredicate
		return nil
	case op > schema.Or:
		tag := string(d.bytes(MaxNameBytes))
		p, err := schema.Compare(tag, op, string(d.bytes(schema.MaxPredicateBytes)))
		if err != nil && d.err == nil {
			d.err = err
		}
		return p
	}
	p := &schema.Predicate{Op: op}
	for range d.uvarint(min(schema.MaxPredicateNodes, uint64(len(d.rest)))) {
		if d.err != nil {
			return nil
		}
		p.Args = append(p.Args, d.predicate(depth-1))
	}
	return p
}

// checkTombstonesLocked says whether the tombstones of an edit can be added and removed; mu is held.
func (c *Catalog) checkTombstonesLocked(e *Edit) error {
	snapshot, current := c.schema.Load(), c.files.Load().tombstones
	for _, d := range e.Exhume {
		if !slices.ContainsFunc(current[d.Table], isPlace(d)) {
			return fmt.Errorf("%w: tombstone %d of table %d does not exist", ErrInvalidEdit, d.Order, d.Table)
		}
	}
	for _, d := range e.Bury {
		_, isTable := snapshot.TableByID(d.Table)
		err := d.Where.Validate()
		switch {
		case !isTable:
			err = errNoTable
		case d.Time.IsEmpty() || d.Order == 0 || d.Order > c.lastFile.Load():
			err = errTombstone
		case slices.ContainsFunc(current[d.Table], isPlace(d)):
			err = errSecond
		}
		if err != nil {
			return fmt.Errorf("%w: tombstone %d of table %d: %w", ErrInvalidEdit, d.Order, d.Table, err)
		}
	}
	return nil
}

// isPlace finds the tombstone that has the place of another one of its table.
func isPlace(d *schema.Tombstone) func(*schema.Tombstone) bool {
	return func(o *schema.Tombstone) bool { return o.Order == d.Order }
}

// after returns the tombstones after an edit, and writes what it changes.
func (s tombstoneSet) after(b *batch, e *Edit) tombstoneSet {
	if len(e.Bury)+len(e.Exhume) == 0 {
		return s
	}
	next := maps.Clone(s)
	if next == nil {
		next = make(tombstoneSet)
	}
	for _, d := range e.Exhume {
		b.remove(tombstoneKey(d))
		next[d.Table] = slices.DeleteFunc(slices.Clone(next[d.Table]), isPlace(d))
		if len(next[d.Table]) == 0 {
			delete(next, d.Table)
		}
	}
	for _, d := range e.Bury {
		b.put(tombstoneKey(d), appendTombstone(nil, d))
		next[d.Table] = append(slices.Clone(next[d.Table]), d)
		slices.SortFunc(next[d.Table], byPlace)
	}
	return next
}

func byPlace(a, b *schema.Tombstone) int { return cmp.Compare(a.Order, b.Order) }

// decodeTombstone takes a record, those of a table by Order.
func (l *loader) decodeTombstone(key, value []byte) error {
	d, err := decodeTombstone(key, value)
	switch {
	case err != nil:
		return err
	case d.Table == 0 || int(d.Table) > len(l.tables):
		return errUnknown
	case l.tables[d.Table-1].state.purged:
		return errPurged
	case d.Order == 0 || d.Order>>runShift >= l.run:
		return errRun
	}
	if l.tombstones == nil {
		l.tombstones = make(tombstoneSet)
	}
	l.tombstones[d.Table] = append(l.tombstones[d.Table], d)
	return nil
}

// decodeTombstone takes a record that verifies.
func (r *Remains) decodeTombstone(key, value []byte) error {
	d, err := decodeTombstone(key, value)
	if err == nil {
		r.tombstones = append(r.tombstones, d)
	}
	return err
}

// Tombstones returns those that verify.
func (r *Remains) Tombstones() []*schema.Tombstone { return r.tombstones }

// LearnTombstone takes a tombstone that was noted elsewhere, if no record that verifies has its place.
func (r *Remains) LearnTombstone(d *schema.Tombstone) {
	has := slices.ContainsFunc(r.tombstones, func(o *schema.Tombstone) bool { return o.Table == d.Table && o.Order == d.Order })
	if !has && d.Order>>runShift+maxRunGap < runLimit {
		r.tombstones = append(r.tombstones, d)
	}
}

// completeTombstones drops those of tables that are gone.
func (b *rebuild) completeTombstones() {
	b.r.tombstones = slices.DeleteFunc(b.r.tombstones, func(d *schema.Tombstone) bool {
		t := b.r.tables[d.Table]
		return t == nil || t.state.purged
	})
	for _, d := range b.r.tombstones {
		b.r.run = max(b.r.run, d.Order>>runShift+1)
	}
}
