package catalog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// loader rebuilds the state from the records, which arrive in key order.
type loader struct {
	empty     bool // no record was seen
	header    header
	run       uint64
	position  schema.Seq
	databases []*schema.Database // the database with id n is at n-1
	tables    []tableRecord      // the table with id n is at n-1
	files     []*schema.File
	flushed   map[schema.PartitionKey]schema.Seq

	snapshot *schema.Snapshot // set by finish
}

// tableRecord collects a table's columns until all of them were seen.
type tableRecord struct {
	database schema.DatabaseID
	name     string
	columns  []schema.Column
}

// Faults between records; they reach callers wrapped in a CorruptError.
var (
	errNoHeader  = errors.New("the header record is missing")
	errNoRun     = errors.New("the run record is missing")
	errGap       = errors.New("ids are not 1, 2, 3, …: a record is missing")
	errUnknown   = errors.New("refers to something that does not exist")
	errDuplicate = errors.New("the name exists already")
	errRun       = errors.New("the file's id was never handed out")
	errStale     = errors.New("the partition is not flushed further than the whole catalog")
)

// load reads every record of the store.
func load(s *store, dir string) (*loader, error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return nil, fmt.Errorf("read catalog %s: %w", dir, err)
	}
	l := &loader{empty: true, flushed: make(map[schema.PartitionKey]schema.Seq)}
	for it.First(); it.Valid(); it.Next() {
		if err := l.record(dir, it.Key(), it.Value()); err != nil {
			return nil, errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil { // reports a failed read too
		return nil, fmt.Errorf("read catalog %s: %w", dir, err)
	}
	if err := l.finish(dir); err != nil {
		return nil, err
	}
	return l, nil
}

// record takes one record. The header comes first, so that a newer format is refused
// before anything else is looked at.
func (l *loader) record(dir string, key, stored []byte) error {
	value, err := unseal(key, stored)
	if err == nil && l.empty && (len(key) != 1 || kind(key[0]) != kindHeader) {
		err = errNoHeader
	}
	l.empty = false
	if err == nil {
		err = l.decode(key, value)
	}
	if err != nil {
		return &CorruptError{Dir: dir, Key: slices.Clone(key), Err: err}
	}
	if l.header.format > formatVersion {
		return &VersionError{Dir: dir, Have: l.header.format, Supported: formatVersion}
	}
	return nil
}

func (l *loader) decode(key, value []byte) error {
	if len(key) == 0 {
		return errBadKey
	}
	switch kind(key[0]) {
	case kindHeader:
		return l.decodeHeader(key, value)
	case kindRun:
		return decodeSingle(key, value, &l.run)
	case kindPosition:
		return decodeSingle(key, value, (*uint64)(&l.position))
	case kindDatabase:
		return l.decodeDatabase(key, value)
	case kindTable:
		return l.decodeTable(key, value)
	case kindColumn:
		return l.decodeColumn(key, value)
	case kindFile:
		return l.decodeFile(key, value)
	case kindFlushed:
		return l.decodeFlushed(key, value)
	}
	return errBadKey
}

func (l *loader) decodeHeader(key, value []byte) (err error) {
	if len(key) != 1 {
		return errBadKey
	}
	l.header, err = decodeHeader(value)
	return err
}

// decodeSingle reads a record of a kind that occurs once.
func decodeSingle(key, value []byte, n *uint64) (err error) {
	if len(key) != 1 {
		return errBadKey
	}
	*n, err = decodeNumber(value)
	return err
}

func (l *loader) decodeDatabase(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	name, err := decodeDatabase(value)
	if err != nil {
		return err
	}
	if int(id) != len(l.databases)+1 {
		return errGap
	}
	l.databases = append(l.databases, &schema.Database{ID: schema.DatabaseID(id), Name: name})
	return nil
}

func (l *loader) decodeTable(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	db, name, err := decodeTable(value)
	switch {
	case err != nil:
		return err
	case int(id) != len(l.tables)+1:
		return errGap
	case db == 0 || int(db) > len(l.databases):
		return errUnknown
	}
	l.tables = append(l.tables, tableRecord{database: db, name: name})
	return nil
}

func (l *loader) decodeColumn(key, value []byte) error {
	var table, id uint32
	if err := key32IDs(key, &table, &id); err != nil {
		return err
	}
	name, typ, err := decodeColumn(value)
	if err != nil {
		return err
	}
	if table == 0 || int(table) > len(l.tables) {
		return errUnknown
	}
	t := &l.tables[table-1]
	if int(id) != len(t.columns)+1 {
		return errGap
	}
	t.columns = append(t.columns, schema.Column{ID: schema.ColumnID(id), Name: name, Type: typ})
	return nil
}

func (l *loader) decodeFile(key, value []byte) error {
	id, err := parseFileKey(key)
	if err != nil {
		return err
	}
	f, err := decodeFile(id, value)
	if err != nil {
		return err
	}
	if id == 0 || uint64(id)>>runShift >= l.run {
		return errRun
	}
	l.files = append(l.files, f)
	return nil
}

func (l *loader) decodeFlushed(key, value []byte) error {
	partition, err := parseFlushedKey(key)
	if err != nil {
		return err
	}
	seq, err := decodeNumber(value)
	if err != nil {
		return err
	}
	if schema.Seq(seq) <= l.position {
		return errStale
	}
	l.flushed[partition] = schema.Seq(seq)
	return nil
}

// finish builds the snapshot and checks what can only be checked with all of it.
func (l *loader) finish(dir string) error {
	if !l.empty && l.run == 0 {
		return &CorruptError{Dir: dir, Key: runKey, Err: errNoRun}
	}
	if err := l.buildSnapshot(dir); err != nil {
		return err
	}
	for _, f := range l.files {
		if err := checkFile(l.snapshot, f); err != nil {
			return &CorruptError{Dir: dir, Key: fileKey(f.ID), Err: err}
		}
	}
	for k := range l.flushed {
		if !partitionExists(l.snapshot, k) {
			return &CorruptError{Dir: dir, Key: flushedKey(k), Err: errUnknown}
		}
	}
	slices.SortFunc(l.files, compareFiles)
	return nil
}

// buildSnapshot makes the schema and refuses names that occur twice, of which a
// snapshot would keep only one.
func (l *loader) buildSnapshot(dir string) error {
	databases := make(map[string]bool, len(l.databases))
	for _, d := range l.databases {
		if databases[d.Name] {
			return &CorruptError{Dir: dir, Key: databaseKey(d.ID), Err: errDuplicate}
		}
		databases[d.Name] = true
	}
	tables := make([]*schema.Table, len(l.tables))
	for i, r := range l.tables {
		t := schema.NewTable(schema.TableID(i+1), r.database, r.name, r.columns)
		for _, c := range t.Columns {
			if found, _ := t.Column(c.Name); found.ID != c.ID {
				return &CorruptError{Dir: dir, Key: columnKey(t.ID, found.ID), Err: errDuplicate}
			}
		}
		tables[i] = t
	}
	l.snapshot = new(schema.Snapshot).With(l.databases, tables)
	for _, t := range tables {
		d, _ := l.snapshot.Database(l.databases[t.Database-1].Name)
		if found, _ := d.Table(t.Name); found != t {
			return &CorruptError{Dir: dir, Key: tableKey(found.ID), Err: errDuplicate}
		}
	}
	return nil
}
