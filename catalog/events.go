package catalog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/siltstone-db/siltstone/schema"
)

// The ids of events are the one thing that the catalog does not hold in memory: there
// may be as many of them as rows. They are added many times a second, while the log is
// applied, so they are neither synced nor ordered by mu; and they are looked up for each
// event that comes in, nearly always in vain, which Bloom filters make cheap.
//
// Not synced does not mean lost: an id is needed again only once the record of its
// event is no longer in the write-ahead log. That takes a commit of a file or position,
// which syncs Pebble's log, in which the id comes first.

// eventIDBytes is the length of an event id.
const eventIDBytes = 16

// Remember adds ids to the set of a table, which may be deleted but not purged. Seen
// finds them at once. They are on disk when the next change of the catalog that writes
// anything returns; until then a crash may lose any of them. The errors are
// ErrInvalidEdit for a table that is not there, ErrFailed and ErrClosed.
func (c *Catalog) Remember(table schema.TableID, ids [][eventIDBytes]byte) error {
	c.events.RLock()
	defer c.events.RUnlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	if _, ok := c.schema.Load().TableByID(table); !ok {
		return fmt.Errorf("%w: event ids of table %d, which does not exist", ErrInvalidEdit, table)
	}
	if len(ids) == 0 {
		return nil
	}
	b := c.store.newBatch()
	key := eventPrefix(table)
	for i := range ids {
		b.putEvent(append(key, ids[i][:]...))
	}
	if err := c.store.add(b); err != nil {
		return fmt.Errorf("remember %d event ids of table %d: %w", len(ids), table, err)
	}
	return nil
}

// putEvent is put for an event id; it writes into the batch's own memory.
func (b *batch) putEvent(key []byte) {
	if b.err != nil {
		return
	}
	op := b.b.SetDeferred(len(key), len(eventValue)+crc32.Size)
	copy(op.Key, key)
	n := copy(op.Value, eventValue)
	binary.LittleEndian.PutUint32(op.Value[n:], checksum(key, eventValue))
	b.err = op.Finish()
}

// Seen reports whether the id was remembered for the table. The errors are *CorruptError,
// ErrFailed, ErrClosed and those of reading.
func (c *Catalog) Seen(table schema.TableID, id [eventIDBytes]byte) (bool, error) {
	c.events.RLock()
	defer c.events.RUnlock()
	if err := c.usableLocked(); err != nil {
		return false, err
	}
	key := eventKey(table, id)
	found, err := c.store.hasEvent(key)
	// Behind a closed fence Pebble may miss what it has flushed, and find what it has not.
	if failed := c.store.fence.err(); failed != nil {
		err = failed
	}
	if err != nil {
		return false, fmt.Errorf("look up event id %x of table %d: %w", id, table, err)
	}
	return found, nil
}
