package catalog

import (
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// CreateDatabase makes a database that keeps its rows for the given time, 0 being for
// ever. The errors are *ExistsError, *LimitError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) CreateDatabase(name string, retention time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	if err := checkRetention("database", name, retention); err != nil {
		return err
	}
	p := c.newPlanLocked()
	if err := p.setDatabase(name); err != nil {
		return err
	}
	if !p.isNew {
		return &ExistsError{ObjectDatabase, name}
	}
	p.database.Retention = retention
	_, err := c.executeLocked(p)
	return err
}

// SetRetention changes how long a database keeps its rows; 0 is for ever. The errors are
// *NotFoundError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) SetRetention(name string, retention time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.databaseLocked(name)
	if err != nil {
		return err
	}
	if err := checkRetention("database", name, retention); err != nil {
		return err
	}
	if d.Retention == retention {
		return nil
	}
	d = d.WithRetention(retention)
	b := c.store.newBatch()
	b.put(databaseStateKey(d.ID), appendDatabaseState(nil, stateOfDatabase(d, nil)))
	if err := c.commitLocked(b, "set the retention period of database %q", name); err != nil {
		return err
	}
	c.schema.Store(c.schema.Load().With([]*schema.Database{d}, nil))
	return nil
}

// SetTableRetention gives a table a retention period of its own; 0 takes it away, so that the
// database's holds. The errors are *NotFoundError, for either name, ErrInvalidChange,
// ErrFailed and ErrClosed.
func (c *Catalog) SetTableRetention(database, table string, retention time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.tableLocked(database, table)
	if err != nil {
		return err
	}
	if err := checkRetention("table", table, retention); err != nil {
		return err
	}
	if t.Retention == retention {
		return nil
	}
	t = t.WithRetention(retention)
	b := c.store.newBatch()
	b.put(tableStateKey(t.ID), appendTableState(nil, stateOfTable(t, nil)))
	return c.replaceTableLocked(b, t, "set the retention period of table %q of database %q", table, database)
}

// DeleteDatabase deletes a database with its tables and frees its name. Its data is
// due to be purged at purgeAt, in nanoseconds since the Unix epoch; 0 is never. The
// errors are *NotFoundError, ErrFailed and ErrClosed.
func (c *Catalog) DeleteDatabase(name string, purgeAt int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.databaseLocked(name)
	if err != nil {
		return err
	}
	deletion := c.deletion(purgeAt)
	b := c.store.newBatch()
	b.put(databaseStateKey(d.ID), appendDatabaseState(nil, stateOfDatabase(d, &deletion)))
	if err := c.commitLocked(b, "delete database %q", name); err != nil {
		return err
	}
	c.schema.Store(c.schema.Load().WithDeleted([]*schema.DeletedDatabase{d.Delete(deletion)}))
	return nil
}

// DeleteTable deletes a table and frees its name, as DeleteDatabase does for a database.
// The errors are *NotFoundError, for either name, ErrHasRollups, ErrFailed and ErrClosed.
func (c *Catalog) DeleteTable(database, table string, purgeAt int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.tableLocked(database, table)
	if err != nil {
		return err
	}
	if rollups := c.schema.Load().Rollups(t.ID); len(rollups) > 0 {
		return fmt.Errorf("table %q %w: %q and %d more", table, ErrHasRollups, rollups[0].Name, len(rollups)-1)
	}
	deletion := c.deletion(purgeAt)
	b := c.store.newBatch()
	b.put(tableStateKey(t.ID), appendTableState(nil, stateOfTable(t, &deletion)))
	if err := c.commitLocked(b, "delete table %q of database %q", table, database); err != nil {
		return err
	}
	c.schema.Store(c.schema.Load().With(nil, []*schema.Table{t.Delete(deletion)}))
	return nil
}

// databaseLocked finds a database that is about to be changed; mu is held.
func (c *Catalog) databaseLocked(name string) (*schema.Database, error) {
	if err := c.usableLocked(); err != nil {
		return nil, err
	}
	d, ok := c.schema.Load().Database(name)
	if !ok {
		return nil, &NotFoundError{ObjectDatabase, name}
	}
	return d, nil
}

// tableLocked finds a table that is about to be changed; mu is held.
func (c *Catalog) tableLocked(database, table string) (*schema.Table, error) {
	d, err := c.databaseLocked(database)
	if err != nil {
		return nil, err
	}
	t, ok := d.Table(table)
	if !ok {
		return nil, &NotFoundError{ObjectTable, table}
	}
	return t, nil
}

func (c *Catalog) deletion(purgeAt int64) schema.Deletion {
	return schema.Deletion{At: c.nowNanoseconds(), PurgeAt: purgeAt}
}

func checkRetention(what, name string, retention time.Duration) error {
	if retention < 0 {
		return fmt.Errorf("%w: the retention period of %s %q is negative: %s", ErrInvalidChange, what, name, retention)
	}
	return nil
}

// RenameDatabase gives a database another name, which must be free. The errors are
// *NotFoundError, *ExistsError, *LimitError where the old name was an internal one,
// ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) RenameDatabase(name, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.databaseLocked(name)
	if err != nil {
		return err
	}
	if err := checkName("database", to); err != nil {
		return err
	}
	current := c.schema.Load()
	if _, ok := current.Database(to); ok {
		return &ExistsError{ObjectDatabase, to}
	}
	if d.IsInternal() {
		if have := current.LimitedDatabaseCount(); have >= c.limits.Databases {
			return &LimitError{Kind: LimitDatabases, Database: to, Have: have, Limit: c.limits.Databases}
		}
		if have := current.LimitedTableCount() + d.TableCount(); have > c.limits.Tables {
			return &LimitError{Kind: LimitTables, Database: to, Have: have, Limit: c.limits.Tables}
		}
	}
	b := c.store.newBatch()
	b.put(databaseKey(d.ID), appendDatabase(nil, to))
	if err := c.commitLocked(b, "rename database %q to %q", name, to); err != nil {
		return err
	}
	c.schema.Store(current.With([]*schema.Database{d.WithName(to)}, nil))
	return nil
}
