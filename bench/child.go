package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a server process that this one has started.
type child struct {
	what    string // for errors
	logFile string // receives what it prints
	cmd     *exec.Cmd
	exited  chan error // receives the end of the process, once
	ended   bool
}

const (
	readyTimeout = 2 * time.Minute
	readyPoll    = time.Millisecond
	stopTimeout  = 30 * time.Second
)

// endedBySignal is the status of a Java program that SIGTERM has ended in an orderly way.
const endedBySignal = 128 + int(syscall.SIGTERM)

// startChild starts a program; env is added to the environment.
func startChild(what, logFile string, env []string, program string, args ...string) (*child, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("the log of %s: %w", what, err)
	}
	defer log.Close()
	c := &child{what: what, logFile: logFile, cmd: exec.Command(program, args...), exited: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = append(os.Environ(), env...)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", what, err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	return c, nil
}

// await waits until the process is ready. If it never is, the process is killed, and the error
// has its log.
func (c *child) await(ctx context.Context, isReady func() bool) error {
	if err := c.poll(ctx, isReady); err != nil {
		c.kill()
		return fmt.Errorf("%w; its log ends with:\n%s", err, c.lastWords())
	}
	return nil
}

func (c *child) poll(ctx context.Context, isReady func() bool) error {
	timeout := time.After(readyTimeout)
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !isReady() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.exited:
			c.ended = true
			return fmt.Errorf("%s ended at once: %s", c.what, exitText(err))
		case <-timeout:
			return fmt.Errorf("%s is not ready after %s", c.what, readyTimeout)
		case <-tick.C:
		}
	}
	return nil
}

// exitText says how a process ended; nil is success.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// kill ends the process as a crash would, and waits for its end.
func (c *child) kill() {
	if c.ended {
		return
	}
	_ = c.cmd.Process.Kill() // the process may have ended by itself
	<-c.exited
	c.ended = true
}

// stop ends the process in an orderly way.
func (c *child) stop() error {
	err := c.end()
	if err != nil {
		return fmt.Errorf("stopping %s: %w; its log ends with:\n%s", c.what, err, c.lastWords())
	}
	return nil
}

// end asks the process to end and returns how it did.
func (c *child) end() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-c.exited:
		c.ended = true
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == endedBySignal {
			return nil
		}
		return err
	case <-time.After(stopTimeout):
		return fmt.Errorf("it did not end within %s", stopTimeout)
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// log returns what the process has printed.
func (c *child) log() string {
	text, err := os.ReadFile(c.logFile)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text))
}

// lastWords are the end of the log, for people.
func (c *child) lastWords() string {
	const enough = 20
	lines := strings.Split(c.log(), "\n")
	return strings.Join(lines[max(len(lines)-enough, 0):], "\n")
}
