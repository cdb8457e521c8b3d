package engine

import (
	"cmp"
	"slices"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// salvageRows puts the rows of the log that are in no file into files, and notes in the
// catalog that the whole log is in files.
func (s *salvage) salvageRows() error {
	if err := s.openCatalog(); err != nil {
		return err
	}
	log, err := s.openLog()
	if err != nil {
		return err
	}
	s.report.Log.Rows, s.report.Log.SetAside, s.report.Tables = 0, nil, nil
	r := newReplay(s, log)
	if r.deleted, err = s.deletedRows(); err != nil {
		return err
	}
	if err := r.findGaps(); err != nil {
		return err
	}
	s.report.sumLosses()
	if err := s.save(); err != nil { // before a file hides the gaps
		return err
	}
	if err := log.Records(everything, r.record); err != nil {
		return err
	}
	if err := s.save(); err != nil { // before the catalog says that it is done
		return err
	}
	if err := r.persist(s.e.plan()); err != nil {
		return err
	}
	if last := s.report.Log.Last; last > s.e.catalog.Position() {
		return s.e.catalog.Commit(catalog.Edit{Position: last})
	}
	return nil
}

var everything = schema.SeqRange{Min: 1, Max: ^schema.Seq(0)}

// replay takes the log's rows into buffers.
type replay struct {
	s       *salvage
	log     *wal.Salvage
	judge   *checker
	decoder partition.Decoder

	position schema.Seq
	flushed  map[schema.PartitionKey]schema.Seq
	files    map[schema.TableID][]*schema.File // as they were before the replay
	lastHole schema.Seq                        // the last record that is missing
	again    map[schema.PartitionKey]schema.Seq
	deleted  map[schema.TableID][]*schema.Tombstone
}

func newReplay(s *salvage, log *wal.Salvage) *replay {
	r := &replay{
		s: s, log: log, judge: &checker{catalog: s.e.catalog},
		position: s.e.catalog.Position(), flushed: s.e.catalog.Flushed(),
		files: make(map[schema.TableID][]*schema.File), again: make(map[schema.PartitionKey]schema.Seq),
	}
	for _, f := range s.e.catalog.Files() {
		r.files[f.Table] = append(r.files[f.Table], f)
	}
	if first, ok := log.First(); ok && first < log.Last {
		if missing := log.Missing(schema.SeqRange{Min: first, Max: log.Last}); len(missing) > 0 {
			r.lastHole = missing[len(missing)-1].Max
		}
	}
	for _, a := range s.report.Log.Again {
		r.again[schema.PartitionKey{Database: a.Database, Table: a.Table, Day: a.Day}] = a.From
	}
	return r
}

// covering yields the files of a table that may have rows of a day.
func (r *replay) covering(k schema.PartitionKey) func(func(*schema.File) bool) {
	return func(yield func(*schema.File) bool) {
		for _, f := range r.files[k.Table] {
			if f.DayMin <= k.Day && k.Day <= f.DayMax && !yield(f) {
				return
			}
		}
	}
}

// flushedThrough is the record up to which the rows of a partition were put into files,
// whatever has become of these. What a file has of a day is all that there was of it when
// the file was written.
func (r *replay) flushedThrough(k schema.PartitionKey) schema.Seq {
	through := max(r.position, r.flushed[k])
	for f := range r.covering(k) {
		through = max(through, f.Seq.Max)
	}
	return through
}

// hasUndated reports whether a file has rows of the partition and does not say of which
// records: one that an early release wrote, in a rebuilt catalog.
func (r *replay) hasUndated(k schema.PartitionKey) bool {
	for f := range r.covering(k) {
		if f.Seq.Max == 0 {
			return true
		}
	}
	return false
}

// isCovered reports whether a file has the rows of a record.
func (r *replay) isCovered(k schema.PartitionKey, seq schema.Seq) bool {
	for f := range r.covering(k) {
		if f.Seq.Min <= seq && seq <= f.Seq.Max {
			return true
		}
	}
	return false
}

// findGaps looks for rows that were flushed and are in no file. Behind a catalog that
// was rebuilt a file may be lost of which nobody knows. If the log still has its rows
// and all records behind them, these are put on top of all files, in order: every later
// write of a point is among them.
func (r *replay) findGaps() error {
	if !r.s.report.Catalog.Rebuilt || len(r.again) > 0 {
		return nil
	}
	err := r.log.Records(schema.SeqRange{Min: r.lastHole + 1, Max: everything.Max}, func(seq schema.Seq, record []byte) error {
		// What does not decode is noted by the replay.
		_ = r.decoder.Decode(record, func(b *partition.Batch) error {
			if _, ok := r.again[b.Key]; !ok && (r.hasUndated(b.Key) || seq <= r.flushedThrough(b.Key) && !r.isCovered(b.Key, seq)) {
				r.again[b.Key] = seq
			}
			return nil
		})
		return nil
	})
	for k, from := range r.again {
		r.s.report.Log.Again = append(r.s.report.Log.Again, ReplayedPartition{k.Database, k.Table, k.Day, from})
	}
	slices.SortFunc(r.s.report.Log.Again, func(a, b ReplayedPartition) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Day, b.Day))
	})
	return err
}

