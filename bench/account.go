package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// clockTicks is the unit of CPU times in /proc: USER_HZ, which is 100 on all
// architectures that Go runs on.
const clockTicks = 100

// usage is what has been spent up to some moment.
type usage struct {
	at      time.Time
	server  float64 // CPU seconds of the process under test
	client  float64 // of this process; 0 if it is under test itself
	machine float64 // of all processes, kernel included
}

// account reads the usage of this moment; pid is the process under test, which may be
// this one.
func account(pid int) (usage, error) {
	u := usage{at: time.Now()}
	var errs [3]error
	u.server, errs[0] = processCPU(strconv.Itoa(pid))
	if pid != os.Getpid() {
		u.client, errs[1] = processCPU("self")
	}
	u.machine, errs[2] = machineCPU()
	return u, errors.Join(errs[:]...)
}

// since returns what was spent from an earlier moment to this one.
func (u usage) since(begin usage) spent {
	s := spent{
		Wall:   u.at.Sub(begin.at).Seconds(),
		Server: u.server - begin.server,
		Client: u.client - begin.client,
	}
	s.Other = max(u.machine-begin.machine-s.Server-s.Client, 0)
	return s
}

const (
	settleWindow = 2 * time.Second
	idleCPU      = 0.15 // processors that may be busy on an idle machine
)

// settle waits until the machine is idle or the time that the user grants is over.
func (b *bench) settle(ctx context.Context) error {
	for until := time.Now().Add(b.settings.Settle); time.Now().Before(until); {
		begin, err := account(os.Getpid())
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleWindow):
		}
		end, err := account(os.Getpid())
		if err != nil {
			return err
		}
		if s := end.since(begin); s.Other < idleCPU*s.Wall {
			return nil
		}
	}
	return nil
}

// spent is a difference of usages, in seconds.
type spent struct {
	Wall, Server, Client float64
	Other                float64 // CPU of everybody else (B4)
}

// processCPU is the user and system time of a process and its threads, in seconds.
func processCPU(pid string) (float64, error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const user, system = 11, 12 // fields 14 and 15 of proc(5)
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%s/stat has %d fields", pid, len(fields))
	}
	return ticks(fields[user], fields[system])
}

// machineCPU is the time in which some processor was busy with anything but waiting.
func machineCPU() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq …
	if len(fields) < 8 {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	return ticks(fields[1], fields[2], fields[3], fields[6], fields[7])
}

// ticks adds numbers of clock ticks and returns seconds.
func ticks(numbers ...string) (float64, error) {
	var sum uint64
	for _, s := range numbers {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time: %w", err)
		}
		sum += n
	}
	return float64(sum) / clockTicks, nil
}

// peakMemory is the largest resident set that a process has had, in bytes.
func peakMemory(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	kib, err := field(string(text), "VmHWM:")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return kib << 10, nil
}

// resetPeakMemory has peakMemory of this process begin anew. What the last garbage collections have freed does not count.
func resetPeakMemory() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// field returns the number behind a key of a file in /proc.
func field(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			words := strings.Fields(rest)
			if len(words) == 0 {
				break
			}
			return strconv.ParseInt(words[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s", key)
}
