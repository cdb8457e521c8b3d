//go:build duckdb_arrow

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cgroupRoot is where control groups are mounted; version 1 has a hierarchy for each
// controller below it.
const cgroupRoot = "/sys/fs/cgroup"

// memoryGroup is a control group, of version 1 or 2, that limits memory.
type memoryGroup struct {
	t    *testing.T
	path string
	isV2 bool
}

// newMemoryGroup makes a group below our own, and removes it at the end of the test. It
// skips the test where that is not possible.
func newMemoryGroup(t *testing.T, limitBytes int64) *memoryGroup {
	t.Helper()
	parent, isV2, ok := ownMemoryGroup()
	if !ok {
		t.Skip("there is no memory controller of control groups below " + cgroupRoot)
	}
	g := &memoryGroup{t: t, path: filepath.Join(parent, fmt.Sprintf("siltstone-%d-%d", os.Getpid(), time.Now().UnixNano())), isV2: isV2}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		t.Skipf("limiting a server's memory takes the right to make a control group: %v", err)
	}
	t.Cleanup(g.remove)
	limit := "memory.limit_in_bytes"
	if isV2 {
		limit = "memory.max"
	}
	if err := os.WriteFile(filepath.Join(g.path, limit), []byte(strconv.FormatInt(limitBytes, 10)), 0o644); err != nil {
		t.Skipf("limiting a server's memory takes the memory controller: %v", err)
	}
	// Without swap, or what is too much would be slow instead of fatal; a kernel may not have either file.
	_ = os.WriteFile(filepath.Join(g.path, "memory.swap.max"), []byte("0"), 0o644)
	_ = os.WriteFile(filepath.Join(g.path, "memory.swappiness"), []byte("0"), 0o644)
	return g
}

// ownMemoryGroup returns the directory of the group that limits this process's memory.
func ownMemoryGroup() (dir string, isV2, ok bool) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false, false
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "memory" {
			continue
		}
		base, isV2 := cgroupRoot, true
		if parts[1] == "memory" {
			base, isV2 = filepath.Join(cgroupRoot, "memory"), false
		}
		// Inside a container the group's own path may not be visible.
		for _, dir := range []string{filepath.Join(base, parts[2]), base} {
			file := "memory.limit_in_bytes"
			if isV2 {
				file = "cgroup.subtree_control"
			}
			content, err := os.ReadFile(filepath.Join(dir, file))
			if err == nil && (!isV2 || strings.Contains(string(content), "memory")) {
				return dir, isV2, true
			}
		}
	}
	return "", false, false
}

// enter is a command that runs another one inside of the group.
func (g *memoryGroup) enter() []string {
	return []string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.path, "cgroup.procs")}
}

// kills is how many processes of the group the kernel has killed for lack of memory.
func (g *memoryGroup) kills() int {
	g.t.Helper()
	file := "memory.oom_control"
	if g.isV2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.path, file))
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				g.t.Fatal(err)
			}
			return count
		}
	}
	return 0
}

// squeeze starts a process in the group that takes all of its memory, and sees to it that
// the kernel prefers to kill the server. What it returns waits for its end.
func (g *memoryGroup) squeeze(srv *server, bytes int64) (done func()) {
	g.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", srv.cmd.Process.Pid), []byte("1000"), 0o644); err != nil {
		g.t.Fatal(err)
	}
	args := append(g.enter(), "sh", "-c", fmt.Sprintf("head -c %d /dev/zero | tail -c %d", bytes, bytes))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()
	}
}

func (g *memoryGroup) remove() {
	// A process that was killed leaves its group a moment later.
	for deadline := time.Now().Add(patience); ; time.Sleep(pollEvery) {
		err := os.Remove(g.path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			g.t.Error(err)
			return
		}
	}
}

// peakBytes is the most memory that the process ever held, without the page cache. It
// is 0 where the process has ended.
func (s *server) peakBytes() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				s.site.t.Fatal(err)
			}
			return kib << 10
		}
	}
	return 0
}
