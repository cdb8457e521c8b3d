package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a child process that serves a data directory.
type server struct {
	dir     string // holds the data directory, the log and the address file
	address string
	cmd     *exec.Cmd
	exited  chan error // receives the end of the process, once
	ended   bool
}

const (
	readyTimeout = 2 * time.Minute
	readyPoll    = time.Millisecond
	stopTimeout  = 30 * time.Second
)

// serve starts the server on dir and waits until it is ready.
func (b *bench) serve(ctx context.Context, dir string, flags ...string) (*server, error) {
	binary, err := b.binary(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, exited: make(chan error, 1)}
	log, err := os.Create(s.logFile())
	if err != nil {
		return nil, fmt.Errorf("the server's log: %w", err)
	}
	defer log.Close()
	addressFile := filepath.Join(dir, "address")
	if err := os.Remove(addressFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the server's old address: %w", err)
	}
	args := append([]string{"serve", "--data-dir", s.dataDir(), "--http-bind", "127.0.0.1:0", "--tcp-listener-file-path", addressFile}, flags...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	if err := s.waitReady(ctx, addressFile); err != nil {
		s.kill()
		return nil, fmt.Errorf("%w; its log says:\n%s", err, s.log())
	}
	return s, nil
}

func (s *server) dataDir() string { return filepath.Join(s.dir, "data") }
func (s *server) logFile() string { return filepath.Join(s.dir, "log") }

// waitReady waits for the file that the server writes when it is ready.
func (s *server) waitReady(ctx context.Context, addressFile string) error {
	timeout := time.After(readyTimeout)
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.exited:
			s.ended = true
			return fmt.Errorf("the server ended at once: %s", exitText(err))
		case <-timeout:
			return fmt.Errorf("the server is not ready after %s", readyTimeout)
		case <-tick.C:
			if text, err := os.ReadFile(addressFile); err == nil {
				s.address = string(text)
				return nil
			}
		}
	}
}

// exitText says how a process ended; nil is success.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// kill ends the process as a crash would, and waits for its end.
func (s *server) kill() {
	if s.ended {
		return
	}
	_ = s.cmd.Process.Kill() // the process may have ended by itself
	<-s.exited
	s.ended = true
}

// stop ends the process in an orderly way.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	select {
	case err := <-s.exited:
		s.ended = true
		if err != nil {
			return fmt.Errorf("stopping the server: %w; its log says:\n%s", err, s.log())
		}
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the server did not stop within %s", stopTimeout)
	}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// log returns what the server has logged, for people.
func (s *server) log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text))
}

// parquetBytes is the size of all Parquet files.
func (s *server) parquetBytes() (total int64, err error) {
	err = filepath.WalkDir(s.dataDir(), func(path string, d fs.DirEntry, err error) error {
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
