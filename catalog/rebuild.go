package catalog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/siltstone-db/siltstone/schema"
)

// Remains is what is left of a catalog, for a new one to be built from: every record that
// verifies, and what the Parquet files say where records are lost. It is used by one
// goroutine.
//
// Records are taken one by one. Nothing is concluded from one that is missing, except
// that its id was taken: ids keep their meaning, because paths of files and records of
// the log are made of them. Build gives what is needed for that a name of its own.
type Remains struct {
	// Lost lists the records that do not verify. A record that is gone altogether is not
	// among them: nobody knows of it.
	Lost []LostRecord
	// Unreadable says why not all records could be looked at, nil if they could as far as is
	// known.
	Unreadable error
	// Notes say how it was read, one sentence each, if not as usual.
	Notes []string

	header    *header
	run       uint64
	position  schema.Seq
	lastToken uint64
	commits   uint64
	clock     *Clock

	databases   map[schema.DatabaseID]*databaseRecord
	tables      map[schema.TableID]*tableRemains
	files       map[schema.FileID]*schema.File
	flushed     map[schema.PartitionKey]schema.Seq
	tombstones  []*schema.Tombstone
	rollups     rollupStates
	tokens      []*schema.Token
	datasources []*schema.Datasource

	store *store    // the old one, for event ids; nil if there is none
	raw   *rawStore // in its place, where Pebble could not open it
}

// LostRecord is a record that does not verify.
type LostRecord struct {
	Key []byte // see docs/format/catalog.md
	Err error
}

func (l LostRecord) String() string { return fmt.Sprintf("%s: %v", describeKey(l.Key), l.Err) }

// tableRemains is what is known of a table. What is not known is zero.
type tableRemains struct {
	database schema.DatabaseID
	name     string
	columns  map[schema.ColumnID]schema.Column
	state    tableState
	hasState bool
	rollup   *schema.Rollup
	caches   []*schema.Cache
}

// NewRemains returns the remains of a catalog that is gone.
func NewRemains() *Remains {
	return &Remains{
		databases: make(map[schema.DatabaseID]*databaseRecord), tables: make(map[schema.TableID]*tableRemains),
		files: make(map[schema.FileID]*schema.File), flushed: make(map[schema.PartitionKey]schema.Seq),
		rollups: make(rollupStates),
	}
}

// ReadRemains reads what verifies of the catalog in o.Dir, and changes nothing. The errors
// are *VersionError and those of reading that have nothing to do with damage; what is damaged
// or gone is no error. Close releases the directory.
func ReadRemains(o Options) (*Remains, error) {
	o.EnsureDefaults()
	r, err := readStore(&o)
	if err != nil || !r.isFrameBroken(o.Dir) {
		return r, err
	}
	return r.withoutFrame(&o)
}

// readStore reads what Pebble shows.
func readStore(o *Options) (*Remains, error) {
	r := NewRemains()
	s, err := openReadOnly(o)
	if err != nil {
		if errors.Is(err, ErrNoCatalog) || isDamage(err) {
			r.Unreadable = err
			return r, nil
		}
		return nil, err
	}
	r.store = s
	for k := kindHeader; k < kindEvent; k++ {
		if err := r.readKind(k, o.Dir); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	if r.Unreadable == nil { // without a word from Pebble the last commits may be missing
		r.Unreadable = compareAcknowledged(o.Dir, r.commits, lastAcknowledged(o.FS, o.Dir))
	}
	return r, nil
}

// Close releases the old store. Closing again does nothing.
func (r *Remains) Close() error {
	if r.store != nil {
		// Nothing was written: what Pebble says of its end does not matter.
		_ = r.store.close()
		r.store = nil
	}
	return nil
}

// readKind reads the records of a kind from the front, and where that ends at damage,
// from the back.
func (r *Remains) readKind(k kind, dir string) error {
	seen := make(map[string]bool)
	for _, back := range []bool{false, true} {
		var fault error
		err := r.scan([]byte{byte(k)}, back, func(key, stored []byte) error {
			if seen[string(key)] {
				return nil
			}
			seen[string(key)] = true
			return r.record(dir, key, stored)
		}, &fault)
		if err != nil {
			return err
		}
		if fault == nil {
			return nil
		}
		r.Unreadable = fmt.Errorf("read catalog %s: %w", dir, fault)
	}
	return nil
}

// scan visits the records under a prefix until one cannot be read, which it notes in fault.
func (r *Remains) scan(prefix []byte, back bool, visit func(key, stored []byte) error, fault *error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			*fault = fmt.Errorf("panic: %v", p)
		}
	}()
	it, openErr := r.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if openErr != nil {
		*fault = openErr
		return nil
	}
	first, next := it.First, it.Next
	if back {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok && err == nil; ok = next() {
		err = visit(it.Key(), it.Value())
	}
	*fault = it.Close()
	return err
}

