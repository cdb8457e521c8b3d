package catalog

import (
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Change makes a database, and tables and columns in it, exist.
type Change struct {
	Database  string        // created if it does not exist
	MustExist bool          // the database is not created
	Tables    []TableChange // may be empty
}

// TableChange makes a table and columns in it exist.
type TableChange struct {
	Name string
	// ID is that of the table that is meant, which may have been deleted since; 0 means
	// the one with the name, which is created if there is none.
	ID schema.TableID
	// MustBeNew refuses a table that exists.
	MustBeNew bool
	Columns   []NewColumn // those that exist with the same type are fine
	// Key is given to a table that is new; its tag must then be among Columns. For one
	// that exists the zero Key asks for nothing, and another must be the one it has.
	Key schema.TableKey
	// Retention is the retention period of its own that a table that is new gets; 0 is none.
	Retention time.Duration
	// Rollup makes a rollup of a table that is new, all of which is stale from FrozenBefore on.
	Rollup       *schema.Rollup
	FrozenBefore int64
	// Caches are those that a table that is new gets.
	Caches []*schema.Cache

	ofSource bool // the columns are tags that the source of a rollup gets
}

// NewColumn is a column that shall exist. Its id follows from the order of acceptance.
type NewColumn struct {
	Name string
	Type schema.ColumnType
}

// Define makes the change, all of it or nothing (C1), and returns a snapshot that has
// it. A change that asks for nothing new costs no I/O. The errors are *ConflictError,
// *LimitError, *NotFoundError, *ExistsError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) Define(change Change) (*schema.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return nil, err
	}
	p := c.newPlanLocked()
	if err := p.add(change); err != nil {
		return nil, err
	}
	if p.isEmpty() {
		return p.current, nil
	}
	return c.executeLocked(p)
}

// plan is what a change adds to the schema.
type plan struct {
	current *schema.Snapshot
	limits  Limits
	now     int64

	lastDatabase int // the last ids, as they will be
	lastTable    int

	database  *schema.Database
	isNew     bool // database is new
	newTables int
	byName    map[string]*tablePlan
	ordered   []*tablePlan // tables with something new, in the order of the change
	rollups   []*schema.RollupState
}

// tablePlan is what a change adds to one table.
type tablePlan struct {
	base  *schema.Table // as it is; without columns if it is new
	isNew bool
	added []schema.Column // ids are assigned in write
	types map[string]schema.ColumnType
}

// newPlanLocked begins a plan for what is defined now; mu is held.
func (c *Catalog) newPlanLocked() *plan {
	return &plan{
		current: c.schema.Load(), limits: c.limits, now: c.nowNanoseconds(),
		lastDatabase: c.mu.databases, lastTable: c.mu.tables, byName: make(map[string]*tablePlan),
	}
}

// executeLocked makes a plan durable, then visible; mu is held.
func (c *Catalog) executeLocked(p *plan) (*schema.Snapshot, error) {
	b := c.store.newBatch()
	databases, tables := p.write(b)
	files := *c.files.Load()
	files.rollups = files.rollups.with(b, p.rollups...)
	if err := c.commitLocked(b, "define in database %q", p.database.Name); err != nil {
		return nil, err
	}
	if len(p.rollups) > 0 {
		c.files.Store(&files)
	}
	next := p.current.With(databases, tables)
	c.schema.Store(next)
	c.mu.databases, c.mu.tables = p.lastDatabase, p.lastTable
	return next, nil
}

func (p *plan) isEmpty() bool { return !p.isNew && len(p.ordered) == 0 }

func (p *plan) add(change Change) error {
	if _, ok := p.current.Database(change.Database); !ok && change.MustExist {
		return &NotFoundError{ObjectDatabase, change.Database}
	}
	if err := p.setDatabase(change.Database); err != nil {
		return err
	}
	for i := range change.Tables {
		if err := p.addTable(&change.Tables[i]); err != nil {
			return err
		}
	}
	for _, t := range p.ordered { // which grows
		if err := p.addTagsToRollups(t); err != nil {
			return err
		}
	}
	return nil
}

// setDatabase finds the database of the plan, or makes it.
func (p *plan) setDatabase(name string) error {
	if err := checkName("database", name); err != nil {
		return err
	}
	if d, ok := p.current.Database(name); ok {
		p.database = d
		return nil
	}
	p.lastDatabase++
	p.isNew = true
	p.database = &schema.Database{ID: schema.DatabaseID(p.lastDatabase), Name: name, Created: p.now}
	have, limit := p.current.LimitedDatabaseCount(), p.limits.Databases
	if have >= limit && !p.database.IsInternal() {
		return &LimitError{Kind: LimitDatabases, Database: name, Have: have, Limit: limit}
	}
	return nil
}

func (p *plan) addTable(change *TableChange) error {
	have, exists := p.database.Table(change.Name)
	switch {
	case change.ID != 0 && (!exists || have.ID != change.ID):
		return &NotFoundError{ObjectTable, change.Name}
	case change.MustBeNew && exists:
		return &ExistsError{ObjectTable, change.Name}
	case exists && have.Rollup != nil && !change.ofSource:
		return fmt.Errorf("table %q %w", change.Name, ErrReadOnlyRollup)
	}
	t, err := p.table(change.Name)
	if err != nil {
		return err
	}
	for _, col := range change.Columns {
		if err := p.addColumn(t, col); err != nil {
			return err
		}
	}
	isKnown := p.byName[change.Name] != nil
	if t.isNew && !isKnown {
		if err := checkRetention("table", change.Name, change.Retention); err != nil {
			return err
		}
		t.base.Retention = change.Retention
	}
	if err := t.setKey(change.Key, t.isNew && !isKnown); err != nil {
		return err
	}
	if change.Rollup != nil {
		if !t.isNew || isKnown {
			return &ExistsError{ObjectTable, change.Name}
		}
		if err := p.setRollup(t, change); err != nil {
			return err
		}
	}
	if t.isNew && !isKnown {
		t.base.Caches = change.Caches
	}
	if !isKnown && (t.isNew || len(t.added) > 0) {
		p.byName[change.Name] = t
		p.ordered = append(p.ordered, t)
	}
	return nil
}

