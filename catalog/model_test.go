package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// state is the model: what a catalog must contain, in the plainest form. Event ids are
// apart, because they become durable in another way: see remembered.
type state struct {
	Databases   map[schema.DatabaseID]databaseModel // without purged ones
	Tables      map[schema.TableID]tableModel       // likewise
	Purged      map[schema.TableID]bool
	Files       map[schema.FileID]schema.File
	Position    schema.Seq
	Flushed     map[schema.PartitionKey]schema.Seq
	Tokens      map[uint64]schema.Token
	Datasources []schema.Datasource

	// The last ids that were given.
	LastDatabase schema.DatabaseID
	LastTable    schema.TableID
	LastToken    uint64
}

type databaseModel struct {
	Name      string
	Created   int64
	Retention time.Duration
	Deleted   *schema.Deletion
}

type tableModel struct {
	Database schema.DatabaseID
	Name     string
	Columns  []schema.Column
	Key      schema.TableKey
	// Retention is the table's own.
	Retention time.Duration
	Created   int64
	Deleted   *schema.Deletion
}

// testClock is the clock of the catalogs under test and of the model, in nanoseconds.
var testClock atomic.Int64

func testNow() time.Time { return time.Unix(0, testClock.Load()) }

func newState() *state {
	return &state{
		Databases: map[schema.DatabaseID]databaseModel{},
		Tables:    map[schema.TableID]tableModel{},
		Purged:    map[schema.TableID]bool{},
		Files:     map[schema.FileID]schema.File{},
		Flushed:   map[schema.PartitionKey]schema.Seq{},
		Tokens:    map[uint64]schema.Token{},
	}
}

func (s *state) clone() *state {
	c := *s
	c.Databases, c.Tables, c.Purged = maps.Clone(s.Databases), maps.Clone(s.Tables), maps.Clone(s.Purged)
	c.Files, c.Flushed = maps.Clone(s.Files), maps.Clone(s.Flushed)
	c.Tokens, c.Datasources = maps.Clone(s.Tokens), slices.Clone(s.Datasources)
	return &c
}

// observe reads a catalog; the last ids are the only thing that its methods do not show.
func observe(c *Catalog) *state {
	s := newState()
	snapshot := c.Schema()
	for _, d := range snapshot.Databases() {
		s.Databases[d.ID] = databaseModel{d.Name, d.Created, d.Retention, nil}
	}
	for _, d := range snapshot.DeletedDatabases() {
		s.Databases[d.ID] = databaseModel{d.Name, d.Created, d.Retention, &d.Deleted}
	}
	for _, t := range c.Tokens() {
		s.Tokens[t.ID] = *t
	}
	for _, d := range c.Datasources() {
		s.Datasources = append(s.Datasources, *d)
	}
	for _, f := range c.Files() {
		s.Files[f.ID] = *f
	}
	s.Position, s.Flushed = c.Position(), c.Flushed()
	c.mu.Lock()
	s.LastDatabase, s.LastTable = schema.DatabaseID(c.mu.databases), schema.TableID(c.mu.tables)
	s.LastToken = c.mu.lastToken
	c.mu.Unlock()
	for id := schema.TableID(1); id <= s.LastTable; id++ {
		if t, ok := snapshot.TableByID(id); ok {
			s.Tables[id] = tableModel{t.Database, t.Name, t.Columns, t.Key, t.Retention, t.Created, t.Deleted}
		}
		if snapshot.IsPurged(id) {
			s.Purged[id] = true
		}
	}
	return s
}

// checkNames says whether what a snapshot finds by name agrees with what it finds by id.
func checkNames(s *schema.Snapshot, last schema.TableID) error {
	byName := make(map[schema.TableID]*schema.Table)
	for _, d := range s.Databases() {
		for _, t := range d.Tables() {
			if found, _ := d.Table(t.Name); found != t || t.Deleted != nil {
				return fmt.Errorf("table %d is listed, but not found by its name", t.ID)
			}
			byName[t.ID] = t
		}
		for _, t := range d.DeletedTables() {
			byName[t.ID] = t
		}
	}
	if len(byName) == 0 && s.TableCount() > 0 {
		return errors.New("tables are counted, but not listed")
	}
	for _, d := range s.DeletedDatabases() {
		for _, t := range d.Tables {
			byName[t.ID] = t
		}
	}
	for id := range last + 1 {
		if t, _ := s.TableByID(id); t != byName[id] {
			return fmt.Errorf("table %d is %v by id and %v in its database", id, t, byName[id])
		}
	}
	return nil
}

