// Package thirdparty gets other databases, for the benchmarks and for the tests that compare
// ours with them. What it gets stays in the user's cache directory.
package thirdparty

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// UnavailableError occurs when a program cannot be had on this machine.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string { return e.Reason }

// Need returns an *UnavailableError that names the first program that is missing.
func Need(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return &UnavailableError{fmt.Sprintf("the program %s is not on this machine", name)}
		}
	}
	return nil
}

// Cache is the directory that keeps programs between runs.
type Cache string

// NewCache returns a directory of the user's cache.
func NewCache(name string) (Cache, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a directory for other databases: %w", err)
	}
	return Cache(filepath.Join(base, name)), nil
}

// Install returns a path below the directory name of the cache. If it is not there the commands
// make that directory, whole or not at all: each is run by the shell in a new directory, which becomes
// $HOME_OF_PEER when all have ended. A command that fails is an *UnavailableError.
func (c Cache) Install(ctx context.Context, name, path string, commands ...string) (string, error) {
	home := filepath.Join(string(c), name)
	whole := filepath.Join(home, path)
	if _, err := os.Stat(whole); err == nil {
		return whole, nil
	}
	if err := os.MkdirAll(string(c), 0o755); err != nil {
		return "", err
	}
	unfinished, err := os.MkdirTemp(string(c), "unfinished-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unfinished)
	for _, command := range commands {
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Dir = unfinished
		cmd.Env = append(cmd.Environ(), "HOME_OF_PEER="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", &UnavailableError{fmt.Sprintf("%q failed: %v: %s", command, err, LastLine(out))}
		}
	}
	if err := os.Rename(unfinished, home); err != nil {
		return "", err
	}
	return whole, nil
}

// LastLine is where programs say why they ended.
func LastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:]
}