// table returns the plan for a table: what an earlier part of the change has begun,
// or a fresh one, which addTable remembers when something is added.
func (p *plan) table(name string) (*tablePlan, error) {
	if t := p.byName[name]; t != nil {
		return t, nil
	}
	if base, ok := p.database.Table(name); ok {
		return &tablePlan{base: base}, nil
	}
	if err := checkName("table", name); err != nil {
		return nil, err
	}
	have, limit := p.current.LimitedTableCount()+p.newTables, p.limits.Tables
	if have >= limit && !p.database.IsInternal() {
		return nil, &LimitError{Kind: LimitTables, Database: p.database.Name, Table: name, Have: have, Limit: limit}
	}
	p.newTables++
	p.lastTable++
	base := schema.NewTable(schema.TableID(p.lastTable), p.database.ID, name, nil)
	base.Created = p.now
	return &tablePlan{base: base, isNew: true}, nil
}

// setKey gives the key to a table that the change has just begun; one that has a key
// already keeps it.
func (t *tablePlan) setKey(key schema.TableKey, fresh bool) error {
	if !fresh {
		if key != (schema.TableKey{}) && key != t.base.Key {
			return fmt.Errorf("%w: table %q has the key %+v, not %+v", ErrInvalidChange, t.base.Name, t.base.Key, key)
		}
		return nil
	}
	switch {
	case !key.Rule.Valid():
		return fmt.Errorf("%w: table %q: unknown key rule %s", ErrInvalidChange, t.base.Name, key.Rule)
	case key.Rule == schema.PointKey && key.Tag != "":
		return fmt.Errorf("%w: table %q: a point key has no tag, but %q is given", ErrInvalidChange, t.base.Name, key.Tag)
	case key.Rule != schema.PointKey && t.types[key.Tag] != schema.Tag:
		return fmt.Errorf("%w: table %q: the key's tag %q is not among the columns", ErrInvalidChange, t.base.Name, key.Tag)
	}
	t.base.Key = key
	return nil
}

func (p *plan) addColumn(t *tablePlan, want NewColumn) error {
	have, ok := t.types[want.Name]
	if base, exists := t.base.Column(want.Name); exists {
		have, ok = base.Type, true
	}
	if ok {
		if have != want.Type {
			return &ConflictError{Table: t.base.Name, Column: want.Name, Have: have, Want: want.Type}
		}
		return nil
	}
	if err := checkColumn(t.base.Name, want); err != nil {
		return err
	}
	if n := len(t.base.Columns) + len(t.added); n >= p.limits.Columns && !p.database.IsInternal() {
		return &LimitError{
			Kind: LimitColumns, Database: p.database.Name, Table: t.base.Name,
			Have: n, Limit: p.limits.Columns,
		}
	}
	if t.types == nil {
		t.types = make(map[string]schema.ColumnType)
	}
	t.types[want.Name] = want.Type
	t.added = append(t.added, schema.Column{Name: want.Name, Type: want.Type, Created: p.now})
	return nil
}

// write puts the records of all that is new into the batch.
func (p *plan) write(b *batch) (databases []*schema.Database, tables []*schema.Table) {
	if p.isNew {
		databases = []*schema.Database{p.database}
		b.put(databaseKey(p.database.ID), appendDatabase(nil, p.database.Name))
		b.put(databaseStateKey(p.database.ID), appendDatabaseState(nil, stateOfDatabase(p.database, nil)))
	}
	tables = make([]*schema.Table, len(p.ordered))
	for i, planned := range p.ordered {
		t := planned.base.With(planned.added)
		if planned.isNew {
			b.put(tableKey(t.ID), appendTable(nil, t.Database, t.Name))
			b.put(tableStateKey(t.ID), appendTableState(nil, stateOfTable(t, nil)))
			if t.Rollup != nil {
				b.put(rollupKey(t.ID), appendRollup(nil, t.Rollup))
			}
			for _, c := range t.Caches {
				b.put(cacheKey(t.ID, c.ID), appendCache(nil, c))
			}
		}
		for _, col := range t.Columns[len(planned.base.Columns):] {
			b.put(columnKey(t.ID, col.ID), appendColumn(nil, col))
		}
		tables[i] = t
	}
	return databases, tables
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the name of a %s is empty", ErrInvalidChange, what)
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%w: the name of a %s has %d bytes, more than %d", ErrInvalidChange, what, len(name), MaxNameBytes)
	}
	return nil
}

func checkColumn(table string, c NewColumn) error {
	if err := checkName("column", c.Name); err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	switch {
	case c.Name == schema.TimeColumn:
		return fmt.Errorf("%w: table %q: column %q is reserved", ErrInvalidChange, table, c.Name)
	case !c.Type.Valid():
		return fmt.Errorf("%w: table %q: column %q has type %s", ErrInvalidChange, table, c.Name, c.Type)
	}
	return nil
}
