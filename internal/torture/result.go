package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// failureLines is how much of a failed trial's output is shown: what a test says last
// is why it failed.
const failureLines = 60

// results are those of a whole run.
type results struct {
	trials []trialResult
	took   time.Duration
}

// trialResult adds up the runs of a trial.
type trialResult struct {
	trial   trial
	runs    int
	failed  int
	skipped string // why nothing was run; empty if something was
	longest time.Duration
	took    time.Duration
	figures map[string]int64
}

func newResults(chosen []trial) *results {
	r := &results{trials: make([]trialResult, len(chosen))}
	for i, t := range chosen {
		r.trials[i] = trialResult{trial: t, figures: make(map[string]int64)}
	}
	return r
}

func (r *results) failures() int {
	n := 0
	for i := range r.trials {
		n += r.trials[i].failed
	}
	return n
}

func (t *trialResult) add(took time.Duration, output []byte) {
	t.runs++
	t.took += took
	t.longest = max(t.longest, took)
	for name, n := range figuresOf(output) {
		t.figures[name] += n
	}
}

var (
	figuresLine = regexp.MustCompile(`(?m)figures: (.*)$`)
	// fuzzLine is the state that go test -fuzz prints; the last one counts.
	fuzzLine = regexp.MustCompile(`(?m)^fuzz: elapsed: .*execs: (\d+)`)
)

// figuresOf adds up what the tests say they did.
func figuresOf(output []byte) map[string]int64 {
	figures := make(map[string]int64)
	for _, line := range figuresLine.FindAllSubmatch(output, -1) {
		for _, pair := range strings.Fields(string(line[1])) {
			name, value, _ := strings.Cut(pair, "=")
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				figures[name] += n
			}
		}
	}
	if states := fuzzLine.FindAllSubmatch(output, -1); len(states) > 0 {
		if n, err := strconv.ParseInt(string(states[len(states)-1][1]), 10, 64); err == nil {
			figures["executions"] += n
		}
	}
	return figures
}

// isSkipped reports whether nothing of a trial was run: each test that began was skipped.
func isSkipped(output []byte) bool {
	return bytes.Contains(output, []byte("--- SKIP:")) && !bytes.Contains(output, []byte("--- PASS:"))
}

// skipReason returns what the test said when it gave up: the line before the mark.
func skipReason(output []byte) string {
	before, _, _ := bytes.Cut(output, []byte("--- SKIP:"))
	return strings.TrimSpace(tail(before, 1))
}

func tail(output []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(output), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// table is the report, in Markdown. Fuzz targets share a row, since there are many.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d minutes on %s:\n\n", int(r.took.Minutes()+0.5), machine())
	b.WriteString("| trial | what it tries | runs | figures | failures |\n|---|---|---:|---|---:|\n")
	fuzz := trialResult{trial: trial{name: "fuzz", shows: "every fuzz target"}, figures: make(map[string]int64)}
	targets := 0
	for i := range r.trials {
		t := &r.trials[i]
		if t.trial.fuzz == "" {
			b.WriteString(t.row())
			continue
		}
		targets++
		fuzz.runs += t.runs
		fuzz.failed += t.failed
		fuzz.figures["executions"] += t.figures["executions"]
	}
	if targets > 0 {
		fuzz.figures["targets"] = int64(targets)
		b.WriteString(fuzz.row())
	}
	return b.String()
}

func (t *trialResult) row() string {
	var figures []string
	for _, name := range slices.Sorted(maps.Keys(t.figures)) {
		figures = append(figures, grouped(t.figures[name])+" "+strings.ReplaceAll(name, "_", " "))
	}
	text := strings.Join(figures, ", ")
	if t.skipped != "" {
		text = "skipped: " + t.skipped
	}
	return fmt.Sprintf("| %s | %s | %d | %s | %d |\n", t.trial.name, t.trial.shows, t.runs, text, t.failed)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
