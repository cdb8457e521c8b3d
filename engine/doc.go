// Package engine composes log, catalog, partitions and Parquet files into one store.
package engine
