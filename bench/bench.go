package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench is one run of the program: its settings, a directory of its own, and the
// binary to measure.
type bench struct {
	settings *settings
	dir      string
	start    time.Time

	server  string // path of the binary, built on first use
	version string // what it says about itself

	notes []string // what a reader of the next table has to know
}

func newBench(ctx context.Context, s *settings) (*bench, error) {
	dir, err := os.MkdirTemp(s.Dir, "siltstone-bench-")
	if err != nil {
		return nil, fmt.Errorf("directory for the run: %w", err)
	}
	b := &bench{settings: s, dir: dir, start: time.Now()}
	if s.Server != "" {
		if b.server, err = filepath.Abs(s.Server); err == nil {
			err = b.readVersion(ctx)
		}
		if err != nil {
			b.close()
			return nil, fmt.Errorf("--server: %w", err)
		}
	}
	return b, nil
}

// close removes everything that the run has written, but for its record.
func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// progress tells people what goes on; tables alone go to standard output.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs "+format+"\n", append([]any{time.Since(b.start).Seconds()}, args...)...)
}

// fresh returns a new directory, and what removes it.
func (b *bench) fresh() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

const commandPackage = "github.com/siltstone-db/siltstone/cmd/siltstone"

// binary returns the siltstone binary, which it builds as the Makefile does.
func (b *bench) binary(ctx context.Context) (string, error) {
	if b.server != "" {
		return b.server, nil
	}
	b.progress("building the server")
	out := filepath.Join(b.dir, "siltstone")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "duckdb_arrow", "-trimpath", "-ldflags", "-s -w", "-o", out, commandPackage)
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, text)
	}
	b.server = out
	return out, b.readVersion(ctx)
}

func (b *bench) readVersion(ctx context.Context) error {
	text, err := exec.CommandContext(ctx, b.server, "version").Output()
	if err != nil {
		return fmt.Errorf("asking the server for its version: %w", err)
	}
	b.version = strings.TrimSpace(string(text))
	return nil
}
