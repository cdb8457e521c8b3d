package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/siltstone-db/siltstone/bench/tsbs"
)

// peer is a database that the same work is given to.
type peer struct {
	key, name string
	// durable says when an answer to a write means that the rows survive a power cut.
	durable string
	// get makes the programs available that launch needs. An *unavailableError is no fault: the
	// comparison goes on without it.
	get func(context.Context, cache) (programs, error)
	// launch starts a server that keeps its data in dir.
	launch func(ctx context.Context, b *bench, p programs, dir string) (*running, error)
}

// programs are paths of what a peer is started with, by name.
type programs map[string]string

// running is a server that has been started.
type running struct {
	*child
	endpoint
	dialect
	dataDir     string
	writeTarget string
	// settle has the server write everything to where it stays, as far as it can be asked to.
	settle func(context.Context) error
	// count asks for the rows of the table cpu.
	count func() (int, error)
}

// dialect is how a server is asked questions.
type dialect struct {
	// request words a question; ok is false where there is no way to.
	request func(tsbs.Query) (r request, ok bool)
	// rows counts those of an answer.
	rows func([]byte) (int, error)
}

// unavailableError occurs when a peer cannot be had on this machine.
type unavailableError struct{ reason string }

func (e *unavailableError) Error() string { return e.reason }

// need returns an error that names the first program that is missing.
func need(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return &unavailableError{fmt.Sprintf("the program %s is not on this machine", name)}
		}
	}
	return nil
}

// cache is the directory that keeps programs between runs.
type cache string

func newCache(parts ...string) (cache, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a directory for other databases: %w", err)
	}
	return cache(filepath.Join(append([]string{base}, parts...)...)), nil
}

// install returns a path below a directory of the cache, which it makes, whole or not at all, with
// the commands if it is not there. Each is run by the shell in the new directory.
func (c cache) install(ctx context.Context, name, path string, commands ...string) (string, error) {
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
		cmd.Env = append(os.Environ(), "HOME_OF_PEER="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", &unavailableError{fmt.Sprintf("%q failed: %v: %s", command, err, lastLine(out))}
		}
	}
	if err := os.Rename(unfinished, home); err != nil {
		return "", err
	}
	return whole, nil
}

// freePort returns a port of loopback that was free a moment ago, for servers that cannot be told
// to take any.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// diskBytes is what the files below a directory take on the disk.
func diskBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		const block = 512 // of st_blocks, whatever the file system's are
		total += info.Sys().(*syscall.Stat_t).Blocks * block
		return nil
	})
	return total, err
}
