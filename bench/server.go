package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// server is a child process of our binary that serves a data directory.
type server struct {
	*child
	endpoint
	dir string // holds the data directory, the log and the address file
}

// serve starts the server on dir and waits until it is ready.
func (b *bench) serve(ctx context.Context, dir string, flags ...string) (*server, error) {
	binary, err := b.binary(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	addressFile := filepath.Join(dir, "address")
	if err := os.Remove(addressFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the server's old address: %w", err)
	}
	args := append([]string{"serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0", "--tcp-listener-file-path", addressFile}, flags...)
	if s.child, err = startChild("the server", filepath.Join(dir, "log"), serverEnvironment, binary, args...); err != nil {
		return nil, err
	}
	err = s.await(ctx, func() bool {
		text, err := os.ReadFile(addressFile)
		s.address = string(text)
		return err == nil
	})
	return s, err
}

// serveFresh starts the server on a new directory. What it has written stays until discard is called.
func (b *bench) serveFresh(ctx context.Context, flags ...string) (*server, error) {
	dir, remove, err := b.fresh()
	if err != nil {
		return nil, err
	}
	s, err := b.serve(ctx, dir, flags...)
	if err != nil {
		remove()
	}
	return s, err
}

// discard kills the server and removes its directory.
func (s *server) discard() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

// serverEnvironment keeps the server from merging files at moments of its own, which would be
// measured by chance.
var serverEnvironment = []string{"SILTSTONE_COMPACTION=off"}

func (s *server) dataDir() string { return filepath.Join(s.dir, "data") }

// parquetBytes is the size of all Parquet files below a directory.
func parquetBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measuring the Parquet files: %w", err)
	}
	return total, nil
}

var replayedPattern = regexp.MustCompile(`msg="data directory is open".* replayed_rows=(\d+) took=(\S+)`)

// replayed is what the server says it has read from its log at its start.
func (s *server) replayed() (rows int, took time.Duration, err error) {
	match := replayedPattern.FindStringSubmatch(s.log())
	if match == nil {
		return 0, 0, errors.New("the server's log does not say how many rows were replayed")
	}
	rows, rowsErr := strconv.Atoi(match[1])
	took, tookErr := time.ParseDuration(match[2])
	return rows, took, errors.Join(rowsErr, tookErr)
}

// metric reads one figure that the server reports.
func (s *server) metric(name string) (float64, error) {
	answer, err := s.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(answer)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the server reports no %s", name)
}

// logBytes is what the log holds at the moment, and what has been written to it: more,
// because a new segment is filled with zeros ahead of the records.
func (s *server) logBytes() (held, written float64, err error) {
	if held, err = s.metric("siltstone_wal_bytes"); err != nil {
		return 0, 0, err
	}
	written, err = s.metric("siltstone_wal_written_bytes_total")
	return held, written, err
}

// storedFiles asks for the number of Parquet files of the database and their size. Files that
// were merged may stay on the disk a while longer.
func (s *server) storedFiles() (files, bytes float64, err error) {
	const sql = "SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::BIGINT AS bytes FROM system.parquet_files"
	text, err := s.once(queryRequest(sql), http.StatusOK)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the files: %w", err)
	}
	var held []struct{ Files, Bytes float64 }
	if err := decode(text, &held); err != nil {
		return 0, 0, fmt.Errorf("asking for the files: %w", err)
	}
	if len(held) != 1 {
		return 0, 0, errors.New("asking for the files: no answer")
	}
	return held[0].Files, held[0].Bytes, nil
}
