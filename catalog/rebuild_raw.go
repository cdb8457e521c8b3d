package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

const tableSuffix = ".sst"

// rawStore is what the tables and logs of a store hold, read without Pebble's manifest. Of
// each key the newest entry by sequence number counts, and no entry below a newer range
// deletion. Of tables that lie there from before a compaction, older entries
// count again where the newest one has lost its number, as it does in the last level.
//
// Event ids of tables, which may be millions, are not held in memory but read again.
type rawStore struct {
	fs      vfs.FS
	dir     string
	tables  []string
	records map[string]rawEntry // event ids are those of logs only
	deleted []rawDeletion       // by start, once everything is read
	faults  []error
}

// rawEntry is what was done last to a key.
type rawEntry struct {
	seq     pebble.SeqNum
	value   []byte
	removed bool
}

// rawDeletion is a deletion of the keys in [start, end).
type rawDeletion struct {
	start, end []byte
	seq        pebble.SeqNum
}

// readRaw reads the files of a store. The error is a *VersionError.
func readRaw(o *Options) (*Remains, error) {
	r := NewRemains()
	r.raw = &rawStore{fs: o.FS, dir: o.Dir, records: make(map[string]rawEntry)}
	r.raw.read()
	below := r.raw.newCover()
	for _, key := range slices.Sorted(maps.Keys(r.raw.records)) {
		e := r.raw.records[key]
		if kind(key[0]) >= kindEvent || e.removed || below.covers([]byte(key), e.seq) {
			continue
		}
		if err := r.record(o.Dir, []byte(key), e.value); err != nil {
			return nil, err
		}
	}
	r.Unreadable = errors.Join(r.raw.faults...)
	if r.Unreadable == nil {
		r.Unreadable = compareAcknowledged(o.Dir, r.commits, lastAcknowledged(o.FS, o.Dir))
	}
	return r, nil
}

// read notes what cannot be read in faults.
func (s *rawStore) read() {
	names, err := s.fs.List(s.dir)
	if err != nil {
		s.faults = append(s.faults, err)
		return
	}
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) {
			s.tables = append(s.tables, name)
		}
	}
	slices.Sort(s.tables)
	for _, name := range s.tables {
		if err := s.readTable(name); err != nil {
			s.fault(name, err)
		}
	}
	logs, err := wal.Scan(wal.Dir{FS: s.fs, Dirname: s.dir})
	if err != nil {
		s.faults = append(s.faults, err)
	}
	for i, log := range logs {
		// What ends the last log may be a write that was cut short.
		if err := s.readLog(log); err != nil && (i+1 < len(logs) || !record.IsInvalidRecord(err)) {
			_, path := log.SegmentLocation(0)
			s.fault(s.fs.PathBase(path), err)
		}
	}
	slices.SortFunc(s.deleted, func(a, b rawDeletion) int { return bytes.Compare(a.start, b.start) })
}

func (s *rawStore) fault(name string, err error) {
	s.faults = append(s.faults, fmt.Errorf("read %s: %w", s.fs.PathJoin(s.dir, name), err))
}

// entry takes one entry. Of equal ones the later counts: its table has the higher number.
func (s *rawStore) entry(key []byte, seq pebble.SeqNum, k pebble.InternalKeyKind, value []byte) error {
	switch k {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete, pebble.InternalKeyKindDelete,
		pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
	case pebble.InternalKeyKindRangeDelete:
		s.deleted = append(s.deleted, rawDeletion{bytes.Clone(key), bytes.Clone(value), seq})
		return nil
	default:
		return fmt.Errorf("an entry of kind %s, which a catalog does not have", k)
	}
	if len(key) == 0 {
		return errBadKey
	}
	if old, ok := s.records[string(key)]; ok && old.seq > seq {
		return nil
	}
	isSet := k == pebble.InternalKeyKindSet || k == pebble.InternalKeyKindSetWithDelete
	s.records[string(key)] = rawEntry{seq, bytes.Clone(value), !isSet}
	return nil
}

// readTable takes the range deletions of a table and its entries but event ids.
func (s *rawStore) readTable(name string) error {
	return s.withTable(name, func(r *sstable.Reader) error {
		return errors.Join(
			s.readDeletions(r),
			scanTable(r, nil, []byte{byte(kindEvent)}, s.entry),
			scanTable(r, prefixEnd([]byte{byte(kindEvent)}), nil, s.entry),
		)
	})
}

func (s *rawStore) withTable(name string, use func(*sstable.Reader) error) (err error) {
	defer func() {
		if v := recover(); v != nil { // Pebble, over what it does not expect
			err = fmt.Errorf("the table is damaged: %v", v)
		}
	}()
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, readerOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(use(r), r.Close())
}

