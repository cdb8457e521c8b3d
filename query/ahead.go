package query

import (
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
)

// aheadRecords is how many records are fetched before they are written. DuckDB's have 2,048
// rows; what is held is little, and a writer that waits for a client stops the fetching.
const aheadRecords = 16

// aheadRows fetches the next records of an answer while the last are written, so that the
// work of DuckDB's last stage and of the encoder share the cores. It starts with the second
// record: most answers have one.
type aheadRows struct {
	source  Rows
	first   bool // the source's own goroutine has taken no record yet
	records chan arrow.RecordBatch
	quit    chan struct{}
	done    sync.WaitGroup
	fault   any               // what the source panicked with
	current arrow.RecordBatch // owned, when it came from records
}

// abandoner is an answer that can be ended while its next record is being made.
type abandoner interface{ abandon() }

// readAhead begins to read. The answer belongs to it until stop, which must be called.
func readAhead(r Rows) *aheadRows { return &aheadRows{source: r, first: true} }

// Next advances to the next record and reports whether there is one.
func (a *aheadRows) Next() bool {
	if a.first {
		a.first = false
		return a.source.Next()
	}
	if a.records == nil {
		a.start()
	}
	release(&a.current)
	a.current = <-a.records
	if a.current == nil {
		a.done.Wait()
		if a.fault != nil {
			panic(a.fault) // where it would have been without us
		}
	}
	return a.current != nil
}

// start lets another goroutine fetch. The record that the writer has just finished is
// released by that.
func (a *aheadRows) start() {
	a.records, a.quit = make(chan arrow.RecordBatch, aheadRecords), make(chan struct{})
	a.done.Go(func() {
		defer close(a.records)
		defer func() { a.fault = recover() }()
		for a.source.Next() {
			rec := a.source.Record()
			rec.Retain()
			select {
			case a.records <- rec:
			case <-a.quit:
				rec.Release()
				return
			}
		}
	})
}

// Record is the current record, valid until the next call of Next.
func (a *aheadRows) Record() arrow.RecordBatch {
	if a.records == nil {
		return a.source.Record()
	}
	return a.current
}

// Err is what ended the stream early. It may be asked for when Next has returned false.
func (a *aheadRows) Err() error {
	a.done.Wait()
	return a.source.Err()
}

// stop ends the fetching and gives the answer back.
func (a *aheadRows) stop() {
	if a.records == nil {
		return
	}
	close(a.quit)
	if source, ok := a.source.(abandoner); ok && a.current != nil {
		source.abandon() // the writer gave up in the middle
	}
	release(&a.current)
	for rec := range a.records {
		rec.Release()
	}
	a.done.Wait()
}
