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
	done := make(map[schema.FileID]bool)
	for _, f := range s.e.catalog.Files() {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if done[f.ID] {
			continue
		}
		fault := persist.Verify(s.e.opts.FS, s.e.path(filePath(f)), f)
		if fault == nil {
			continue
		}
		stack := append([]*schema.File{f}, s.filesOnTop(f)...)
		if err := s.replaceStack(log, stack, fault); err != nil {
			return fmt.Errorf("replacing %s: %w", s.e.path(filePath(f)), err)
		}
		for _, f := range stack {
			done[f.ID] = true
		}
	}
	if err := s.moveOrphans(); err != nil {
		return err
	}
	return s.restoreKeys()
}

// filesOnTop returns the files that an earlier salvage put on top of f, in its place in
// the order. Among these the later id wins, so that they must be made anew with f.
func (s *salvage) filesOnTop(f *schema.File) []*schema.File {
	var top []*schema.File
	for _, g := range s.e.catalog.Files() {
		if g.Table == f.Table && g.Order == f.Order && g.ID > f.ID {
			top = append(top, g)
		}
	}
	return top
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
	r.Last = max(r.Last, readReached(s.e.opts.FS, s.e.path(reachedName), s.e.catalog.InstanceID()))
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

// replaceStack commits what is left of files in their place, and moves them aside. The
// first is damaged.
func (s *salvage) replaceStack(log *wal.Salvage, stack []*schema.File, fault error) error {
	var edit catalog.Edit
	for i, f := range stack {
		if i > 0 {
			fault = persist.Verify(s.e.opts.FS, s.e.path(filePath(f)), f)
		}
		added, err := s.replacements(log, f, fault)
		if err != nil {
			return err
		}
		edit.Add, edit.Remove = append(edit.Add, added...), append(edit.Remove, f.ID)
		s.computeAgain(&edit, f)
	}
	if err := s.save(); err != nil { // before the catalog forgets the files
		return err
	}
	if err := s.e.catalog.Commit(edit); err != nil {
		return err
	}
	for _, f := range stack {
		there, err := s.exists(filePath(f))
		if err == nil && there {
			err = s.moveAside(filePath(f))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// computeAgain adds to an edit that rows of a file are lost, if it is a rollup's: all but what is frozen follows
// from the source. What is lost of a source does not make what is stored of it wrong.
func (s *salvage) computeAgain(edit *catalog.Edit, f *schema.File) {
	if def, ok := s.e.catalog.Schema().TableByID(f.Table); ok && def.Rollup != nil {
		s.e.setRollup(edit, s.e.rollupState(edit, def.ID).Mark(schema.StaleRange{Time: def.Rollup.Covering(f.Time)}))
	}
}

// replacements writes what is left of a file to new ones, of which later ones win, and
// notes what was lost if it is damaged.
func (s *salvage) replacements(log *wal.Salvage, f *schema.File, fault error) ([]*schema.File, error) {
	def, ok := s.e.catalog.Schema().TableByID(f.Table)
	if !ok {
		return nil, fmt.Errorf("%w: table %d is not in the catalog", ErrDamaged, f.Table)
	}
	if fault == nil {
		left, err := s.keepSurvivors(def, f)
		if err == nil && left.file == nil {
			err = fmt.Errorf("%w: nothing is left of %s, which is intact", ErrDamaged, filePath(f))
		}
		return []*schema.File{left.file}, err
	}
	entry := SalvagedFile{
		File: filePath(f), Reason: fault.Error(), Rows: f.Rows, From: f.Time.Min, To: f.Time.Max,
		Database: s.databaseName(def), Table: def.Name,
	}
	if errors.Is(fault, os.ErrNotExist) {
		entry.Reason = "the file is missing"
	}
	healed, err := s.rowsOfLog(log, def, f)
	if err != nil {
		return nil, err
	}
	if healed.isWhole {
		for _, a := range healed.files {
			entry.FromLog += a.Rows
		}
		s.note(entry)
		return healed.files, nil
	}
	left, err := s.keepSurvivors(def, f)
	if err == nil {
		err = s.sumUp(&entry, def, healed, left)
	}
	if err != nil {
		return nil, err
	}
	s.note(entry)
	if left.file == nil {
		return healed.files, nil
	}
	// On top of the log's: a row of a file is all that there was of its point.
	return append(healed.files, left.file), nil
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

// leftover is what is left of a damaged file.
type leftover struct {
	file *schema.File // nil if nothing is
	lost []persist.LostValues
}

// keepSurvivors writes what is left of a file to a new one.
func (s *salvage) keepSurvivors(def *schema.Table, f *schema.File) (left leftover, err error) {
	survivors, err := persist.FindSurvivors(s.e.opts.FS, s.e.path(filePath(f)), f, def.Columns)
	if errors.Is(err, persist.ErrNoRows) || errors.Is(err, os.ErrNotExist) {
		return left, nil
	}
	if err != nil {
		return left, err
	}
	defer func() { err = errors.Join(err, survivors.Close()) }()
	budget := newRunBudget(s.e.persisting.limit, len(survivors.Columns))
	kept, err := s.e.writeFile(newFile{def, survivors.Columns, f.Order, f.Seq, budget}, survivors.Records())
	if err != nil {
		return left, err
	}
	return leftover{kept, survivors.Lost}, nil
}

// healed are the rows of a lost file that are still in the log.
type healed struct {
	files    []*schema.File
	isWhole  bool // these are all that the file had
	isLatest bool // no record behind them is missing
}

// rowsOfLog writes them in the place of the file in the order.
func (s *salvage) rowsOfLog(log *wal.Salvage, def *schema.Table, f *schema.File) (h healed, err error) {
	if f.Seq.Max == 0 {
		return h, nil
	}
	missing := log.Missing(f.Seq)
	heal := healing{file: f, def: def, judge: &checker{catalog: s.e.catalog}, days: make(map[schema.Day]*partition.Partition)}
	if heal.deleted, err = s.sweptFrom(f); err != nil {
		return h, err
	}
	if len(missing) > 0 {
		heal.lastHole = missing[len(missing)-1].Max
		heal.others = s.earlierFiles(f)
	}
	if err := log.Records(f.Seq, heal.take); err != nil {
		return h, err
	}
	var snapshots []*partition.Snapshot
	h.isLatest = !heal.refused
	for _, p := range heal.days {
		snapshot := p.Freeze()
		snapshots = append(snapshots, snapshot)
		h.isLatest = h.isLatest && snapshot.Seq.Min > heal.lastHole
	}
	slices.SortFunc(snapshots, func(a, b *partition.Snapshot) int { return cmp.Compare(a.Key.Day, b.Key.Day) })
	budget := newRunBudget(s.e.persisting.limit, len(def.Columns))
	for _, run := range splitRuns(snapshots, budget.rows) {
		file, err := s.e.writeRun(def, run, budget, f.Order)
		if err != nil {
			return h, err
		}
		file.Seq = f.Seq
		h.files = append(h.files, file)
	}
	h.isWhole = len(missing) == 0 && (len(h.files) > 0 || heal.isLess) && !heal.refused
	return h, nil
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
	def      *schema.Table
	deleted  []*schema.Tombstone
	judge    *checker
	lastHole schema.Seq     // the last record that is missing
	others   []*schema.File // that may have rows of such a record
	days     map[schema.Day]*partition.Partition
	refused  bool
	isLess   bool // all rows of a batch were deleted
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
		if b = withoutDeleted(h.def, b, seq, h.deleted); b == nil {
			h.isLess = true
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
	return s.e.eachFile(func(dir, name string) error {
		if file := path.Join(dir, name); !known[file] && isOurFile(name) {
			return s.moveAside(file)
		}
		return nil
	})
}
