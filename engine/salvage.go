package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// A salvage makes a sound data directory of a damaged one. It keeps all that verifies,
// sets the rest aside, and says what was lost:
//
//	begin    Check the directory. If there is no damage, stop here. Else make
//	         salvaging/, where everything goes that is not used.
//	catalog  If it is damaged, read its remains, let the Parquet files say what is
//	         missing, build a new one, and put it in place of the old one.
//	files    Replace each damaged or missing file by its intact row groups and by its
//	         rows in the log, in one commit. Move the damaged file aside.
//	replay   Put the rows of the log that are in no file into files, and move the
//	         catalog's position to the end of the log.
//	log      Begin a new log there, and put it in place of the old one.
//	end      Give salvaging/ its final name, salvaged-<time>.
//
// It may be killed anywhere and is to be repeated then: as long as there is salvaging/,
// nothing else opens the directory. Each step only adds and renames, is noted in the
// report when it is done, and does no harm when it is done again.
//
// The last write of a point wins, so that no row may get in front of a later one that it
// has been in front of already. Rows of the log are put on top of all files only if no
// file has later rows of the partition, or if every later record of the log is there
// too and is put there with them. Rows that replace those of a file take its place in
// the order. What cannot be placed with certainty is set aside.

// salvageStage is how far a salvage has come.
type salvageStage uint8

const (
	salvageBegun salvageStage = iota
	salvageHasCatalog
	salvageHasFiles
	salvageHasRows
	salvageHasLog
)

// salvage is the state of one attempt.
type salvage struct {
	ctx    context.Context // of the one call that it is made for
	e      *Engine
	report SalvageReport
	// deleted is what deletedRows found when the first damaged file was replaced.
	deleted map[schema.TableID][]*schema.Tombstone
}

// Salvage makes a damaged data directory usable; a sound one stays as it is, and the
// report says so. An attempt that ends in an error is to be repeated. The errors are
// ErrInUse, those of a format that a newer program wrote, the context's, and those of
// the file system.
func Salvage(ctx context.Context, opts Options) (SalvageReport, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return SalvageReport{}, err
	}
	if info, err := opts.FS.Stat(opts.DataDir); err != nil || !info.IsDir() {
		return SalvageReport{}, errors.Join(fmt.Errorf("%s is no data directory", opts.DataDir), err)
	}
	s := &salvage{ctx: ctx, e: newEngine(opts)}
	err := s.e.lockDirectory()
	if err == nil {
		err = s.run()
	}
	if isNewer(err) {
		err = fmt.Errorf("%w; %w", err, ErrNewerFormat)
	}
	if err = errors.Join(err, s.e.releaseAll()); err != nil {
		return s.report, fmt.Errorf("salvaging %s: %w", opts.DataDir, err)
	}
	return s.report, nil
}

func (s *salvage) run() error {
	damaged, err := s.begin()
	if err != nil || !damaged {
		return err
	}
	steps := []struct {
		done salvageStage
		run  func() error
	}{
		{salvageHasCatalog, s.salvageCatalog},
		{salvageHasFiles, s.salvageFiles},
		{salvageHasRows, s.salvageRows},
		{salvageHasLog, s.beginLog},
	}
	for _, step := range steps {
		if s.report.Stage >= step.done {
			continue
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := step.run(); err != nil {
			return err
		}
		s.report.Stage = step.done
		if err := s.save(); err != nil {
			return err
		}
	}
	return s.end()
}

// begin finds out whether there is anything to do.
func (s *salvage) begin() (damaged bool, err error) {
	exists, err := s.exists(salvagingDir)
	if err != nil {
		return false, err
	}
	if exists {
		if err := s.load(); err != nil {
			return false, err
		}
	}
	if s.report.Dir == "" {
		c := newChecker(s.ctx, CheckOptions{DataDir: s.e.opts.DataDir, FS: s.e.opts.FS, Logger: s.e.opts.Logger})
		checked, err := c.run((*checker).checkClosed)
		if err != nil {
			return false, err
		}
		if checked.Damage == 0 && !exists {
			s.report.Nothing = true
			return false, nil
		}
		s.report.Begun = s.e.opts.Now().UTC()
		s.report.Dir = salvagedPrefix + s.report.Begun.Format("20060102T150405Z")
		s.report.Findings = slices.DeleteFunc(checked.Findings, func(f Finding) bool { return f.Severity == Note })
	}
	if err := durable.MkdirAll(s.e.opts.FS, s.e.path(salvagingDir)); err != nil {
		return false, err
	}
	if err := s.save(); err != nil {
		return false, err
	}
	return true, errors.Join(s.install(catalogDir), s.install(walDir))
}

// beginLog puts a new log, which goes on behind the last record, in place of the old one.
func (s *salvage) beginLog() error {
	building := s.e.path(walDir + buildingSuffix)
	if err := s.e.opts.FS.RemoveAll(building); err != nil {
		return fmt.Errorf("removing %s: %w", building, err)
	}
	log, err := wal.Open(wal.Options{
		FS: s.e.opts.FS, Dir: building, SegmentBytes: s.e.opts.WALSegmentBytes, Logger: s.e.opts.Logger,
	}, s.report.Log.Last, func(schema.Seq, []byte) error { return nil })
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		return fmt.Errorf("beginning a new log: %w", err)
	}
	return s.replaceDir(walDir)
}