func (s *state) database(name string) (schema.DatabaseID, bool) {
	for id, d := range s.Databases {
		if d.Name == name && d.Deleted == nil {
			return id, true
		}
	}
	return 0, false
}

func (s *state) table(db schema.DatabaseID, name string) (schema.TableID, bool) {
	for id, t := range s.Tables {
		if t.Database == db && t.Name == name && t.Deleted == nil {
			return id, true
		}
	}
	return 0, false
}

func (s *state) exceeds(limits Limits) bool {
	databases, tables := 0, 0
	for _, d := range s.Databases {
		if d.Deleted == nil && d.Name[0] != '_' {
			databases++
		}
	}
	for _, t := range s.Tables {
		if t.Deleted == nil && s.Databases[t.Database].Name[0] != '_' {
			tables++
		}
	}
	return databases > limits.Databases || tables > limits.Tables
}

// errUndefinable stands for a ConflictError or a LimitError.
var errUndefinable = errors.New("a type conflicts or a limit is exceeded")

// createDatabase returns the state after the call and how the catalog must answer.
func (s *state) createDatabase(name string, retention time.Duration, limits Limits) (*state, error) {
	if _, ok := s.database(name); ok {
		return s, ErrExists
	}
	next := s.clone()
	next.LastDatabase++
	next.Databases[next.LastDatabase] = databaseModel{Name: name, Created: testClock.Load(), Retention: retention}
	if next.exceeds(limits) {
		return s, errUndefinable
	}
	return next, nil
}

// define stops at the first fault.
func (s *state) define(change Change, limits Limits) (*state, error) {
	next := s.clone()
	db, ok := s.database(change.Database)
	if !ok {
		next.LastDatabase++
		db = next.LastDatabase
		next.Databases[db] = databaseModel{Name: change.Database, Created: testClock.Load()}
	}
	if next.exceeds(limits) {
		return s, errUndefinable
	}
	for _, tc := range change.Tables {
		id, ok := next.table(db, tc.Name)
		if !ok {
			next.LastTable++
			id = next.LastTable
			next.Tables[id] = tableModel{Database: db, Name: tc.Name, Created: testClock.Load(), Key: tc.Key, Retention: tc.Retention}
			if next.exceeds(limits) {
				return s, errUndefinable
			}
		}
		t := next.Tables[id]
		for _, col := range tc.Columns {
			j := slices.IndexFunc(t.Columns, func(c schema.Column) bool { return c.Name == col.Name })
			if j < 0 {
				t.Columns = append(slices.Clip(t.Columns), schema.Column{
					ID: schema.ColumnID(len(t.Columns) + 1), Name: col.Name, Type: col.Type, Created: testClock.Load(),
				})
			} else if t.Columns[j].Type != col.Type {
				return s, errUndefinable
			}
		}
		if len(t.Columns) > limits.Columns && !strings.HasPrefix(change.Database, "_") {
			return s, errUndefinable
		}
		if tc.Key != (schema.TableKey{}) && tc.Key != t.Key {
			return s, ErrInvalidChange
		}
		next.Tables[id] = t
	}
	return next, nil
}

func (s *state) setRetention(name string, retention time.Duration) (*state, error) {
	id, ok := s.database(name)
	if !ok {
		return s, ErrNotFound
	}
	next := s.clone()
	d := next.Databases[id]
	d.Retention = retention
	next.Databases[id] = d
	return next, nil
}

func (s *state) setTableRetention(name, table string, retention time.Duration) (*state, error) {
	db, _ := s.database(name)
	id, ok := s.table(db, table)
	if !ok {
		return s, ErrNotFound
	}
	next := s.clone()
	t := next.Tables[id]
	t.Retention = retention
	next.Tables[id] = t
	return next, nil
}

func (s *state) deleteDatabase(name string, purgeAt int64) (*state, error) {
	id, ok := s.database(name)
	if !ok {
		return s, ErrNotFound
	}
	next, deletion := s.clone(), schema.Deletion{At: testClock.Load(), PurgeAt: purgeAt}
	d := next.Databases[id]
	d.Deleted = &deletion
	next.Databases[id] = d
	for tid, t := range next.Tables {
		if t.Database == id && t.Deleted == nil {
			t.Deleted = &deletion
			next.Tables[tid] = t
		}
	}
	return next, nil
}