func (s *rawStore) readDeletions(r *sstable.Reader) error {
	it, err := r.NewRawRangeDelIter(context.Background(), sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || it == nil {
		return err
	}
	defer it.Close()
	span, err := it.First()
	for ; span != nil; span, err = it.Next() {
		for _, k := range span.Keys {
			s.deleted = append(s.deleted, rawDeletion{bytes.Clone(span.Start), bytes.Clone(span.End), k.SeqNum()})
		}
	}
	return err
}

// takeEntry takes one entry of a table or log, whose memory it must not keep.
type takeEntry func(key []byte, seq pebble.SeqNum, k pebble.InternalKeyKind, value []byte) error

// scanTable visits the entries of a table from the front, and where that ends at damage, from
// the back. It returns what the damage is.
func scanTable(r *sstable.Reader, lower, upper []byte, take takeEntry) error {
	fault := scanTableFrom(r, lower, upper, false, take)
	if fault != nil {
		_ = scanTableFrom(r, lower, upper, true, take) // ends at the same damage
	}
	return fault
}

func scanTableFrom(r *sstable.Reader, lower, upper []byte, back bool, take takeEntry) (err error) {
	it, err := r.NewIter(sstable.NoTransforms, lower, upper, sstable.AssertNoBlobHandles)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	kv, next := it.SeekGE(lower, 0), it.Next
	if back {
		next = it.Prev
		if kv = it.Last(); upper != nil {
			kv = it.SeekLT(upper, 0)
		}
	}
	for ; kv != nil; kv = next() {
		value, _, err := kv.Value(nil)
		if err == nil {
			err = take(kv.K.UserKey, kv.SeqNum(), kv.Kind(), value)
		}
		if err != nil {
			return err
		}
	}
	return it.Error()
}

// readLog takes the entries of a log until one cannot be read.
func (s *rawStore) readLog(log wal.LogicalLog) (err error) {
	defer func() {
		if v := recover(); v != nil { // Pebble's reader of batches trusts the checksum
			err = fmt.Errorf("the log is damaged: %v", v)
		}
	}()
	r := log.OpenForRead()
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		chunk, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch, err := io.ReadAll(chunk)
		if err == nil {
			err = s.readBatch(batch)
		}
		if err != nil {
			return err
		}
	}
}

func (s *rawStore) readBatch(batch []byte) error {
	h, ok := batchrepr.ReadHeader(batch)
	if !ok {
		return batchrepr.ErrInvalidBatch
	}
	seq := h.SeqNum
	for entries := batchrepr.Read(batch); ; seq++ {
		k, key, value, ok, err := entries.Next()
		if err != nil || !ok {
			return err
		}
		if err := s.entry(key, seq, k, value); err != nil {
			return err
		}
	}
}

// events visits event ids, some more than once, in no order. What cannot be read is left out.
func (s *rawStore) events(visit func(key, stored []byte) error) error {
	below := s.newCover()
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		e := s.records[key]
		if kind(key[0]) != kindEvent || e.removed || below.covers([]byte(key), e.seq) {
			continue
		}
		if err := visit([]byte(key), e.value); err != nil {
			return err
		}
	}
	for _, name := range s.tables {
		if err := s.tableEvents(name, visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *rawStore) tableEvents(name string, visit func(key, stored []byte) error) error {
	var fault error // of visit
	take := func(key []byte, seq pebble.SeqNum, k pebble.InternalKeyKind, value []byte) error {
		if k == pebble.InternalKeyKindSet || k == pebble.InternalKeyKindSetWithDelete {
			fault = visit(key, value)
		}
		return fault
	}
	prefix := []byte{byte(kindEvent)}
	_ = s.withTable(name, func(r *sstable.Reader) error { return scanTable(r, prefix, prefixEnd(prefix), take) })
	return fault
}

// rawCover tells which entries are below a range deletion. It is asked in the order of keys.
type rawCover struct {
	ahead, active []rawDeletion
}

func (s *rawStore) newCover() *rawCover { return &rawCover{ahead: s.deleted} }

func (c *rawCover) covers(key []byte, seq pebble.SeqNum) bool {
	for len(c.ahead) > 0 && bytes.Compare(c.ahead[0].start, key) <= 0 {
		c.active = append(c.active, c.ahead[0])
		c.ahead = c.ahead[1:]
	}
	c.active = slices.DeleteFunc(c.active, func(d rawDeletion) bool { return bytes.Compare(d.end, key) <= 0 })
	return slices.ContainsFunc(c.active, func(d rawDeletion) bool { return d.seq > seq })
}