// end gives the directory of the salvage its final name.
func (s *salvage) end() error {
	var text bytes.Buffer
	if err := s.report.WriteText(&text); err != nil {
		return err
	}
	if err := s.writeFile(reportText, text.Bytes()); err != nil {
		return err
	}
	if s.e.catalog != nil {
		if err := s.e.catalog.Close(); err != nil {
			return err
		}
	}
	return s.rename(salvagingDir, s.report.Dir)
}

// openCatalog opens the catalog, which is sound now, and notes where it stands.
func (s *salvage) openCatalog() error {
	if s.e.catalog != nil {
		return nil
	}
	c, err := catalog.Open(catalog.Options{
		FS: s.e.opts.FS, Dir: s.e.path(catalogDir), Logger: s.e.opts.Logger, Limits: s.e.opts.Limits, Now: s.e.opts.Now,
	})
	if err != nil {
		return fmt.Errorf("opening the catalog: %w", err)
	}
	s.e.catalog = c
	return durable.MkdirAll(s.e.opts.FS, s.e.path(filesDir))
}

// exists reports whether there is something of that name in the data directory.
func (s *salvage) exists(name string) (bool, error) {
	_, err := s.e.opts.FS.Stat(s.e.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", s.e.path(name), err)
	}
	return true, nil
}

// replaceDir puts a directory that was built in place of the old one, which is moved
// aside. From the first renaming on a repetition completes it.
func (s *salvage) replaceDir(name string) error {
	if err := s.rename(name+buildingSuffix, name+rebuiltSuffix); err != nil {
		return err
	}
	return s.install(name)
}

// install completes replaceDir.
func (s *salvage) install(name string) error {
	ready, err := s.exists(name + rebuiltSuffix)
	if err != nil || !ready {
		return err
	}
	old, err := s.exists(name)
	if err != nil {
		return err
	}
	if old {
		if err := s.moveAside(name); err != nil {
			return err
		}
	}
	return s.rename(name+rebuiltSuffix, name)
}

// moveAside moves something to the same place below salvaging/.
func (s *salvage) moveAside(name string) error {
	if err := durable.MkdirAll(s.e.opts.FS, s.e.path(path.Join(salvagingDir, path.Dir(name)))); err != nil {
		return err
	}
	return s.rename(name, path.Join(salvagingDir, name))
}

// rename moves something within the data directory, durably; a name that is taken gets
// a number behind it.
func (s *salvage) rename(from, to string) error {
	fs, free := s.e.opts.FS, to
	for i := 2; ; i++ {
		taken, err := s.exists(free)
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		free = fmt.Sprintf("%s-%d", to, i)
	}
	if err := fs.Rename(s.e.path(from), s.e.path(free)); err != nil {
		return fmt.Errorf("moving %s: %w", s.e.path(from), err)
	}
	if err := durable.SyncDir(fs, s.e.path(path.Dir(free))); err != nil {
		return err
	}
	return durable.SyncDir(fs, s.e.path(path.Dir(from)))
}

// refuseHalfSalvaged refuses a directory that a salvage has not finished with.
func (e *Engine) refuseHalfSalvaged() error {
	_, err := e.opts.FS.Stat(e.path(salvagingDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for %s: %w", e.path(salvagingDir), err)
	}
	return fmt.Errorf("%w: a salvage of %s was interrupted; finish it with: siltstone recover --data-dir %s --salvage",
		ErrDamaged, e.opts.DataDir, e.opts.DataDir)
}
