package catalog

import (
	"github.com/siltstone-db/siltstone/schema"
)

// schemaBuilder sorts what was loaded by what has become of it: what exists, what was
// deleted, and what was purged.
type schemaBuilder struct {
	databases []*schema.Database
	tables    []*schema.Table // those of databases
	deleted   []*schema.DeletedDatabase
	purged    []schema.TableID

	deletedByID map[schema.DatabaseID]*schema.DeletedDatabase
}

// buildSnapshot makes the schema and refuses names that occur twice, of which a
// snapshot would keep only one.
func (l *loader) buildSnapshot(dir string) error {
	b := schemaBuilder{deletedByID: make(map[schema.DatabaseID]*schema.DeletedDatabase)}
	if key, err := b.addDatabases(l.databases); err != nil {
		return &CorruptError{Dir: dir, Key: key, Err: err}
	}
	for i := range l.tables {
		if key, err := b.addTable(l.databases, schema.TableID(i+1), &l.tables[i]); err != nil {
			return &CorruptError{Dir: dir, Key: key, Err: err}
		}
	}
	l.snapshot = new(schema.Snapshot).With(b.databases, b.tables).WithDeleted(b.deleted).WithPurged(b.purged, nil)
	if t := b.nameTwice(l.snapshot); t != nil {
		return &CorruptError{Dir: dir, Key: tableKey(t.ID), Err: errDuplicate}
	}
	return nil
}

// addDatabases returns the key of the record at fault, if there is one.
func (b *schemaBuilder) addDatabases(records []databaseRecord) (key []byte, err error) {
	names := make(map[string]bool, len(records))
	for i := range records {
		id, name, state := schema.DatabaseID(i+1), records[i].name, &records[i].state
		d := &schema.Database{ID: id, Name: name, Created: state.created, Retention: state.retention}
		switch {
		case state.purged:
		case state.deleted != nil:
			b.deletedByID[id] = d.Delete(*state.deleted)
			b.deleted = append(b.deleted, b.deletedByID[id])
		case names[name]:
			return databaseKey(id), errDuplicate
		default:
			names[name] = true
			b.databases = append(b.databases, d)
		}
	}
	return nil, nil
}

// addTable returns the key of the record at fault, if there is one.
func (b *schemaBuilder) addTable(databases []databaseRecord, id schema.TableID, r *tableRecord) (key []byte, err error) {
	if r.state.purged {
		b.purged = append(b.purged, id)
		return nil, nil
	}
	if databases[r.database-1].state.purged {
		return tableKey(id), errPurged
	}
	t := r.table(id)
	for _, c := range t.Columns {
		if found, _ := t.Column(c.Name); found.ID != c.ID {
			return columnKey(id, found.ID), errDuplicate
		}
	}
	if d := b.deletedByID[r.database]; d != nil {
		d.Tables = append(d.Tables, t.Delete(d.Deleted))
	} else {
		b.tables = append(b.tables, t)
	}
	return nil, nil
}

func (r *tableRecord) table(id schema.TableID) *schema.Table {
	t := schema.NewTable(id, r.database, r.name, r.columns)
	t.Created, t.Deleted, t.Key.Rule, t.Retention = r.state.created, r.state.deleted, r.state.rule, r.state.retention
	t.Rollup, t.Caches = r.rollup, r.caches
	if tag, ok := t.ColumnByID(r.state.tag); ok {
		t.Key.Tag = tag.Name
	}
	return t
}

// nameTwice returns a table that has the name of another of its database, or nil.
func (b *schemaBuilder) nameTwice(s *schema.Snapshot) *schema.Table {
	for _, t := range b.tables {
		if t.Deleted != nil {
			continue
		}
		d, _ := s.Database(s.DatabaseName(t.Database))
		if found, _ := d.Table(t.Name); found != t {
			return found
		}
	}
	return nil
}
