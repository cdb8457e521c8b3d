package catalog

import (
	"fmt"

	"github.com/siltstone-db/siltstone/schema"
)

// Change makes a database, and tables and columns in it, exist.
type Change struct {
	Database string        // created if it does not exist
	Tables   []TableChange // may be empty
}

// TableChange makes a table and columns in it exist.
type TableChange struct {
	Name    string
	Columns []NewColumn // those that exist with the same type are fine
}

// NewColumn is a column that shall exist. Its id follows from the order of acceptance.
type NewColumn struct {
	Name string
	Type schema.ColumnType
}

// Define makes the change, all of it or nothing (C1), and returns a snapshot that has
// it. A change that asks for nothing new costs no I/O. The errors are *ConflictError,
// *LimitError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) Define(change Change) (*schema.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return nil, err
	}
	current := c.schema.Load()
	p := plan{limits: c.limits, databases: c.mu.databases, tables: c.mu.tables, byName: make(map[string]*tablePlan)}
	if err := p.add(current, change); err != nil {
		return nil, err
	}
	if p.isEmpty() {
		return current, nil
	}
	b := c.store.newBatch()
	newDatabases, newTables := p.write(b)
	if err := c.store.commit(b); err != nil {
		return nil, fmt.Errorf("define in database %q: %w", change.Database, err)
	}
	next := current.With(newDatabases, newTables)
	c.schema.Store(next)
	c.mu.databases, c.mu.tables = p.databases, p.tables
	return next, nil
}

// plan is what a change adds to the schema.
type plan struct {
	limits    Limits
	databases int // the last ids, as they will be
	tables    int

	database *schema.Database
	isNew    bool // database is new
	byName   map[string]*tablePlan
	ordered  []*tablePlan // tables with something new, in the order of the change
}

// tablePlan is what a change adds to one table.
type tablePlan struct {
	base  *schema.Table // as it is; without columns if it is new
	isNew bool
	added []schema.Column // ids are assigned in write
	types map[string]schema.ColumnType
}

func (p *plan) isEmpty() bool { return !p.isNew && len(p.ordered) == 0 }

func (p *plan) add(current *schema.Snapshot, change Change) error {
	if err := checkName("database", change.Database); err != nil {
		return err
	}
	db, ok := current.Database(change.Database)
	if !ok {
		if p.databases >= p.limits.Databases {
			return &LimitError{
				Kind: LimitDatabases, Database: change.Database,
				Have: p.databases, Limit: p.limits.Databases,
			}
		}
		p.databases++
		db = &schema.Database{ID: schema.DatabaseID(p.databases), Name: change.Database}
		p.isNew = true
	}
	p.database = db
	for i := range change.Tables {
		if err := p.addTable(&change.Tables[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) addTable(change *TableChange) error {
	t, err := p.table(change.Name)
	if err != nil {
		return err
	}
	for _, col := range change.Columns {
		if err := p.addColumn(t, col); err != nil {
			return err
		}
	}
	if !t.isNew && len(t.added) > 0 && p.byName[change.Name] == nil {
		p.remember(t)
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
	if p.tables >= p.limits.Tables {
		return nil, &LimitError{
			Kind: LimitTables, Database: p.database.Name, Table: name,
			Have: p.tables, Limit: p.limits.Tables,
		}
	}
	p.tables++
	t := &tablePlan{base: schema.NewTable(schema.TableID(p.tables), p.database.ID, name, nil), isNew: true}
	p.remember(t)
	return t, nil
}

func (p *plan) remember(t *tablePlan) {
	p.byName[t.base.Name] = t
	p.ordered = append(p.ordered, t)
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
	if n := len(t.base.Columns) + len(t.added); n >= p.limits.Columns {
		return &LimitError{
			Kind: LimitColumns, Database: p.database.Name, Table: t.base.Name,
			Have: n, Limit: p.limits.Columns,
		}
	}
	if t.types == nil {
		t.types = make(map[string]schema.ColumnType)
	}
	t.types[want.Name] = want.Type
	t.added = append(t.added, schema.Column{Name: want.Name, Type: want.Type})
	return nil
}

// write puts the records of all that is new into the batch.
func (p *plan) write(b *batch) (databases []*schema.Database, tables []*schema.Table) {
	if p.isNew {
		databases = []*schema.Database{p.database}
		b.put(databaseKey(p.database.ID), appendDatabase(nil, p.database.Name))
	}
	tables = make([]*schema.Table, len(p.ordered))
	for i, planned := range p.ordered {
		t := planned.base.With(planned.added)
		if planned.isNew {
			b.put(tableKey(t.ID), appendTable(nil, t.Database, t.Name))
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
