package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// trialTimeout ends a trial that hangs: several times what the longest takes.
const trialTimeout = 20 * time.Minute

// stopWait is how long an interrupted trial may take to stop what it has started.
const stopWait = 15 * time.Second

// runner runs trials one at a time: each uses all processors.
type runner struct {
	ctx   context.Context
	dir   string            // holds the compiled tests
	built map[string]string // compiled tests by package
	out   io.Writer
}

func newRunner(ctx context.Context) (*runner, error) {
	dir, err := os.MkdirTemp("", "siltstone-torture-")
	if err != nil {
		return nil, err
	}
	return &runner{ctx: ctx, dir: dir, built: make(map[string]string), out: os.Stdout}, nil
}

func (r *runner) close() { _ = os.RemoveAll(r.dir) }

// rounds runs the trials in turn until the time is over. A trial that ran before is not
// begun unless it is likely to end in time.
func (r *runner) rounds(chosen []trial, seed uint64, total time.Duration) *results {
	all := newResults(chosen)
	begin := time.Now()
	for round := 0; ; round++ {
		ran := false
		for i := range chosen {
			left := total - time.Since(begin)
			if r.ctx.Err() != nil || left <= 0 || all.trials[i].longest > left {
				continue
			}
			ran = true
			r.run(&all.trials[i], seed+uint64(round*len(chosen)+i), left)
		}
		all.took = time.Since(begin)
		if !ran {
			return all
		}
	}
}

// run runs a trial once and notes what came of it.
func (r *runner) run(res *trialResult, seed uint64, left time.Duration) {
	begin := time.Now()
	cmd, rerun, err := r.command(res.trial, seed)
	var output []byte
	if err == nil {
		output, err = r.output(cmd)
	}
	took := time.Since(begin)
	if r.ctx.Err() != nil {
		return // interrupted: says nothing
	}
	res.add(took, output)
	state := "ok"
	switch {
	case err != nil:
		res.failed++
		state = "FAILED: " + err.Error()
	case isSkipped(output):
		res.skipped = skipReason(output)
		state = "skipped: " + res.skipped
	}
	fmt.Fprintf(r.out, "%-14s seed %-11d %6.1fs  %s  (%s left)\n", res.trial.name, seed, took.Seconds(), state, (left - took).Round(time.Second))
	if err != nil {
		fmt.Fprintf(r.out, "%s\nrepeat it: %s\n", tail(output, failureLines), rerun)
	}
}

// command returns what runs a trial and what somebody would type to repeat it.
func (r *runner) command(t trial, seed uint64) (cmd *exec.Cmd, rerun string, err error) {
	ctx := r.ctx
	if t.fuzz != "" {
		args := []string{"test", "-tags", buildTag, "-run", "^$", "-fuzz", "^" + t.fuzz + "$", "-fuzztime", fuzzTime, "-fuzzminimizetime", "20x", "./" + t.pkg}
		return exec.CommandContext(ctx, "go", args...), "go " + strings.Join(args, " ") + "  (the input is kept below testdata/fuzz)", nil
	}
	args := append([]string{"-run", t.run}, t.args...)
	if t.seeded {
		args = append(args, "-seed", strconv.FormatUint(seed, 10))
	}
	rerun = fmt.Sprintf("go test -tags %s -count 1 -timeout %s ./%s %s", buildTag, trialTimeout, t.pkg, quoted(args))
	binary, err := r.build(t.pkg)
	if err != nil {
		return nil, rerun, err
	}
	for i, a := range args {
		if a == "-run" {
			args[i] = "-test.run"
		}
	}
	args = append([]string{"-test.v", "-test.count=1", "-test.timeout=" + trialTimeout.String()}, args...)
	cmd = exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.FromSlash(t.pkg)
	return cmd, rerun, nil
}

// build compiles the tests of a package, once.
func (r *runner) build(pkg string) (string, error) {
	if binary, ok := r.built[pkg]; ok {
		return binary, nil
	}
	binary, err := filepath.Abs(filepath.Join(r.dir, strings.ReplaceAll(pkg, "/", "-")+".test"))
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(r.ctx, "go", "test", "-c", "-tags", buildTag, "-o", binary, "./"+pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compiling the tests of %s: %w\n%s", pkg, err, out)
	}
	r.built[pkg] = binary
	return binary, nil
}

// output runs a command to its end. An interrupt reaches its children too, and they may
// stop in an orderly way.
func (r *runner) output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("exit status %d", exit.ExitCode())
	}
	return out.Bytes(), err
}

func quoted(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsAny(a, "^$|() ") {
			a = "'" + a + "'"
		}
		b.WriteString(a)
	}
	return b.String()
}
