package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// record is what --json keeps of a run.
type record struct {
	Date      time.Time        `json:"date"`
	Server    string           `json:"server,omitempty"`
	Machine   machine          `json:"machine"`
	Repeat    int              `json:"repeat"`
	Scenarios []scenarioRecord `json:"scenarios"`
}

type scenarioRecord struct {
	Name     string       `json:"name"`
	Settings any          `json:"settings"`
	Cases    []caseResult `json:"cases"`
	Notes    []string     `json:"notes,omitempty"`
}

// machine is what a reader needs to know of the machine; fields that cannot be found
// out are empty.
type machine struct {
	CPU         string `json:"cpu"`
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memory_bytes"`
	Platform    string `json:"platform"`
	Kernel      string `json:"kernel"`
	FileSystem  string `json:"file_system"`
	Go          string `json:"go"`
}

func newRecord(b *bench) *record {
	return &record{Date: b.start.UTC().Truncate(time.Second), Machine: thisMachine(b.dir), Repeat: b.settings.Repeat}
}

// write writes the record to a file, if one is named.
func (r *record) write(name string) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("the record: %w", err)
	}
	if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("the record: %w", err)
	}
	return nil
}

// keep writes the scenarios of each command to its file.
func (r *record) keep(dir string) error {
	byFile := make(map[string]*record)
	for _, s := range r.Scenarios {
		name := recordName(s.Name)
		if byFile[name] == nil {
			part := *r
			part.Scenarios = nil
			byFile[name] = &part
		}
		byFile[name].Scenarios = append(byFile[name].Scenarios, s)
	}
	for name, part := range byFile {
		if err := part.write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// thisMachine describes the machine and the file system that holds dir.
func thisMachine(dir string) machine {
	m := machine{
		CPU: valueOf(contents("/proc/cpuinfo"), "model name"), CPUs: runtime.NumCPU(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		FileSystem: fileSystem(contents("/proc/self/mounts"), dir),
	}
	if kib, err := field(contents("/proc/meminfo"), "MemTotal:"); err == nil {
		m.MemoryBytes = kib << 10
	}
	// What follows the first dash names a build of the kernel, not its version.
	m.Kernel, _, _ = strings.Cut(strings.TrimSpace(contents("/proc/sys/kernel/osrelease")), "-")
	return m
}

// contents returns a file of /proc, or nothing when there is none.
func contents(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(text)
}

// valueOf returns what follows "key :" in a text of such lines.
func valueOf(text, key string) string {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem returns the kind of file system that holds dir, by the longest mount
// point above it.
func fileSystem(mounts, dir string) (kind string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	longest := -1
	for line := range strings.Lines(mounts) {
		words := strings.Fields(line) // device, mount point, kind …
		if len(words) < 3 {
			continue
		}
		point := strings.TrimSuffix(words[1], "/")
		if len(point) > longest && strings.HasPrefix(dir+"/", point+"/") {
			longest, kind = len(point), words[2]
		}
	}
	return kind
}
