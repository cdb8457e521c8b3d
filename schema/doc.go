// Package schema holds the nouns that every other package speaks in: ids, column
// types, tables, files, time ranges and the immutable Snapshot of everything that
// is defined.
//
// It promises:
//
//	S1  Values are immutable once shared: a change makes a new value.
//	S2  No I/O, no locks, no goroutines: any method may be called concurrently.
//
// It leaves durability and the allocation of ids to package catalog, and the
// decision which definition is acceptable to package engine.
package schema