func (s *state) deleteTable(database, table string, purgeAt int64) (*state, error) {
	db, _ := s.database(database)
	id, ok := s.table(db, table)
	if !ok {
		return s, ErrNotFound
	}
	next := s.clone()
	t := next.Tables[id]
	t.Deleted = &schema.Deletion{At: testClock.Load(), PurgeAt: purgeAt}
	next.Tables[id] = t
	return next, nil
}

func (s *state) purge(tables []schema.TableID, databases []schema.DatabaseID) (*state, error) {
	next := s.clone()
	doomed := make(map[schema.TableID]bool)
	for _, id := range tables {
		if s.Tables[id].Deleted == nil {
			return s, ErrInvalidChange
		}
		doomed[id] = true
	}
	for _, id := range databases {
		if s.Databases[id].Deleted == nil {
			return s, ErrInvalidChange
		}
		delete(next.Databases, id)
		for tid, t := range s.Tables {
			doomed[tid] = doomed[tid] || t.Database == id
		}
	}
	for id := range doomed {
		if doomed[id] {
			delete(next.Tables, id)
			next.Purged[id] = true
		}
	}
	maps.DeleteFunc(next.Files, func(_ schema.FileID, f schema.File) bool { return doomed[f.Table] })
	maps.DeleteFunc(next.Flushed, func(k schema.PartitionKey, _ schema.Seq) bool { return doomed[k.Table] })
	return next, nil
}

func (s *state) putToken(t schema.Token) (*state, error) {
	for id, have := range s.Tokens {
		if have.Name == t.Name && id != t.ID {
			return s, ErrExists
		}
	}
	next := s.clone()
	if t.ID == 0 {
		next.LastToken++
		t.ID, t.Created = next.LastToken, cmp.Or(t.Created, testClock.Load())
	} else if have, ok := s.Tokens[t.ID]; ok {
		t.Created = have.Created
	} else {
		return s, ErrNotFound
	}
	next.Tokens[t.ID] = t
	return next, nil
}

func (s *state) deleteToken(name string) (*state, error) {
	next := s.clone()
	maps.DeleteFunc(next.Tokens, func(_ uint64, t schema.Token) bool { return t.Name == name })
	if len(next.Tokens) == len(s.Tokens) {
		return s, ErrNotFound
	}
	return next, nil
}

func (s *state) createDatasource(d schema.Datasource) (*state, error) {
	for _, have := range s.Datasources {
		if have.Project == d.Project && have.Name == d.Name {
			return s, ErrExists
		}
	}
	next := s.clone()
	d.Created = cmp.Or(d.Created, testClock.Load())
	next.Datasources = append(next.Datasources, d)
	return next, nil
}

// commit applies a valid edit.
func (s *state) commit(e Edit) *state {
	next := s.clone()
	for _, id := range e.Remove {
		delete(next.Files, id)
	}
	for _, f := range e.Add {
		next.Files[f.ID] = *f
	}
	maps.Copy(next.Flushed, e.Flushed)
	next.Position = max(next.Position, e.Position)
	maps.DeleteFunc(next.Flushed, func(_ schema.PartitionKey, seq schema.Seq) bool { return seq <= next.Position })
	return next
}

// operation is a call that changes a catalog, with what must come of it.
type operation struct {
	name string
	call func(*Catalog) error
	next *state
	want error // nil, or what the error must match
}

// check says whether the catalog has answered as it must.
func (o *operation) check(err error) error {
	var conflict *ConflictError
	var limit *LimitError
	refused := errors.As(err, &conflict) || errors.As(err, &limit)
	if errors.Is(err, o.want) || errors.Is(o.want, errUndefinable) && refused {
		return nil
	}
	return fmt.Errorf("%s: got %w, want %v", o.name, err, o.want)
}

// randomOperation makes an operation that is valid more often than not, and lets the
// clock go on. It takes the ids of new files from nextFile.
func randomOperation(rng *rand.Rand, s *state, limits Limits, nextFile func() schema.FileID) *operation {
	testClock.Add(1 + rng.Int64N(1e9))
	switch n := rng.IntN(100); {
	case n < 30:
		return defineOperation(s, randomChange(rng), limits)
	case n < 60:
		e := randomEdit(rng, s, nextFile)
		return &operation{fmt.Sprintf("commit %+v", e), func(c *Catalog) error { return c.Commit(e) }, s.commit(e), nil}
	case n < 80:
		return randomDatabaseOperation(rng, s, limits)
	case n < 88:
		tables, databases := randomDoomed(rng, s)
		next, want := s.purge(tables, databases)
		return &operation{fmt.Sprintf("purge tables %d, databases %d", tables, databases), func(c *Catalog) error {
			return c.Purge(tables, databases)
		}, next, want}
	default:
		return randomAccessOperation(rng, s)
	}
}

