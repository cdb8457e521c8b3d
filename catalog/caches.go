package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// A cache is a record of its table that says what the functions of SQL show under its name. It never changes, and goes
// when it is deleted or its table is purged.

func cachePrefix(t schema.TableID) []byte { return key32(kindCache, uint32(t)) }

func cacheKey(t schema.TableID, id uint32) []byte { return key32(kindCache, uint32(t), id) }

// errCache says that a record of a cache is not one of its table.
var errCache = errors.New("it is not a cache of its table")

// cacheAllValues says that all columns are shown that are not in the key.
const cacheAllValues = 1 << 0

// CreateCache gives a table a cache, whose id is chosen here, and returns it. The errors are *NotFoundError, for
// database or table, *ExistsError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) CreateCache(database, table string, cache schema.Cache) (*schema.Cache, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.tableLocked(database, table)
	if err != nil {
		return nil, err
	}
	if err := checkName("cache", cache.Name); err != nil {
		return nil, err
	}
	if _, ok := t.Cache(cache.Kind, cache.Name); ok {
		return nil, &ExistsError{ObjectCache, cache.Name}
	}
	if n := len(t.Caches); n >= schema.MaxCaches {
		return nil, fmt.Errorf("%w: table %q has %d caches, as many as it can have", ErrInvalidChange, table, n)
	}
	cache.ID = 1
	for _, have := range t.Caches {
		cache.ID = max(cache.ID, have.ID+1)
	}
	if err := cache.Validate(t.Columns); err != nil {
		return nil, fmt.Errorf("%w: cache %q of table %q: %w", ErrInvalidChange, cache.Name, table, err)
	}
	b := c.store.newBatch()
	b.put(cacheKey(t.ID, cache.ID), appendCache(nil, &cache))
	return &cache, c.replaceTableLocked(b, t.WithCache(&cache), "create cache %q of table %q of database %q", cache.Name, table, database)
}

// DeleteCache takes a cache away from its table. The errors are *NotFoundError, for database, table or cache, ErrFailed
// and ErrClosed.
func (c *Catalog) DeleteCache(database, table string, kind schema.CacheKind, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.tableLocked(database, table)
	if err != nil {
		return err
	}
	cache, ok := t.Cache(kind, name)
	if !ok {
		return &NotFoundError{ObjectCache, name}
	}
	b := c.store.newBatch()
	b.remove(cacheKey(t.ID, cache.ID))
	return c.replaceTableLocked(b, t.WithoutCache(cache), "delete cache %q of table %q of database %q", name, table, database)
}

// replaceTableLocked makes a batch durable, and then the table visible as it is after that; mu is held.
func (c *Catalog) replaceTableLocked(b *batch, t *schema.Table, what string, args ...any) error {
	if err := c.commitLocked(b, what, args...); err != nil {
		return err
	}
	c.schema.Store(c.schema.Load().With(nil, []*schema.Table{t}))
	return nil
}

// appendCache leaves out the table and the id, which are in the key.
func appendCache(b []byte, c *schema.Cache) []byte {
	b = appendString(append(b, recordVersion, byte(c.Kind)), c.Name)
	b = append(b, flagIf(c.AllValues, cacheAllValues))
	b = binary.AppendUvarint(b, c.Limit)
	b = binary.AppendUvarint(b, uint64(c.MaxAge))
	for _, columns := range [][]schema.ColumnID{c.Columns, c.Values} {
		b = binary.AppendUvarint(b, uint64(len(columns)))
		for _, id := range columns {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return b
}

func decodeCache(id uint32, value []byte) (*schema.Cache, error) {
	d := newDecoder(value)
	c := &schema.Cache{ID: id, Kind: schema.CacheKind(d.byte()), Name: string(d.bytes(MaxNameBytes))}
	c.AllValues = d.flags(cacheAllValues) != 0
	c.Limit = d.uvarint(math.MaxUint64)
	c.MaxAge = time.Duration(d.uvarint(math.MaxInt64))
	for _, columns := range []*[]schema.ColumnID{&c.Columns, &c.Values} {
		for range d.uvarint(uint64(len(d.rest))) {
			*columns = append(*columns, schema.ColumnID(d.uvarint(math.MaxUint32)))
			if d.err != nil {
				return nil, d.err
			}
		}
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if c.Name == "" {
		return nil, errCache
	}
	return c, nil
}

// cacheOf reads a record of a cache and says of which table it is.
func cacheOf(key, value []byte) (schema.TableID, *schema.Cache, error) {
	var table, id uint32
	if err := key32IDs(key, &table, &id); err != nil {
		return 0, nil, err
	}
	if table == 0 || id == 0 {
		return 0, nil, errBadKey
	}
	c, err := decodeCache(id, value)
	return schema.TableID(table), c, err
}

// decodeCache takes the record of a cache; those of its table and of its columns came before.
func (l *loader) decodeCache(key, value []byte) error {
	id, c, err := cacheOf(key, value)
	switch {
	case err != nil:
		return err
	case int(id) > len(l.tables):
		return errUnknown
	case l.tables[id-1].state.purged:
		return errPurged
	}
	t := &l.tables[id-1]
	if slices.ContainsFunc(t.caches, isCacheLike(c)) {
		return errDuplicate
	}
	if err := c.Validate(t.columns); err != nil {
		return fmt.Errorf("%w: %w", errCache, err)
	}
	t.caches = append(t.caches, c)
	return nil
}

// isCacheLike finds a cache of the kind and the name of another one.
func isCacheLike(c *schema.Cache) func(*schema.Cache) bool {
	return func(o *schema.Cache) bool { return o.Kind == c.Kind && o.Name == c.Name }
}

// decodeCache takes a record that verifies.
func (r *Remains) decodeCache(key, value []byte) error {
	id, c, err := cacheOf(key, value)
	if err != nil {
		return err
	}
	t := r.table(id)
	t.caches = append(t.caches, c)
	return nil
}

// completeCaches drops caches of what is gone. They hold no data, and can be made again.
func (b *rebuild) completeCaches() {
	for _, id := range slices.Sorted(maps.Keys(b.r.tables)) {
		t := b.r.tables[id]
		if t.state.purged {
			t.caches = nil
			continue
		}
		columns := make([]schema.Column, len(t.columns)) // without gaps by now
		for at, c := range t.columns {
			columns[at-1] = c
		}
		var kept []*schema.Cache
		for _, c := range t.caches {
			if err := c.Validate(columns); err != nil || slices.ContainsFunc(kept, isCacheLike(c)) {
				b.note("%s %q of table %q is left out: its columns are lost", c.Kind, c.Name, t.name)
				continue
			}
			kept = append(kept, c)
		}
		t.caches = kept
	}
}
