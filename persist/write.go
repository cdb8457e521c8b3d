package persist

import (
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// Errors of Write that say that the records are not what they must be.
var (
	// ErrNoRows: the records hold no row at all; no file is made.
	ErrNoRows = errors.New("persist: no rows to write")
	// ErrUnsorted: a row is not after its predecessor in the order of tags and time,
	// or is the same point.
	ErrUnsorted = errors.New("persist: rows are not in ascending order of tags and time")
	// ErrRecord: a record does not have the layout that Spec.Columns calls for.
	ErrRecord = errors.New("persist: record does not fit its specification")
)

// Write writes the records to the file that spec names, and describes it. What is
// known only to the caller stays zero: ids, days, log positions and order.
//
// The rows must be in strictly ascending order of the tags in id order, null before
// the empty string and strings as bytes compare, and then of time. Write does not
// release records; it retains what it still needs when the next one is asked for.
func Write(spec Spec, records iter.Seq2[arrow.RecordBatch, error]) (schema.File, error) {
	spec.EnsureDefaults()
	if err := spec.Validate(); err != nil {
		return schema.File{}, err
	}
	if err := durable.MkdirAll(spec.FS, spec.Dir); err != nil {
		return schema.File{}, err
	}
	out, err := createPending(spec.FS, spec.Dir, spec.Name)
	if err != nil {
		return schema.File{}, err
	}
	file, err := writeRecords(spec, out, records)
	if err != nil {
		return schema.File{}, errors.Join(err, out.abort())
	}
	if err := out.commit(); err != nil {
		return schema.File{}, err
	}
	file.Bytes, file.CRC32C = out.bytes, out.crc
	return file, nil
}

// writeRecords writes everything from the first to the last byte of the file. A
// panic in the Parquet library or in the iterator becomes an error, so that the
// caller can still remove the file.
func writeRecords(spec Spec, out *pendingFile, records iter.Seq2[arrow.RecordBatch, error]) (file schema.File, err error) {
	w := newWriter(spec, out)
	defer w.close()
	defer recoverTo(&err, out.final)
	for rec, err := range records {
		if err != nil {
			return schema.File{}, fmt.Errorf("persist: records for %s: %w", out.final, err)
		}
		if err := w.add(rec); err != nil {
			return schema.File{}, fmt.Errorf("%s: %w", out.final, err)
		}
	}
	if err := w.finish(); err != nil {
		return schema.File{}, fmt.Errorf("%s: %w", out.final, err)
	}
	file = w.describe()
	file.FooterBytes, file.FooterCRC32C = out.section.bytes, out.section.crc
	return file, nil
}

// recoverTo turns a panic into *err.
func recoverTo(err *error, path string) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("persist: %s: panic: %w", path, p)
	default:
		*err = fmt.Errorf("persist: %s: panic: %v", path, p)
	}
}
