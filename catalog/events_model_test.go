package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/siltstone-db/siltstone/schema"
)

// remembered is one call of Remember: ids number first, first+1, … of a table. A call is
// one Pebble batch, so all of its ids are there or none.
type remembered struct {
	table        schema.TableID
	first, count int
}

// eventID makes the id with a number; ids spread like random ones.
func eventID(number int) [eventIDBytes]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(number)))
	return [eventIDBytes]byte(sum[:eventIDBytes])
}

func (r remembered) ids() [][eventIDBytes]byte {
	ids := make([][eventIDBytes]byte, r.count)
	for i := range ids {
		ids[i] = eventID(r.first + i)
	}
	return ids
}

// seen looks up some ids of the call, which must all be there or all be missing.
func (r remembered) seen(c *Catalog) (bool, error) {
	all := -1
	for _, i := range []int{0, r.count / 2, r.count - 1} {
		found, err := c.Seen(r.table, eventID(r.first+i))
		if err != nil {
			return false, err
		}
		if all >= 0 && (all == 1) != found {
			return false, fmt.Errorf("%+v is there in part", r)
		}
		all = 0
		if found {
			all = 1
		}
	}
	return all == 1, nil
}

// checkEvents compares the sets of a catalog with the calls that were made, in their
// order. The first durable ones must be there, and of the others no one without those
// before it. Nothing may be left of purged tables.
func checkEvents(c *Catalog, calls []remembered, durable int) error {
	missing := -1
	for i, r := range calls {
		found, err := r.seen(c)
		switch {
		case err != nil:
			return err
		case c.Schema().IsPurged(r.table):
			if found {
				return fmt.Errorf("the events %+v of a purged table are there", r)
			}
		case found && missing >= 0:
			return fmt.Errorf("the events %+v are there, but %+v before them are not", r, calls[missing])
		case !found && i < durable:
			return fmt.Errorf("the events %+v are lost, %d of %d calls", r, i, durable)
		case !found:
			missing = i
		}
		if found, err := c.Seen(r.table, eventID(-1)); err != nil || found {
			return fmt.Errorf("an id that was never remembered is found: %v, %w", found, err)
		}
	}
	return nil
}

// randomRemembered is a call for some table, or false if there is none. Now and then it
// has the large number of ids.
func randomRemembered(rng *rand.Rand, s *state, calls []remembered, large int) (remembered, bool) {
	if len(s.Tables) == 0 {
		return remembered{}, false
	}
	r := remembered{table: randomPartition(rng, s).Table, count: 1 + rng.IntN(5)}
	if rng.IntN(20) == 0 {
		r.count = large
	}
	if n := len(calls); n > 0 {
		r.first = calls[n-1].first + calls[n-1].count
	}
	return r, true
}