// record takes one record. The error is a *VersionError.
func (r *Remains) record(dir string, key, stored []byte) error {
	value, err := unseal(key, stored)
	if err == nil {
		err = r.decode(key, value)
	}
	if newer := new(VersionError); errors.As(err, &newer) {
		newer.Dir = dir
		return newer
	}
	if err != nil {
		r.Lost = append(r.Lost, LostRecord{slices.Clone(key), err})
	}
	return nil
}

func (r *Remains) decode(key, value []byte) error {
	switch kind(key[0]) {
	case kindHeader:
		h, err := decodeHeader(value)
		if err == nil && h.format > formatVersion {
			return &VersionError{Have: h.format, Supported: formatVersion}
		}
		if err == nil {
			r.header = &h
		}
		return err
	case kindRun:
		return decodeSingle(key, value, &r.run)
	case kindPosition:
		return decodeSingle(key, value, (*uint64)(&r.position))
	case kindCommits:
		return decodeSingle(key, value, &r.commits) // a new catalog counts anew
	case kindLastToken:
		return decodeSingle(key, value, &r.lastToken)
	case kindClock:
		k, err := decodeClock(value)
		if err == nil {
			r.clock = &k
		}
		return err
	case kindDatabase, kindDatabaseState:
		return r.decodeDatabase(key, value)
	case kindTable, kindColumn, kindTableState:
		return r.decodeTable(key, value)
	case kindFile:
		return r.decodeFile(key, value)
	case kindTombstone:
		return r.decodeTombstone(key, value)
	case kindRollup, kindRollupState:
		return r.decodeRollup(key, value)
	case kindCache:
		return r.decodeCache(key, value)
	case kindFlushed:
		k, err := parseFlushedKey(key)
		var seq uint64
		if err == nil {
			seq, err = decodeNumber(value)
		}
		if err == nil {
			r.flushed[k] = schema.Seq(seq)
		}
		return err
	case kindToken, kindDatasource:
		return r.decodeAccess(key, value)
	}
	return errBadKey
}

func (r *Remains) decodeDatabase(key, value []byte) error {
	var id uint32
	if err := key32IDs(key, &id); err != nil || id == 0 {
		return errBadKey
	}
	if kind(key[0]) == kindDatabaseState {
		state, err := decodeDatabaseState(value)
		if err == nil {
			r.database(schema.DatabaseID(id)).state = state
		}
		return err
	}
	name, err := decodeDatabase(value)
	if err == nil {
		r.database(schema.DatabaseID(id)).name = name
	}
	return err
}

func (r *Remains) decodeTable(key, value []byte) error {
	var id, column uint32
	if kind(key[0]) == kindColumn {
		if err := key32IDs(key, &id, &column); err != nil || id == 0 || column == 0 {
			return errBadKey
		}
		c, err := decodeColumn(schema.ColumnID(column), value)
		if err == nil {
			r.table(schema.TableID(id)).columns[c.ID] = c
		}
		return err
	}
	if err := key32IDs(key, &id); err != nil || id == 0 {
		return errBadKey
	}
	if kind(key[0]) == kindTableState {
		state, err := decodeTableState(value)
		if err == nil {
			t := r.table(schema.TableID(id))
			t.state, t.hasState = state, true
		}
		return err
	}
	db, name, err := decodeTable(value)
	if err == nil && db == 0 {
		err = errUnknown
	}
	if err == nil {
		t := r.table(schema.TableID(id))
		t.database, t.name = db, name
	}
	return err
}

