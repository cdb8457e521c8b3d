package engine

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// Names in the data directory. User's names never become part of a path.
// lostAndFound is in the root of every new ext4: a directory of ours may be a mount of its own.
const lostAndFound = "lost+found"

const (
	lockName    = "LOCK"
	probeName   = "space.probe"   // written to find out whether there is space
	imagePrefix = "backup.image-" // what a backup takes of the catalog, until it has ended
	catalogDir  = "catalog"
	walDir      = "wal"
	filesDir    = "files"
	parquetExt  = ".parquet"
	fileIDWidth = 16

	// A salvage works in salvagingDir, which gets its final name when all is done.
	salvagingDir   = "salvaging"
	salvagedPrefix = "salvaged-"
	// What a salvage builds has buildingSuffix until it is complete, and then
	// rebuiltSuffix until it is in its place.
	buildingSuffix = ".building"
	rebuiltSuffix  = ".rebuilt"
)

// tableDir is where a table's files are: files/<database id>/<table id>.
func tableDir(db schema.DatabaseID, table schema.TableID) string {
	return path.Join(filesDir, strconv.FormatUint(uint64(db), 10), strconv.FormatUint(uint64(table), 10))
}

// fileName is a Parquet file's name: its id in hexadecimal.
func fileName(id schema.FileID) string {
	return fmt.Sprintf("%0*x%s", fileIDWidth, uint64(id), parquetExt)
}

// filePath is a Parquet file's path below the data directory.
func filePath(f *schema.File) string { return path.Join(tableDir(f.Database, f.Table), fileName(f.ID)) }

// isOurFile reports whether a name below files/ is one that the engine gives, finished
// or not: only such files are ever removed.
func isOurFile(name string) bool {
	base, _, _ := strings.Cut(name, parquetExt)
	if len(base) != fileIDWidth || base == name {
		return false
	}
	_, err := strconv.ParseUint(base, 16, 64)
	return err == nil
}
