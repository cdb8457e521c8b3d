package engine

import (
	"path"
	"strconv"

	"github.com/siltstone-db/siltstone/schema"
)

// removeEmptyDirs removes the directories of tables that were purged, and those of databases of which
// nothing is left: ids are not given again, so that nobody writes there. One that is not empty, as a view
// still reads its files, goes with a later purge or at the next start. flusher.mu is held, or nothing
// runs yet.
func (e *Engine) removeEmptyDirs() {
	dirs, err := e.tableDirs()
	if err != nil {
		return // the next time will do
	}
	databases := make(map[string]bool)
	for _, dir := range dirs {
		id, err := strconv.ParseUint(path.Base(dir), 10, 32)
		if err == nil && e.catalog.Schema().IsPurged(schema.TableID(id)) && e.removeIfEmpty(dir) {
			databases[path.Dir(dir)] = true
		}
	}
	for dir := range databases {
		e.removeIfEmpty(dir)
	}
}

// removeIfEmpty reports whether it has removed a directory. It is made again when somebody needs it.
func (e *Engine) removeIfEmpty(dir string) bool {
	names, err := e.list(dir)
	return err == nil && len(names) == 0 && e.opts.FS.Remove(e.path(dir)) == nil
}
