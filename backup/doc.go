// Package backup keeps backups in a repository: a directory, or a bucket of a store that
// speaks S3. A backup is what engine.BeginBackup pins: an image of the catalog and the
// Parquet files that it names. Files never change, so that all backups of a repository share them.
//
// It promises:
//
//	B1  A backup is there when its manifest is, which is written last: what is killed
//	    before leaves objects that no manifest names, and the next backup uses them.
//	B2  Nothing is taken for what it is not: a manifest has a SHA-256 of itself and a
//	    checksum of the image, and the image those of the files. All are compared whenever they are
//	    copied, verified or restored.
//	B3  A file that is in the repository is not copied again. What tells files apart is in
//	    their names: instance of the data directory, database, table, id, checksum and size.
//	B4  Objects are written once, whole or not at all; Prune removes only objects that no
//	    manifest names.
//	B5  What may pass with a store is asked for again, a bounded number of times (s3_patience.go);
//	    an error names the object and what helps.
//
// A server sends what a repository lacks as one stream (stream.go), which is the answer to
// one request: as long as that lasts the files are pinned, and when the client dies, so does
// the pin.
//
// It leaves to others: what is backed up and restored (engine), and who may do so (httpapi). Functions may be called concurrently, but
// one process at a time should change a repository; a directory is locked meanwhile. The package owns every byte of a
// repository; docs/format/backup.md describes them.
package backup
