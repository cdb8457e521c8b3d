package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Severity says what a finding means.
type Severity string

const (
	// Damage: rows, or what is known of them, are lost or cannot be trusted.
	Damage Severity = "damage"
	// Warning: nothing is lost, but no sound run of the program leaves this.
	Warning Severity = "warning"
	// Note: nothing is wrong; a crash or a person leaves such things.
	Note Severity = "note"
)

// Finding is one thing that a check found.
type Finding struct {
	Severity Severity `json:"severity"`
	// File is below the data directory.
	File string `json:"file"`
	// Offset is the byte in File where it begins, as far as that is known; else 0.
	Offset int64 `json:"offset,omitempty"`
	// What is wrong, in one sentence without an end.
	What string `json:"what"`
	// Affected says which rows, of which database and table; empty where none are.
	Affected string `json:"affected,omitempty"`
	// Fix says what to do; empty where nothing needs to be done.
	Fix string `json:"fix,omitempty"`
}

// CheckOptions configure a check. Zero values mean the default.
type CheckOptions struct {
	// DataDir is the data directory; only the function Check reads it.
	DataDir string
	// FS is the file system; nil is the real one. Only the function Check reads it.
	FS vfs.FS
	// Logger receives Pebble's reports at debug level; nil discards them.
	Logger *slog.Logger
	// BytesPerSecond bounds what is read; 0 is no bound.
	BytesPerSecond int64
	// Found and Progress are called one at a time, from any goroutine.
	//
	// Found is called for each finding as soon as it is known; nil is nobody.
	Found func(Finding)
	// Progress is called now and then, and at the end; nil is nobody.
	Progress func(CheckProgress)
}

// CheckProgress says how far a check has come.
type CheckProgress struct {
	Bytes int64  `json:"bytes"` // read
	Total int64  `json:"total"` // that will have been read at the end, about
	File  string `json:"file"`  // being read, below the data directory
}

// CheckReport is what a check read and found.
type CheckReport struct {
	Findings []Finding `json:"-"`

	Damage   int `json:"damage"` // findings of each severity
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`

	Databases int           `json:"databases"`
	Tables    int           `json:"tables"`
	Files     int           `json:"files"`       // of Parquet
	Rows      uint64        `json:"rows"`        // in those files
	Records   int           `json:"records"`     // of the log that are not in files
	LogRows   int           `json:"log_rows"`    // in those records
	Keys      int           `json:"keys"`        // of rows, remembered by the catalog
	Bytes     int64         `json:"bytes"`       // read
	Took      time.Duration `json:"nanoseconds"` // of the check
}

// Err returns nil for a directory without damage; else it wraps ErrDamaged and names the
// first finding.
func (r *CheckReport) Err() error {
	for _, f := range r.Findings {
		if f.Severity == Damage {
			return fmt.Errorf("%w: %d findings; the first: %s", ErrDamaged, r.Damage, f)
		}
	}
	return nil
}

// String is the finding as one line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s", f.Severity, f.File)
	if f.Offset > 0 {
		s += fmt.Sprintf(", offset %d", f.Offset)
	}
	s += ": " + f.What
	if f.Affected != "" {
		s += "; affected: " + f.Affected
	}
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// Check verifies a data directory that no server uses, and changes nothing but the lock
// file, which it holds; on a file system that is mounted read-only it goes without. What it finds is in the report; an error says why it could not go
// on: ErrInUse, a format that a newer program wrote, the context's end, or a file that
// cannot be read. Then the report holds what was found until then.
func Check(ctx context.Context, opts CheckOptions) (CheckReport, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	lock, err := lockForCheck(opts)
	if err != nil {
		return CheckReport{}, err
	}
	c := newChecker(ctx, opts)
	if _, isUnlocked := lock.(noLock); isUnlocked {
		c.found(Finding{Severity: Note, File: ".", What: "its file system is mounted read-only, and it was checked without the lock: nobody can write there through this mount"})
	}
	report, err := c.run((*checker).checkClosed)
	if isNewer(err) {
		err = fmt.Errorf("%w; %w", err, ErrNewerFormat)
	}
	return report, errors.Join(err, lock.Close())
}

// lockForCheck makes sure that there is a data directory which nobody uses.
func lockForCheck(o CheckOptions) (io.Closer, error) {
	info, err := o.FS.Stat(o.DataDir)
	if err != nil {
		return nil, fmt.Errorf("looking at the data directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory", o.DataDir)
	}
	lock, err := lockDir(o.FS, o.DataDir, "check it through its server with --host, or stop that first")
	if errors.Is(err, syscall.EROFS) {
		return noLock{}, nil
	}
	return lock, err
}

// noLock is in place of the lock of a directory that cannot be written.
type noLock struct{}

func (noLock) Close() error { return nil }
