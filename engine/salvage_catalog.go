package engine

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// salvageCatalog builds a new catalog if the old one is damaged.
func (s *salvage) salvageCatalog() error {
	sound, err := s.isCatalogSound()
	if err != nil {
		return err
	}
	if sound {
		return s.openCatalog()
	}
	remains, err := catalog.ReadRemains(catalog.Options{FS: s.e.opts.FS, Dir: s.e.path(catalogDir), Logger: s.e.opts.Logger})
	if err != nil {
		return err
	}
	if err = s.learnFiles(remains); err == nil {
		err = s.learnDeletions(remains)
	}
	if err == nil {
		err = s.buildCatalog(remains)
	}
	if err = errors.Join(err, remains.Close()); err != nil {
		return err
	}
	if err := s.save(); err != nil { // before the old one is out of the way
		return err
	}
	if err := s.replaceDir(catalogDir); err != nil {
		return err
	}
	return s.openCatalog()
}

// isCatalogSound reports whether the catalog is what it was. Pebble does not notice when a
// log of its own is gone: then the catalog is an older one, and what is on disk says so.
func (s *salvage) isCatalogSound() (sound bool, err error) {
	c, report, err := catalog.Check(s.ctx, catalog.Options{FS: s.e.opts.FS, Dir: s.e.path(catalogDir), Logger: s.e.opts.Logger})
	if errors.Is(err, catalog.ErrNoCatalog) {
		return false, nil
	}
	if err != nil || c == nil {
		return false, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if len(report.Findings) > 0 {
		return false, nil
	}
	isOld, err := s.isOld(c)
	return !isOld, err
}

// isOld reports whether a file has an id that the catalog never gave, or a record of
// the log rows of what it never defined.
func (s *salvage) isOld(c *catalog.Catalog) (bool, error) {
	isOld := false
	if err := s.e.eachFile(func(dir, name string) error {
		place, ok := parseFilePath(dir, name)
		isOld = isOld || ok && c.FileIDAge(place.ID) == catalog.FileIDUnknown
		return nil
	}); isOld || err != nil {
		return isOld, err
	}
	log, err := wal.OpenSalvage(wal.Options{FS: s.e.opts.FS, Dir: s.e.path(walDir), Logger: s.e.opts.Logger})
	if err != nil {
		return false, err
	}
	var decoder partition.Decoder
	judge := &checker{catalog: c}
	err = log.Records(schema.SeqRange{Min: c.Position() + 1, Max: everything.Max}, func(_ schema.Seq, record []byte) error {
		// What does not decode is no evidence.
		_ = decoder.Decode(record, func(b *partition.Batch) error {
			isOld = isOld || judge.judgeBatch(b) != ""
			return nil
		})
		return nil
	})
	return isOld, err
}

// buildCatalog builds it next to the old one, and notes what was lost.
func (s *salvage) buildCatalog(remains *catalog.Remains) error {
	building := s.e.path(catalogDir + buildingSuffix)
	if err := s.e.opts.FS.RemoveAll(building); err != nil {
		return fmt.Errorf("removing %s: %w", building, err)
	}
	notes, err := remains.Build(catalog.Options{FS: s.e.opts.FS, Dir: building, Logger: s.e.opts.Logger})
	if err != nil {
		return err
	}
	s.report.Catalog = SalvagedCatalog{Rebuilt: true, Notes: notes, KeysFrom: filesDir}
	if remains.Unreadable != nil {
		s.report.Catalog.Unreadable = remains.Unreadable.Error()
	}
	for _, l := range remains.Lost {
		s.report.Catalog.Lost = append(s.report.Catalog.Lost, l.String())
	}
	return nil
}

// learnFiles takes what the Parquet files say. Those that are damaged, and of which the
// catalog has a description, are left to salvageFiles.
func (s *salvage) learnFiles(remains *catalog.Remains) error {
	s.report.Files = nil
	return s.e.eachFile(func(dir, name string) error {
		s.learnFile(remains, dir, name)
		return s.ctx.Err()
	})
}

func (s *salvage) learnFile(remains *catalog.Remains, dir, name string) {
	place, ok := parseFilePath(dir, name)
	if !ok {
		return
	}
	file := path.Join(dir, name)
	f := remains.Files()[place.ID]
	var err error
	switch {
	case f != nil && (f.Database != place.Database || f.Table != place.Table):
		err = errors.New("the catalog has a file of that id at another place")
	case f != nil:
		if persist.Verify(s.e.opts.FS, s.e.path(file), f) != nil {
			return
		}
	default:
		if f, err = s.describe(file, place); err == nil && f.Rows == 0 {
			err = persist.ErrNoRows
		}
	}
	if err == nil {
		var facts catalog.FileFacts
		if facts, err = s.factsOf(file); err == nil {
			err = remains.Learn(f, facts)
		}
	}
	if err != nil {
		s.report.Files = append(s.report.Files, SalvagedFile{File: file, Reason: "not in the catalog, and not usable: " + err.Error()})
	}
}

// describe makes the description that the catalog had of a file. One of which some column
// chunks are damaged is replaced later, as if the catalog had known it.
func (s *salvage) describe(file string, place schema.File) (*schema.File, error) {
	f, err := persist.Describe(s.e.opts.FS, s.e.path(file))
	if chunk := new(persist.ChunkError); err != nil && !errors.As(err, &chunk) {
		return nil, err
	}
	f.ID, f.Database, f.Table = place.ID, place.Database, place.Table
	if f.Order == 0 {
		f.Order = uint64(f.ID)
	}
	return &f, nil
}

func (s *salvage) factsOf(file string) (facts catalog.FileFacts, err error) {
	r, err := persist.Open(s.e.opts.FS, s.e.path(file))
	if err != nil {
		return facts, err
	}
	facts = catalog.FileFacts{Database: r.Database(), Table: r.Table(), Columns: r.Columns()}
	if o, ok := r.Origin(); ok {
		facts.Rule, facts.Tag = o.Rule, o.Tag
		facts.Columns = append(facts.Columns[:len(facts.Columns):len(facts.Columns)], o.Absent...)
	}
	return facts, r.Close()
}

// parseFilePath is the inverse of filePath, for finished files.
func parseFilePath(dir, name string) (place schema.File, ok bool) {
	parts := strings.Split(dir, "/")
	if len(parts) != 3 || !isOurFile(name) || !strings.HasSuffix(name, parquetExt) {
		return place, false
	}
	db, err1 := strconv.ParseUint(parts[1], 10, 32)
	table, err2 := strconv.ParseUint(parts[2], 10, 32)
	id, err3 := strconv.ParseUint(strings.TrimSuffix(name, parquetExt), 16, 64)
	place.Database, place.Table, place.ID = schema.DatabaseID(db), schema.TableID(table), schema.FileID(id)
	return place, errors.Join(err1, err2, err3) == nil && filePath(&place) == path.Join(dir, name)
}

// restoreKeys adds the keys of FirstByTag tables from their files to those of a catalog that
// was rebuilt: nobody knows whether the old one still had them all. Those of the log come
// with the replay.
func (s *salvage) restoreKeys() error {
	if s.report.Catalog.KeysFrom == "" {
		return nil
	}
	for _, f := range s.e.catalog.Files() {
		def, ok := s.e.catalog.Schema().TableByID(f.Table)
		if !ok || def.Key.Rule != schema.FirstByTag {
			continue
		}
		tag, ok := def.Column(def.Key.Tag)
		if !ok {
			continue
		}
		if err := s.e.rememberKeysOf(def, tag.ID, s.e.path(filePath(f))); err != nil {
			return fmt.Errorf("reading the keys of %s: %w", s.e.path(filePath(f)), err)
		}
	}
	return nil
}

// rememberKeysOf adds the keys that are in a file of a FirstByTag table.
func (e *Engine) rememberKeysOf(def *schema.Table, tag schema.ColumnID, file string) (err error) {
	r, err := persist.Open(e.opts.FS, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for rec, err := range r.Records(tag) {
		if err != nil {
			return err
		}
		column, ok := rec.Column(0).(*array.Dictionary)
		if !ok {
			return errors.New("the key's tag is no dictionary")
		}
		values, ok := column.Dictionary().(*array.String)
		if !ok {
			return errors.New("the key's tag holds no text")
		}
		var keys []firstKey
		for i := range column.Len() {
			if column.IsValid(i) {
				keys = append(keys, hashKey(def.ID, []byte(values.Value(column.GetValueIndex(i)))))
			}
		}
		e.rememberKeys(keys)
	}
	return nil
}
