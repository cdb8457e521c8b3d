package catalog

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Clock is what the engine remembers of the machine's clock, so that one that is wrong is
// not believed when something is to be deleted.
type Clock struct {
	// Seen is the time when the clock was last found right, in nanoseconds since the
	// Unix epoch, plus what has passed since.
	Seen int64
	// Jump is how far the clock is from that, in nanoseconds; 0 while it is right.
	Jump int64
	// Held is how long the clock has stood there.
	Held time.Duration
}

// Clock returns what SetClock stored last. A catalog that was just made, or that comes
// from a release that stored none, has the time of its opening.
func (c *Catalog) Clock() Clock { return *c.clock.Load() }

// SetClock stores what is known of the clock. The errors are ErrFailed and ErrClosed.
func (c *Catalog) SetClock(k Clock) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	b := c.store.newBatch()
	b.put(clockKey, appendClock(nil, k))
	if err := c.commitLocked(b, "remember the clock"); err != nil {
		return err
	}
	c.clock.Store(&k)
	return nil
}

// nowNanoseconds is the clock's time, or the nearest that can be stored.
func (c *Catalog) nowNanoseconds() int64 { return schema.Nanoseconds(c.now()) }

func appendClock(b []byte, k Clock) []byte {
	b = binary.AppendVarint(append(b, recordVersion), k.Seen)
	b = binary.AppendVarint(b, k.Jump)
	return binary.AppendUvarint(b, uint64(k.Held))
}

func decodeClock(value []byte) (Clock, error) {
	d := newDecoder(value)
	k := Clock{Seen: d.varint(), Jump: d.varint(), Held: time.Duration(d.uvarint(math.MaxInt64))}
	return k, d.finish()
}
