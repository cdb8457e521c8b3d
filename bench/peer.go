package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

// peer is a database that the same work is given to.
type peer struct {
	key, name string
	// durable says when an answer to a write means that the rows survive a power cut.
	durable string
	// get makes the programs available that launch needs. A *thirdparty.UnavailableError is no fault: the
	// comparison goes on without it.
	get func(context.Context, thirdparty.Cache) (programs, error)
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
