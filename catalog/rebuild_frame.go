package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Around its tables and logs Pebble keeps a frame: the options it was opened with, markers
// whose names say which manifest is current, and the manifest, which lists the tables. None of
// them holds a record, and Pebble opens nothing where one is damaged. So, in this order:
//
//  1. the store is opened as it is;
//  2. it is opened without its options and with markers made anew;
//  3. the records are read from the tables and logs, without Pebble (rebuild_raw.go).
//
// The last is the weakest: only the manifest knows which tables and logs are no longer in use.

// Names of the frame's files.
const (
	optionsPrefix  = "OPTIONS-"
	manifestPrefix = "MANIFEST-"
	manifestMarker = markerPrefix + "manifest."
)

// errLostTables says that the manifest does not list all tables.
var errLostTables = errors.New("its manifest is cut")

// isFrameBroken reports whether there may be more than what Pebble showed, or refused to: a
// manifest that was cut lists only the tables of some time before, and that is no error.
func (r *Remains) isFrameBroken(dir string) bool {
	if r.store == nil || r.header == nil || errors.Is(r.Unreadable, errLostCommits) {
		return true
	}
	if r.Unreadable != nil || len(r.Lost) > 0 {
		return false // that explains what is missing
	}
	_, err := loadChecked(r.store, dir)
	return err != nil && r.store.hasUnlisted()
}

// hasUnlisted reports whether there are tables that the manifest does not list.
func (s *store) hasUnlisted() bool {
	listed, err := s.tables()
	if err != nil {
		return true
	}
	names, _ := s.fs.List(s.dir) // where that fails, so did opening
	return slices.ContainsFunc(names, func(name string) bool {
		return strings.HasSuffix(name, tableSuffix) && !slices.Contains(listed, name)
	})
}

// withoutFrame returns what can be read of a store whose frame is broken, or r if that is not
// more. What is not returned is closed. The errors are those of ReadRemains.
func (r *Remains) withoutFrame(o *Options) (*Remains, error) {
	broken := cmp.Or(r.Unreadable, errLostTables)
	if fs, ok := newFrameFS(o); ok {
		framed := *o
		framed.FS = fs
		mended, err := readStore(&framed)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if mended.Unreadable == nil && !mended.isFrameBroken(o.Dir) {
			mended.Notes = append(mended.Notes, fmt.Sprintf("the records of the old catalog were read without its %s* and %s* files, which hold none; nothing is missing but what is called lost here: %v",
				optionsPrefix, markerPrefix, broken))
			return mended, r.Close()
		}
		if err := mended.Close(); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	raw, err := readRaw(o)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	isOlder := raw.commits < r.commits || raw.commits == r.commits && errors.Is(broken, errLostCommits)
	if len(raw.raw.records) == 0 || r.header != nil && isOlder { // then the manifest is not to blame
		return r, nil
	}
	raw.Notes = append(raw.Notes, fmt.Sprintf("the records of the old catalog were read from its tables and logs, without the %s* file that says which of them "+
		"are in use; SOMETHING THAT WAS DELETED MAY BE BACK, look for tokens, tables and databases that should not be there: %v", manifestPrefix, broken))
	return raw, r.Close()
}

// frameFS shows the directory of a store without its options, and with markers made anew.
// The markers need not exist: their names say everything.
type frameFS struct {
	vfs.FS
	dir     string
	markers []string
}

// newFrameFS fails if there is no manifest.
func newFrameFS(o *Options) (*frameFS, bool) {
	names, err := o.FS.List(o.Dir)
	manifest := currentManifest(names)
	if err != nil || manifest == "" {
		return nil, false
	}
	return &frameFS{FS: o.FS, dir: o.Dir, markers: []string{
		manifestMarker + "000001." + manifest,
		markerPrefix + "format-version.000001." + pebbleFormat.String(),
	}}, true
}

// currentManifest is the one that the newest marker names, even if it is not there: one that is
// left from before is that of an older catalog. Without a marker it is the newest one.
func currentManifest(names []string) (manifest string) {
	marker := ""
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, manifestMarker); ok && newer(rest, marker) {
			marker = rest
		}
		if strings.HasPrefix(name, manifestPrefix) && newer(name, manifest) {
			manifest = name
		}
	}
	if _, named, ok := strings.Cut(marker, "."); ok && strings.HasPrefix(named, manifestPrefix) {
		return named
	}
	return manifest
}

// newer compares names that differ in a number of six digits or more.
func newer(name, than string) bool {
	if len(name) != len(than) {
		return len(name) > len(than)
	}
	return name > than
}

func (fs *frameFS) List(dir string) ([]string, error) {
	names, err := fs.FS.List(dir)
	if err != nil || dir != fs.dir {
		return names, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, optionsPrefix) || strings.HasPrefix(name, markerPrefix)
	})
	return append(names, fs.markers...), nil
}

func (fs *frameFS) Unwrap() vfs.FS { return fs.FS }
