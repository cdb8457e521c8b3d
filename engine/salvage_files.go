package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// salvageFiles replaces each damaged or missing file by what is left of it.
func (s *salvage) salvageFiles() error {
	if err := s.openCatalog(); err != nil {
		return err
	}
	log, err := s.openLog()
	if err != nil {
		return err
	}
	for _, f := range s.e.catalog.Files() {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		fault := persist.Verify(s.e.opts.FS, s.e.path(filePath(f)), f)
		if fault == nil {
			continue
		}
		if err := s.replaceFile(log, f, fault); err != nil {
			return fmt.Errorf("replacing %s: %w", s.e.path(filePath(f)), err)
		}
	}
	if err := s.moveOrphans(); err != nil {
		return err
	}
	return s.restoreKeys()
}

// openLog opens what is left of the log, and notes where it stood.
func (s *salvage) openLog() (*wal.Salvage, error) {
	log, err := wal.OpenSalvage(wal.Options{FS: s.e.opts.FS, Dir: s.e.path(walDir), Logger: s.e.opts.Logger})
	if err != nil || s.report.Log.Last > 0 {
		return log, err
	}
	r := &s.report.Log
	r.Position, r.Last = s.e.catalog.Position(), max(log.Last, s.e.catalog.Position())
	for _, seq := range s.e.catalog.Flushed() {
		r.Last = max(r.Last, seq)
	}
	for _, f := range s.e.catalog.Files() {
		r.Last = max(r.Last, f.Seq.Max)
	}
	r.Records = log.Count()
	for _, d := range log.Damage {
		r.Damage = append(r.Damage, SalvagedDamage{
			File: s.below(d.File), Offset: d.Offset, Bytes: d.Bytes, First: d.Seq.Min, Last: d.Seq.Max, Reason: d.Reason,
		})
	}
	from := r.Position + 1
	if first, ok := log.First(); ok && s.report.Catalog.Rebuilt {
		from = max(from, first) // the position is lost, and older segments were trimmed
	}
	if from <= r.Last {
		r.Lost = log.Missing(schema.SeqRange{Min: from, Max: r.Last})
	}
	return log, s.save()
}

func (s *salvage) below(file string) string {
	return (&checker{opts: CheckOptions{DataDir: s.e.opts.DataDir}}).below(file)
}

// replaceFile commits what is left of a file in its place, and moves it aside.
func (s *salvage) replaceFile(log *wal.Salvage, f *schema.File, fault error) error {
	def, ok := s.e.catalog.Schema().TableByID(f.Table)
	if !ok {
		return fmt.Errorf("%w: table %d is not in the catalog", ErrDamaged, f.Table)
	}
	entry := SalvagedFile{
		File: filePath(f), Reason: fault.Error(), Rows: f.Rows, From: f.Time.Min, To: f.Time.Max,
		Database: s.databaseName(def), Table: def.Name,
	}
	if errors.Is(fault, os.ErrNotExist) {
		entry.Reason = "the file is missing"
	}
	added, isWhole, err := s.rowsOfLog(log, def, f)
	if err != nil {
		return err
	}
	for _, a := range added {
		entry.FromLog += a.Rows
	}
	if !isWhole {
		kept, err := s.keepRowGroups(def, f)
		if err != nil {
			return err
		}
		if kept != nil { // on top of the log's: their points are whole
			added = append(added, kept)
			entry.Kept = kept.Rows
		}
		entry.Lost = f.Rows - min(f.Rows, entry.Kept+entry.FromLog)
	}
	s.note(entry)
	if err := s.save(); err != nil { // before the catalog forgets the file
		return err
	}
	if err := s.e.catalog.Commit(catalog.Edit{Add: added, Remove: []schema.FileID{f.ID}}); err != nil {
		return err
	}
	if there, err := s.exists(filePath(f)); err != nil || !there {
		return err
	}
	return s.moveAside(filePath(f))
}

func (s *salvage) databaseName(def *schema.Table) string {
	return s.e.catalog.Schema().DatabaseName(def.Database)
}

// note puts an entry into the report, in place of one that an earlier attempt made.
func (s *salvage) note(entry SalvagedFile) {
	i := slices.IndexFunc(s.report.Files, func(f SalvagedFile) bool { return f.File == entry.File })
	if i >= 0 {
		s.report.Files[i] = entry
	} else {
		s.report.Files = append(s.report.Files, entry)
	}
	s.report.sumLosses()
}

