package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Files of a demo directory, besides the data.
const (
	logName     = "siltstone.log"
	addressName = "address"
	serverName  = "server.json"
)

// childServer is a server that the demo has started, as its directory remembers it.
type childServer struct {
	Host      string `json:"host"`
	PID       int    `json:"pid"`
	ProcessID string `json:"process_id"` // as /ping says it
}

// errNoServer: no server of this directory is running.
var errNoServer = errors.New("no server is running")

// findServer returns the server that an earlier demo has left running in dir. It is
// taken for that server only if it still says the same process id.
func findServer(ctx context.Context, dir string, token tokenFlag) (childServer, error) {
	text, err := os.ReadFile(filepath.Join(dir, serverName))
	if errors.Is(err, os.ErrNotExist) {
		return childServer{}, errNoServer
	}
	if err != nil {
		return childServer{}, err
	}
	var s childServer
	if json.Unmarshal(text, &s) != nil || s.Host == "" {
		return childServer{}, errNoServer // half a file: its demo was killed
	}
	host := hostFlag{Host: s.Host, tokenFlag: token}
	id, err := ping(ctx, host)
	var refused *serverError
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && lockOwner(filepath.Join(dir, "data")) != "" {
		return childServer{}, fmt.Errorf("the demo's server is running at %s: %w", s.Host, err)
	}
	if err != nil || id != s.ProcessID {
		return childServer{}, errNoServer
	}
	if err := waitHealthy(ctx, host, nil); err != nil {
		return childServer{}, fmt.Errorf("the server at %s, process %d, does not get ready: %w", s.Host, s.PID, err)
	}
	return s, nil
}

// freeBind returns an address with the port of bind, or, when somebody has it, with a
// free one and a note that says so.
func freeBind(bind string) (address, note string) {
	l, err := net.Listen("tcp", bind)
	if err == nil {
		_ = l.Close()
		return bind, ""
	}
	host, _, splitErr := net.SplitHostPort(bind)
	if splitErr != nil || !errors.Is(err, syscall.EADDRINUSE) {
		return bind, "" // serve says what is wrong with it
	}
	return net.JoinHostPort(host, "0"), fmt.Sprintf("%s is taken, so the demo uses a free port.", bind)
}

// startServer starts `siltstone serve` in a session of its own, so that it outlives
// this process and its terminal, and waits until it is ready.
func startServer(ctx context.Context, dir, bind string, token tokenFlag) (childServer, error) {
	self, err := os.Executable()
	if err != nil {
		return childServer{}, err
	}
	addressFile := filepath.Join(dir, addressName)
	if err := os.Remove(addressFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return childServer{}, err
	}
	logFile, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return childServer{}, err
	}
	defer logFile.Close()
	logged, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return childServer{}, err
	}
	cmd := exec.Command(self, "serve", "--data-dir", filepath.Join(dir, "data"), "--http-bind", bind,
		"--tcp-listener-file-path", addressFile)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return childServer{}, fmt.Errorf("starting the server: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	address, err := waitAddress(ctx, addressFile, exited)
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return childServer{}, fmt.Errorf("%w\n%s", err, since(logFile.Name(), logged))
	}
	return remember(ctx, dir, childServer{Host: "http://" + address, PID: cmd.Process.Pid}, token)
}

// remember completes s and writes it down for the next demo.
func remember(ctx context.Context, dir string, s childServer, token tokenFlag) (childServer, error) {
	var err error
	if s.ProcessID, err = ping(ctx, hostFlag{Host: s.Host, tokenFlag: token}); err != nil {
		return childServer{}, fmt.Errorf("the new server does not answer: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return childServer{}, err
	}
	return s, os.WriteFile(filepath.Join(dir, serverName), text, 0o640)
}

const (
	readyTimeout = 2 * time.Minute // a crashed server may have much to recover
	readyPoll    = 20 * time.Millisecond
)

// waitAddress waits for the file that serve writes when it is ready.
func waitAddress(ctx context.Context, file string, exited <-chan error) (string, error) {
	var address string
	err := poll(ctx, exited, func() bool {
		text, err := os.ReadFile(file)
		address = string(text)
		return err == nil
	})
	return address, err
}

// waitHealthy waits until a server lets requests in.
func waitHealthy(ctx context.Context, host hostFlag, exited <-chan error) error {
	return poll(ctx, exited, func() bool { return healthy(ctx, host) })
}

// poll asks done until it is true, the server has exited or time is up.
func poll(ctx context.Context, exited <-chan error, done func() bool) error {
	timeout := time.After(readyTimeout)
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case err := <-exited:
			if err == nil {
				err = errors.New("exit status 0")
			}
			return fmt.Errorf("the server ended at once: %w", err)
		case <-timeout:
			return fmt.Errorf("the server is not ready after %s", readyTimeout)
		case <-tick.C:
		}
	}
	return nil
}

// since returns what a log holds from an offset on, for an error message.
func since(file string, offset int64) string {
	text, err := os.ReadFile(file)
	if err != nil || int64(len(text)) < offset {
		return "its log is " + file
	}
	return "its log says:\n" + string(bytes.TrimSpace(text[offset:]))
}