func defineOperation(s *state, change Change, limits Limits) *operation {
	next, want := s.define(change, limits)
	return &operation{fmt.Sprintf("define %+v", change), func(c *Catalog) error {
		_, err := c.Define(change)
		return err
	}, next, want}
}

func randomDatabaseOperation(rng *rand.Rand, s *state, limits Limits) *operation {
	name, table := randomDatabase(rng), randomTable(rng)
	retention, purgeAt := time.Duration(rng.IntN(3))*time.Hour, rng.Int64N(2)*rng.Int64()
	switch rng.IntN(7) {
	case 6:
		next, want := s.setTableRetention(name, table, retention)
		return &operation{"retain " + table + " of " + name, func(c *Catalog) error {
			return c.SetTableRetention(name, table, retention)
		}, next, want}
	case 0:
		next, want := s.createDatabase(name, retention, limits)
		return &operation{"create " + name, func(c *Catalog) error { return c.CreateDatabase(name, retention) }, next, want}
	case 1:
		next, want := s.setRetention(name, retention)
		return &operation{"retain " + name, func(c *Catalog) error { return c.SetRetention(name, retention) }, next, want}
	case 2:
		next, want := s.deleteDatabase(name, purgeAt)
		return &operation{"delete " + name, func(c *Catalog) error { return c.DeleteDatabase(name, purgeAt) }, next, want}
	default:
		next, want := s.deleteTable(name, table, purgeAt)
		return &operation{"delete " + table + " of " + name, func(c *Catalog) error {
			return c.DeleteTable(name, table, purgeAt)
		}, next, want}
	}
}

func randomAccessOperation(rng *rand.Rand, s *state) *operation {
	name := fmt.Sprint("token ", rng.IntN(5))
	switch rng.IntN(4) {
	case 0:
		next, want := s.deleteToken(name)
		return &operation{"delete " + name, func(c *Catalog) error { return c.DeleteToken(name) }, next, want}
	case 1:
		d := schema.Datasource{Project: fmt.Sprint(rng.IntN(3)), Name: fmt.Sprint(rng.IntN(3)), Database: randomDatabase(rng)}
		next, want := s.createDatasource(d)
		return &operation{"create datasource", func(c *Catalog) error { return c.CreateDatasource(d) }, next, want}
	default:
		t := schema.Token{Name: name, Admin: rng.IntN(2) == 0, Expiry: rng.Int64N(2) * rng.Int64()}
		if rng.IntN(2) == 0 {
			t.ID = rng.Uint64N(s.LastToken + 2)
		}
		t.Hash[rng.IntN(len(t.Hash))] = byte(rng.Uint32())
		for range rng.IntN(3) {
			t.Permissions = append(t.Permissions, schema.Permission{
				Database: randomDatabase(rng), Read: rng.IntN(2) == 0, Write: rng.IntN(2) == 0,
			})
		}
		next, want := s.putToken(t)
		return &operation{"put " + name, func(c *Catalog) error {
			_, err := c.PutToken(t)
			return err
		}, next, want}
	}
}

// randomDoomed chooses among what is deleted, and now and then something that is not.
func randomDoomed(rng *rand.Rand, s *state) (tables []schema.TableID, databases []schema.DatabaseID) {
	for id := range s.LastTable {
		if t, ok := s.Tables[id+1]; ok && t.Deleted != nil && rng.IntN(3) == 0 || rng.IntN(60) == 0 {
			tables = append(tables, id+1)
		}
	}
	for id := range s.LastDatabase {
		if d, ok := s.Databases[id+1]; ok && d.Deleted != nil && rng.IntN(2) == 0 || rng.IntN(60) == 0 {
			databases = append(databases, id+1)
		}
	}
	return tables, databases
}

// randomDatabase uses few names, one of them internal.
func randomDatabase(rng *rand.Rand) string {
	return []string{"db0", "db1", "db2", "db3", "_internal"}[rng.IntN(5)]
}