// keepRowGroups writes the intact row groups of a damaged file to a new one; nil if there
// are none.
func (s *salvage) keepRowGroups(def *schema.Table, f *schema.File) (*schema.File, error) {
	id := s.e.catalog.AllocateFileID()
	spec := persist.Spec{
		FS: s.e.opts.FS, Dir: s.e.path(tableDir(f.Database, f.Table)), Name: fileName(id),
		Origin: originOf(def, nil, columnsOf(f), f.Order),
	}
	spec.Origin.Seq = f.Seq
	kept, err := persist.Keep(spec, s.e.path(filePath(f)), f)
	if errors.Is(err, persist.ErrNoRows) || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	kept.ID, kept.Database, kept.Table, kept.Order, kept.Seq = id, f.Database, f.Table, f.Order, f.Seq
	kept.DayMin, kept.DayMax = schema.DayOf(kept.Time.Min), schema.DayOf(kept.Time.Max)
	return &kept, nil
}

func columnsOf(f *schema.File) map[schema.ColumnID]bool {
	present := make(map[schema.ColumnID]bool)
	for i := range f.Columns {
		present[f.Columns[i].Column] = true
	}
	return present
}

// rowsOfLog writes the rows of a lost file that are still in the log, in its place in the
// order. isWhole says that these are all that the file had.
func (s *salvage) rowsOfLog(log *wal.Salvage, def *schema.Table, f *schema.File) (files []*schema.File, isWhole bool, err error) {
	if f.Seq.Max == 0 {
		return nil, false, nil
	}
	missing := log.Missing(f.Seq)
	heal := healing{file: f, judge: &checker{catalog: s.e.catalog}, days: make(map[schema.Day]*partition.Partition)}
	if len(missing) > 0 {
		heal.lastHole = missing[len(missing)-1].Max
		heal.others = s.earlierFiles(f)
	}
	if err := log.Records(f.Seq, heal.take); err != nil {
		return nil, false, err
	}
	var snapshots []*partition.Snapshot
	for _, p := range heal.days {
		snapshots = append(snapshots, p.Freeze())
	}
	slices.SortFunc(snapshots, func(a, b *partition.Snapshot) int { return cmp.Compare(a.Key.Day, b.Key.Day) })
	budget := newRunBudget(s.e.persisting.limit, len(def.Columns))
	for _, run := range splitRuns(snapshots, budget.rows) {
		file, err := s.e.writeRun(def, run, budget, f.Order)
		if err != nil {
			return nil, false, err
		}
		file.Seq = f.Seq
		files = append(files, file)
	}
	return files, len(missing) == 0 && len(files) > 0 && !heal.refused, nil
}

// earlierFiles returns the files of the table that come before f in the order.
func (s *salvage) earlierFiles(f *schema.File) []*schema.File {
	var earlier []*schema.File
	for _, g := range s.e.catalog.Files() {
		if g.Table == f.Table && g.ID != f.ID && g.Order <= f.Order {
			earlier = append(earlier, g)
		}
	}
	return earlier
}

// healing collects the rows of a lost file from the log.
type healing struct {
	file     *schema.File
	judge    *checker
	lastHole schema.Seq     // the last record that is missing
	others   []*schema.File // that may have rows of such a record
	days     map[schema.Day]*partition.Partition
	refused  bool
	decoder  partition.Decoder
}

// take takes the rows of one record. A record that verifies and does not decode was
// written wrongly; its rows are lost.
func (h *healing) take(seq schema.Seq, record []byte) error {
	err := h.decoder.Decode(record, func(b *partition.Batch) error {
		day := b.Key.Day
		if b.Key.Table != h.file.Table || day < h.file.DayMin || day > h.file.DayMax {
			return nil
		}
		if !h.isPlaced(day, seq) || h.judge.judgeBatch(b) != "" {
			h.refused = true
			return nil
		}
		p := h.days[day]
		if p == nil {
			p = partition.New(b.Key)
			h.days[day] = p
		}
		p.Append(b, seq)
		return nil
	})
	if err != nil {
		h.refused = true
	}
	return nil
}

// isPlaced reports whether a row cannot hide a later one: every record behind it is
// there, or no file below the lost one has later rows of the day.
func (h *healing) isPlaced(day schema.Day, seq schema.Seq) bool {
	return seq > h.lastHole || !slices.ContainsFunc(h.others, func(g *schema.File) bool {
		return g.DayMin <= day && day <= g.DayMax && g.Seq.Max >= seq
	})
}

// moveOrphans moves the files that no commit names aside: a start would remove them.
func (s *salvage) moveOrphans() error {
	known := make(map[string]bool)
	for _, f := range s.e.catalog.Files() {
		known[filePath(f)] = true
	}
	dirs, err := s.e.tableDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		names, err := s.e.list(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if file := path.Join(dir, name); !known[file] && isOurFile(name) {
				if err := s.moveAside(file); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