// record replays one record.
func (r *replay) record(seq schema.Seq, record []byte) error {
	if err := r.s.ctx.Err(); err != nil {
		return err
	}
	err := r.decoder.Decode(record, func(b *partition.Batch) error {
		r.batch(seq, b)
		return nil
	})
	if err != nil && seq > r.position {
		r.s.report.Log.SetAside = append(r.s.report.Log.SetAside, SalvagedBatch{Record: seq, Reason: err.Error()})
	}
	r.s.e.applied.Store(uint64(seq))
	if e := r.s.e; e.buffers.used.Load() > e.buffers.limit {
		return r.persist(e.largest(e.plan()))
	}
	return nil
}

func (r *replay) batch(seq schema.Seq, b *partition.Batch) {
	e := r.s.e
	if e.catalog.Schema().IsPurged(b.Key.Table) && !r.s.report.Catalog.Rebuilt {
		return
	}
	from, isAgain := r.again[b.Key]
	if isAgain = isAgain && seq >= from; !isAgain && seq <= r.flushedThrough(b.Key) {
		return
	}
	fault := r.judge.judgeBatch(b)
	def, ok := e.catalog.Schema().TableByID(b.Key.Table)
	switch {
	case fault == "" && !ok:
		fault = "rows of a table that the catalog has lost"
	case fault == "" && !isAgain && r.hasUndated(b.Key):
		fault = "rows that may be older than those of a file that does not say which records it has"
	}
	if fault != "" {
		r.setAside(seq, b, fault)
		return
	}
	e.rememberKeys(keysOf(def, b)) // of deleted rows too
	if b = withoutDeleted(def, b, seq, r.deleted[def.ID]); b == nil {
		return
	}
	e.tables.findOrCreate(b.Key.Database, b.Key.Table).append(b, seq)
	r.s.report.Log.Rows += b.Rows()
	r.s.report.table(r.s.databaseName(def), def.Name).Replayed += b.Rows()
}

func (r *replay) setAside(seq schema.Seq, b *partition.Batch, fault string) {
	r.s.report.Log.SetAside = append(r.s.report.Log.SetAside, SalvagedBatch{
		Record: seq, Database: b.Key.Database, Table: b.Key.Table, Rows: b.Rows(),
		From: slices.Min(b.Time), To: slices.Max(b.Time), Reason: fault,
	})
}

// persist writes buffers to files.
func (r *replay) persist(units []unit) error {
	for _, u := range units {
		if err := r.s.e.persist(u); err != nil {
			return err
		}
	}
	return nil
}
