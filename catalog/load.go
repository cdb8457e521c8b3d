package catalog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/siltstone-db/siltstone/schema"
)

// loader rebuilds the state from the records, which arrive in key order.
type loader struct {
	empty     bool // no record was seen
	header    header
	run       uint64
	position  schema.Seq
	lastToken uint64
	commits   uint64           // the number of the last one
	clock     *Clock           // nil if there is no record
	databases []databaseRecord // the database with id n is at n-1
	tables    []tableRecord    // the table with id n is at n-1
	files     []*schema.File
	flushed   map[schema.PartitionKey]schema.Seq

	tombstones tombstoneSet
	rollups    rollupStates

	tokens          []*schema.Token // by id
	tokenNames      map[string]bool
	datasources     []*schema.Datasource // number n is at n-1
	datasourceNames map[datasourceName]bool

	snapshot *schema.Snapshot // set by finish
}

// databaseRecord is what the records say about a database itself.
type databaseRecord struct {
	name  string
	state databaseState
}

// tableRecord collects what the records say about a table.
type tableRecord struct {
	database schema.DatabaseID
	name     string
	columns  []schema.Column
	state    tableState
	rollup   *schema.Rollup // nil: it is none
	caches   []*schema.Cache
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
	errPurged    = errors.New("something is left of what was purged")
	errToken     = errors.New("the token's id was never handed out")
)

// loadedRanges are the keys that Open reads: all but event ids, of which there may be
// very many.
var loadedRanges = []pebble.IterOptions{
	{UpperBound: []byte{byte(kindEvent)}},
	{LowerBound: prefixEnd([]byte{byte(kindEvent)})},
}

// load reads every record of the store but event ids.
func load(s *store, dir string) (*loader, error) {
	l := newLoader()
	for i := range loadedRanges {
		if err := l.read(s, dir, &loadedRanges[i]); err != nil {
			return nil, err
		}
	}
	if err := l.finish(dir); err != nil {
		return nil, err
	}
	return l, nil
}

func newLoader() *loader {
	return &loader{
		empty: true, flushed: make(map[schema.PartitionKey]schema.Seq),
		tokenNames: make(map[string]bool), datasourceNames: make(map[datasourceName]bool),
	}
}

// read takes the records of a range of keys.
func (l *loader) read(s *store, dir string, keys *pebble.IterOptions) error {
	it, err := s.db.NewIter(keys)
	if err != nil {
		return fmt.Errorf("read catalog %s: %w", dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		if err := l.record(dir, it.Key(), it.Value()); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil { // reports a failed read too
		return fmt.Errorf("read catalog %s: %w", dir, err)
	}
	return nil
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
	case kindCommits:
		return decodeSingle(key, value, &l.commits)
	case kindLastToken:
		return decodeSingle(key, value, &l.lastToken)
	case kindClock:
		return l.decodeClock(key, value)
	case kindDatabase:
		return l.decodeDatabase(key, value)
	case kindTable:
		return l.decodeTable(key, value)
	case kindColumn:
		return l.decodeColumn(key, value)
	case kindDatabaseState:
		return l.decodeDatabaseState(key, value)
	case kindTableState:
		return l.decodeTableState(key, value)
	case kindFile:
		return l.decodeFile(key, value)
	case kindTombstone:
		return l.decodeTombstone(key, value)
	case kindRollup:
		return l.decodeRollup(key, value)
	case kindRollupState:
		return l.decodeRollupState(key, value)
	case kindCache:
		return l.decodeCache(key, value)
	case kindFlushed:
		return l.decodeFlushed(key, value)
	case kindToken:
		return l.decodeToken(key, value)
	case kindDatasource:
		return l.decodeDatasource(key, value)
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

func (l *loader) decodeClock(key, value []byte) error {
	if len(key) != 1 {
		return errBadKey
	}
	k, err := decodeClock(value)
	l.clock = &k
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
	l.databases = append(l.databases, databaseRecord{name: name})
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
	c, err := decodeColumn(schema.ColumnID(id), value)
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
	t.columns = append(t.columns, c)
	return nil
}

func (l *loader) decodeDatabaseState(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	state, err := decodeDatabaseState(value)
	switch {
	case err != nil:
		return err
	case id == 0 || int(id) > len(l.databases):
		return errUnknown
	}
	l.databases[id-1].state = state
	return nil
}

func (l *loader) decodeTableState(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil {
		return err
	}
	state, err := decodeTableState(value)
	switch {
	case err != nil:
		return err
	case id == 0 || int(id) > len(l.tables):
		return errUnknown
	}
	t := &l.tables[id-1]
	switch {
	case state.purged && len(t.columns) > 0:
		return errPurged
	case state.rule != schema.PointKey && !t.hasTag(state.tag):
		return errUnknown
	}
	t.state = state
	return nil
}

func (t *tableRecord) hasTag(id schema.ColumnID) bool {
	return id > 0 && int(id) <= len(t.columns) && t.columns[id-1].Type == schema.Tag
}

func (l *loader) decodeFile(key, value []byte) error {
	id, err := key64ID(key)
	if err != nil {
		return err
	}
	f, err := decodeFile(schema.FileID(id), value)
	if err != nil {
		return err
	}
	if id == 0 || id>>runShift >= l.run {
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

func (l *loader) decodeToken(key, value []byte) error {
	id, err := key64ID(key)
	if err != nil {
		return err
	}
	t, err := decodeToken(id, value)
	switch {
	case err != nil:
		return err
	case id == 0 || id > l.lastToken:
		return errToken
	case l.tokenNames[t.Name]:
		return errDuplicate
	}
	l.tokenNames[t.Name] = true
	l.tokens = append(l.tokens, t)
	return nil
}

func (l *loader) decodeDatasource(key, value []byte) error {
	var number uint32
	if err := key32IDs(key, &number); err != nil {
		return err
	}
	d, err := decodeDatasource(value)
	switch {
	case err != nil:
		return err
	case int(number) != len(l.datasources)+1:
		return errGap
	case l.datasourceNames[nameOf(d)]:
		return errDuplicate
	}
	l.datasourceNames[nameOf(d)] = true
	l.datasources = append(l.datasources, d)
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
	if key, err := l.checkRollups(); err != nil {
		return &CorruptError{Dir: dir, Key: key, Err: err}
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
