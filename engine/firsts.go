package engine

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// A table with Key.Rule FirstByTag keeps the first row of each value of a tag: a
// repeated event is discarded. The catalog has the set of values stored (as hashes).
//
// A row and its value must become durable together. They do without a sync of their
// own: the value is added, not synced, in the same step that puts the row into its
// buffer. A crash before the flush that takes the row to a file replays the log, which
// adds the value again; that flush is a synced commit of the catalog, in front of which
// everything added before is durable.
//
// Between looking a value up and applying its row no other request may do the same:
// such requests hold their database's lock of firsts meanwhile.

// firstKey is a value of a FirstByTag table's tag.
type firstKey struct {
	table schema.TableID
	hash  [16]byte
}

// hashKey is the first half of SHA-256: nobody can make two values that share it.
func hashKey(table schema.TableID, value []byte) firstKey {
	sum := sha256.Sum256(value)
	return firstKey{table, [16]byte(sum[:16])}
}

// firsts has a lock for each database with FirstByTag tables.
type firsts struct {
	// reopenings is odd from before the catalog is reopened until the values of all
	// buffered rows are in it again: what is not found meanwhile may be there all the same.
	reopenings atomic.Uint64

	mu struct {
		sync.Mutex
		byDatabase map[string]*sync.Mutex // as many as there are such databases
	}
}

// lock takes the database's lock and returns it.
func (f *firsts) lock(database string) *sync.Mutex {
	f.mu.Lock()
	m := f.mu.byDatabase[database]
	if m == nil {
		if f.mu.byDatabase == nil {
			f.mu.byDatabase = make(map[string]*sync.Mutex)
		}
		m = new(sync.Mutex)
		f.mu.byDatabase[database] = m
	}
	f.mu.Unlock()
	m.Lock()
	return m
}

// lastVersion is the latest time of a row in a LatestByTag table. Behind it there is room
// for later ones: who makes versions goes on from the greatest time that is there.
const lastVersion = lineprotocol.MaxTime - 100*365*schema.NanosPerDay

// checkKey looks at the key of a row whose table has one. It reports whether the row
// repeats a key of a FirstByTag table, and notes the key when it is new.
func (in *ingester) checkKey(entry *seriesEntry, ns int64) (isRepeated bool, f *fault) {
	t := entry.table
	value, ok := entry.tag(t.keyTag())
	if !ok {
		return false, in.faultHere(
			fmt.Sprintf("tag '%s' is missing, by which table '%s' tells rows apart", t.def.Key.Tag, t.name),
			fmt.Sprintf("add %s=<id> to the tags", t.def.Key.Tag))
	}
	if t.def.Key.Rule == schema.LatestByTag {
		if ns > lastVersion {
			return false, in.faultHere(
				fmt.Sprintf("timestamp %s is too far in the future for table '%s'", time.Unix(0, ns).UTC().Format(time.RFC3339), t.name),
				"queries see the latest row of each "+t.def.Key.Tag+": there must be times for later ones")
		}
		return false, nil
	}
	key := hashKey(t.def.ID, value)
	if _, ok := in.seen[key]; ok {
		return true, nil
	}
	stored, err := in.isStored(key)
	if err != nil {
		in.failure = err
		return false, in.faultHere(err.Error(), "")
	}
	if stored {
		return true, nil
	}
	in.seen[key] = struct{}{}
	in.out.keys = append(in.out.keys, key)
	return false, nil
}

// tag returns the value of a tag of the series.
func (e *seriesEntry) tag(id schema.ColumnID) ([]byte, bool) {
	if e.key != nil {
		return partition.TagValue(e.key, id)
	}
	for _, t := range e.tags {
		if e.table.slots[t.slot].id == id {
			return t.value, true
		}
	}
	return nil, false
}

// rememberKeys adds keys to the catalog's set. Of a purged table there is nothing to
// remember. If it fails otherwise the catalog has failed: no flush can commit and such
// tables take no rows until it is opened again, when the keys are added from the buffers,
// or from the log.
func (e *Engine) rememberKeys(keys []firstKey) {
	if len(keys) == 0 {
		return
	}
	byTable := make(map[schema.TableID][][16]byte)
	for _, k := range keys {
		byTable[k.table] = append(byTable[k.table], k.hash)
	}
	for table, hashes := range byTable {
		err := e.catalog.Remember(table, hashes)
		if err != nil && !e.catalog.Schema().IsPurged(table) {
			e.opts.Logger.Error("remembering the keys of rows failed; tables that have keys take no rows until the catalog is opened again", "table", table, "error", err)
		}
	}
}

// keysOf returns the keys of a replayed batch.
func keysOf(def *schema.Table, b *partition.Batch) []firstKey {
	if def.Key.Rule != schema.FirstByTag {
		return nil
	}
	tag, ok := def.Column(def.Key.Tag)
	if !ok {
		return nil
	}
	var keys []firstKey
	for _, series := range b.Series {
		if value, ok := partition.TagValue(series, tag.ID); ok {
			keys = append(keys, hashKey(def.ID, value))
		}
	}
	return keys
}

// isStored looks a key up.
func (e *Engine) isStored(key firstKey) (bool, error) {
	before := e.firsts.reopenings.Load()
	found, err := e.catalog.Seen(key.table, key.hash)
	if err == nil && !found && (before%2 == 1 || e.firsts.reopenings.Load() != before) {
		return false, errReopening
	}
	return found, err
}
