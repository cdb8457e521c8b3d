package schema

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Cache is a question about a table that has a name: which rows last_cache and distinct_cache show. Nothing is kept for
// it besides these words. Shared values are never changed.
type Cache struct {
	// ID tells the caches of a table apart. It may be given again when the cache is gone.
	ID   uint32
	Kind CacheKind
	// Name is unique among those of a kind of the table.
	Name string
	// Columns are the key of a last cache, or those of a distinct one, in the order in which they are shown.
	Columns []ColumnID
	// AllValues says that a last cache shows all columns that are not in the key, also those that come later;
	// otherwise Values are what it shows. Time is always shown.
	AllValues bool
	Values    []ColumnID
	// Limit is how many rows of each key a last cache shows. Of a distinct cache it is how many rows it may
	// have in InfluxDB 3; here nothing is left out.
	Limit uint64
	// MaxAge is how old the time of a row may be.
	MaxAge time.Duration
}

// CacheKind is what a cache shows. Values are part of the catalog's format.
type CacheKind uint8

const (
	// LastCache shows the newest rows of each key.
	LastCache CacheKind = 1 + iota
	// DistinctCache shows which values occur together.
	DistinctCache
)

// String returns the word of the routes, the commands and the functions of SQL.
func (k CacheKind) String() string {
	switch k {
	case LastCache:
		return "last_cache"
	case DistinctCache:
		return "distinct_cache"
	}
	return fmt.Sprintf("CacheKind(%d)", uint8(k))
}

// MaxCaches bounds those of one table.
const MaxCaches = 100

// Validate says what is wrong with a cache of a table with these columns, which are in id order.
func (c *Cache) Validate(columns []Column) error {
	switch {
	case c.Kind != LastCache && c.Kind != DistinctCache:
		return fmt.Errorf("%s is no kind of cache", c.Kind)
	case c.Limit == 0:
		return errors.New("it would have no row")
	case c.MaxAge < time.Second:
		return fmt.Errorf("it would keep rows for %s; the least is a second", c.MaxAge)
	case c.Kind == DistinctCache && len(c.Columns) == 0:
		return errors.New("it has no column")
	case c.Kind == DistinctCache && (c.AllValues || len(c.Values) > 0), c.AllValues && len(c.Values) > 0:
		return errors.New("it has values, and says that it has others")
	}
	for i, id := range slices.Concat(c.Columns, c.Values) {
		if id == 0 || int(id) > len(columns) {
			return fmt.Errorf("there is no column %d", id)
		}
		column := columns[id-1]
		isKey := i < len(c.Columns)
		switch {
		case slices.Contains(c.Columns[:min(i, len(c.Columns))], id), !isKey && slices.Contains(c.Values[:i-len(c.Columns)], id):
			return fmt.Errorf("column %q occurs twice", column.Name)
		case isKey && c.Kind == LastCache && column.Type == Float64:
			return fmt.Errorf("column %q has floats; a key is made of tags, strings, integers and booleans", column.Name)
		case isKey && c.Kind == DistinctCache && column.Type != Tag && column.Type != String:
			return fmt.Errorf("column %q is neither a tag nor a string", column.Name)
		}
	}
	return nil
}

// Cache finds a cache by its name.
func (t *Table) Cache(kind CacheKind, name string) (*Cache, bool) {
	i := slices.IndexFunc(t.Caches, func(c *Cache) bool { return c.Kind == kind && c.Name == name })
	if i < 0 {
		return nil, false
	}
	return t.Caches[i], true
}

// WithCache returns the table with one more cache.
func (t *Table) WithCache(c *Cache) *Table {
	next := *t
	next.Caches = append(slices.Clip(t.Caches), c)
	slices.SortFunc(next.Caches, func(a, b *Cache) int { return int(a.ID) - int(b.ID) })
	return &next
}

// WithoutCache returns the table without one of its caches.
func (t *Table) WithoutCache(c *Cache) *Table {
	next := *t
	next.Caches = slices.DeleteFunc(slices.Clone(t.Caches), func(o *Cache) bool { return o.ID == c.ID })
	return &next
}