func randomTable(rng *rand.Rand) string { return fmt.Sprintf("table %d", rng.IntN(8)) }

// randomChange uses few names, so that most of them exist already and types clash at times.
func randomChange(rng *rand.Rand) Change {
	change := Change{Database: randomDatabase(rng)}
	for range rng.IntN(4) {
		t := TableChange{Name: randomTable(rng)}
		for range rng.IntN(5) {
			name := rng.IntN(7)
			typ := schema.ColumnType(1 + name%6)
			if rng.IntN(40) == 0 {
				typ = schema.ColumnType(1 + rng.IntN(6))
			}
			t.Columns = append(t.Columns, NewColumn{fmt.Sprintf("column %d", name), typ})
		}
		if rng.IntN(5) == 0 {
			t.Key = schema.TableKey{Rule: schema.KeyRule(1 + rng.IntN(2)), Tag: "key"}
			t.Columns = append(t.Columns, NewColumn{"key", schema.Tag})
		}
		change.Tables = append(change.Tables, t)
	}
	return change
}

// randomEdit makes a valid edit; it takes the ids of new files from next.
func randomEdit(rng *rand.Rand, s *state, next func() schema.FileID) Edit {
	var e Edit
	for _, id := range slices.Sorted(maps.Keys(s.Files)) {
		if rng.IntN(4) == 0 {
			e.Remove = append(e.Remove, id)
		}
	}
	if rng.IntN(3) == 0 {
		e.Position = s.Position + schema.Seq(rng.IntN(20))
	}
	if len(s.Tables) == 0 {
		return e
	}
	for range rng.IntN(4) {
		e.Add = append(e.Add, randomFile(rng, s, next()))
	}
	e.Flushed = map[schema.PartitionKey]schema.Seq{}
	for range rng.IntN(3) {
		k := randomPartition(rng, s)
		e.Flushed[k] = max(s.Position, s.Flushed[k]) + schema.Seq(rng.IntN(30))
	}
	return e
}

// randomPartition is one of a table that is not purged, be it deleted or not.
func randomPartition(rng *rand.Rand, s *state) schema.PartitionKey {
	ids := slices.Sorted(maps.Keys(s.Tables))
	id := ids[rng.IntN(len(ids))]
	return schema.PartitionKey{
		Database: s.Tables[id].Database, Table: id, Day: schema.Day(rng.IntN(5) - 2),
	}
}

func randomFile(rng *rand.Rand, s *state, id schema.FileID) *schema.File {
	k := randomPartition(rng, s)
	f := &schema.File{
		ID: id, Database: k.Database, Table: k.Table,
		DayMin: k.Day, DayMax: k.Day + schema.Day(rng.IntN(3)),
		Rows: rng.Uint64(), Bytes: 1 + rng.Uint64N(1<<40), Order: rng.Uint64N(50), CRC32C: rng.Uint32(),
	}
	if rng.IntN(3) > 0 {
		f.FooterBytes, f.FooterCRC32C = rng.Uint64N(f.Bytes)+1, rng.Uint32()
	}
	f.Time.Min = int64(rng.Uint64()>>1) - rng.Int64()
	f.Time.Max = f.Time.Min/2 + 1<<62
	f.Seq = schema.SeqRange{Min: schema.Seq(rng.Uint64N(1 << 20)), Max: schema.Seq(1<<20 + rng.Uint64N(1<<20))}
	for _, col := range s.Tables[k.Table].Columns {
		if rng.IntN(3) > 0 {
			f.Columns = append(f.Columns, randomStats(rng, col.ID, col.Type))
		}
	}
	return f
}

func randomStats(rng *rand.Rand, id schema.ColumnID, typ schema.ColumnType) schema.ColumnStats {
	s := schema.ColumnStats{Column: id, Nulls: rng.Uint64N(1 << uint(rng.IntN(63)))}
	switch typ {
	case schema.Tag, schema.String:
		s.Min = schema.SortableStringMin("") // empty, but known
		if rng.IntN(2) == 0 {
			s.Max = schema.SortableStringMax(string(make([]byte, rng.IntN(100))))
		}
	case schema.Bool:
		s.Min, s.Max = schema.SortableBool(false), schema.SortableBool(true)
	default:
		if rng.IntN(2) == 0 {
			s.Min, s.Max = schema.SortableInt64(-rng.Int64()), schema.SortableInt64(rng.Int64())
		}
	}
	return s
}
