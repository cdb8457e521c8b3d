package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// What is deleted is out of sight at once and its name is free, but its rows stay until
// they are purged, at the time that the deletion gave, as far as the clock is believed
// (clock.go). A purge is one commit of the catalog; the files go after it, when no view
// reads them any more, at the latest at the next start. Log records of a purged table are
// skipped by a replay.

// purgeInterval is how late a purge may come.
const purgeInterval = time.Minute

// purgeDue purges what is due at a time. Nothing is flushed meanwhile.
func (e *Engine) purgeDue(now int64) error {
	if databases, tables := due(e.catalog.Schema(), now); len(databases)+len(tables) == 0 {
		return nil // without waiting for a flush
	}
	e.flusher.mu.Lock()
	defer e.flusher.mu.Unlock()
	databases, tables := due(e.catalog.Schema(), now)
	if len(databases)+len(tables) == 0 {
		return nil
	}
	if err := e.catalog.Purge(tables, databases); err != nil {
		return fmt.Errorf("purging %d databases and %d tables: %w", len(databases), len(tables), err)
	}
	for _, id := range tables {
		e.discardTable(id)
	}
	e.removeEmptyDirs()
	e.opts.Logger.Info("purged what was deleted", "databases", len(databases), "tables", len(tables))
	return nil
}

// due returns the deleted databases whose time has come, and the deleted tables: theirs,
// and those whose own time has come.
func due(s *schema.Snapshot, now int64) (databases []schema.DatabaseID, tables []schema.TableID) {
	for _, d := range s.DeletedDatabases() {
		if isDue(d.Deleted, now) {
			databases = append(databases, d.ID)
		}
		for _, t := range d.Tables {
			if isDue(d.Deleted, now) || isDue(*t.Deleted, now) {
				tables = append(tables, t.ID)
			}
		}
	}
	for _, d := range s.Databases() {
		for _, t := range d.DeletedTables() {
			if isDue(*t.Deleted, now) {
				tables = append(tables, t.ID)
			}
		}
	}
	return databases, tables
}

// purgeNow purges what a deletion made due. The deletion is done; if the purge fails it
// is tried again in a minute.
func (e *Engine) purgeNow() { e.purgeSoon(e.lookAtClock()) }

// removeDue removes what is to be removed by now.
func (e *Engine) removeDue() {
	now := e.lookAtClock()
	e.purgeSoon(now)
	e.removeExpiredSoon(now)
}

// purgeSoon is purgeDue for those who try again.
func (e *Engine) purgeSoon(now int64) {
	if err := e.purgeDue(now); err != nil {
		e.opts.Logger.Error("purging what was deleted failed; it is tried again in a minute", "error", err)
	}
}

func isDue(d schema.Deletion, now int64) bool { return d.PurgeAt != 0 && d.PurgeAt <= now }

// discardTable drops the rows of a table that the catalog has given up.
func (e *Engine) discardTable(id schema.TableID) {
	e.applying.Lock() // a record that is being applied may be of the table
	t := e.tables.remove(id)
	e.applying.Unlock()
	if t != nil {
		e.removeDoomed(t.discard())
	}
}

// dropFiles gives files of a table up. The caller holds flusher.mu.
func (e *Engine) dropFiles(t *table, files []*schema.File) error {
	if len(files) == 0 {
		return nil
	}
	ids := make([]schema.FileID, 0, len(files))
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	if err := e.catalog.Commit(catalog.Edit{Remove: ids}); err != nil {
		return fmt.Errorf("dropping %d files: %w", len(files), err)
	}
	e.removeDoomed(t.doom(files))
	return nil
}

// removeDoomed removes files that no commit names and nobody reads. What cannot be
// removed now is removed at the next start.
func (e *Engine) removeDoomed(files []*schema.File) {
	e.verifier.forget(files)
	e.finders.forget(files)
	if err := e.removeFiles(files); err != nil {
		e.opts.Logger.Warn("a file that is not needed any more could not be removed; the next start tries again", "error", err)
	}
}

// purgeTime turns a deadline into the catalog's form; the zero time is never.
func purgeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(schema.Nanoseconds(t), 1)
}

// noTable words the catalog's refusal of a database or a table that does not exist.
func (e *Engine) noTable(err error, database, table string) error {
	var missing *catalog.NotFoundError
	switch {
	case !errors.As(err, &missing):
		return e.catalogError(err)
	case missing.Kind == catalog.ObjectDatabase:
		return fmt.Errorf("%w: %s", ErrDatabaseNotFound, database)
	}
	return &TableNotFoundError{table}
}

// notFound words the catalog's refusal of a name that does not exist.
func (e *Engine) notFound(err error, is error) error {
	var missing *catalog.NotFoundError
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %s", is, missing.Name)
	}
	return e.catalogError(err)
}