func (r *Remains) decodeFile(key, value []byte) error {
	id, err := key64ID(key)
	if err != nil {
		return err
	}
	f, err := decodeFile(schema.FileID(id), value)
	if err == nil {
		r.files[f.ID] = f
	}
	return err
}

func (r *Remains) decodeAccess(key, value []byte) error {
	if kind(key[0]) == kindDatasource {
		d, err := decodeDatasource(value)
		if err == nil {
			r.datasources = append(r.datasources, d)
		}
		return err
	}
	id, err := key64ID(key)
	if err != nil {
		return err
	}
	t, err := decodeToken(id, value)
	if err == nil {
		r.tokens = append(r.tokens, t)
		r.lastToken = max(r.lastToken, id)
	}
	return err
}

// database returns what is known of a database, which from now on there is.
func (r *Remains) database(id schema.DatabaseID) *databaseRecord {
	d := r.databases[id]
	if d == nil {
		d = new(databaseRecord)
		r.databases[id] = d
	}
	return d
}

func (r *Remains) table(id schema.TableID) *tableRemains {
	t := r.tables[id]
	if t == nil {
		t = &tableRemains{columns: make(map[schema.ColumnID]schema.Column)}
		r.tables[id] = t
	}
	return t
}

// IsWhole reports whether nothing is known to be lost.
func (r *Remains) IsWhole() bool { return r.Unreadable == nil && len(r.Lost) == 0 && r.header != nil }

// Files returns the descriptions of files that verify, by id.
func (r *Remains) Files() map[schema.FileID]*schema.File { return r.files }

// maxRunGap is how many openings there must be left behind a file that is believed: the
// number in the name of a stray file must not use them up.
const maxRunGap = 1 << 20

// FileFacts are what a Parquet file says of its table.
type FileFacts struct {
	Database, Table string
	Columns         []schema.Column // of the file, and others of the table
	Rule            schema.KeyRule
	Tag             schema.ColumnID
}

// Learn takes what an intact file says, as far as no record that verifies says it. The
// error says that the file contradicts what is known; then it is not taken.
func (r *Remains) Learn(f *schema.File, facts FileFacts) error {
	if f.Database == 0 || f.Table == 0 || f.ID == 0 || uint64(f.ID)>>runShift+maxRunGap >= runLimit {
		return errUnknown
	}
	if d := r.databases[f.Database]; d != nil && d.name != "" && d.name != facts.Database {
		return fmt.Errorf("it is of database %q, but lies where those of %q are", facts.Database, d.name)
	}
	if known := r.tables[f.Table]; known != nil {
		switch {
		case known.name != "" && known.name != facts.Table:
			return fmt.Errorf("it is of table %q, but lies where those of %q are", facts.Table, known.name)
		case known.state.purged:
			return errPurged
		case known.database != 0 && known.database != f.Database:
			return fmt.Errorf("table %d is in database %d, not %d", f.Table, known.database, f.Database)
		}
		for _, c := range facts.Columns {
			if have, ok := known.columns[c.ID]; ok && (have.Type != c.Type || have.Name != c.Name) {
				return fmt.Errorf("column %d of table %d is %q of type %s, not %q of type %s", c.ID, f.Table, have.Name, have.Type, c.Name, c.Type)
			}
		}
	}
	if d := r.database(f.Database); d.name == "" {
		d.name = facts.Database
	}
	t := r.table(f.Table)
	t.database = f.Database
	if t.name == "" {
		t.name = facts.Table
	}
	for _, c := range facts.Columns {
		if _, ok := t.columns[c.ID]; !ok {
			t.columns[c.ID] = c
		}
	}
	if !t.hasState && facts.Rule != schema.PointKey {
		t.state.rule, t.state.tag = facts.Rule, facts.Tag
	}
	r.files[f.ID] = f
	return nil
}
