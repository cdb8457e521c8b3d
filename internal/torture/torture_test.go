package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFiguresAreAddedUp(t *testing.T) {
	t.Parallel()
	got := figuresOf([]byte("    x_test.go:1: figures: crashes=12 points=3\n" +
		"y figures: crashes=30 nonsense=x\n" +
		"fuzz: elapsed: 3s, execs: 100 (33/sec)\nfuzz: elapsed: 6s, execs: 250 (50/sec), new interesting: 1\n"))
	want := map[string]int64{"crashes": 42, "points": 3, "executions": 250}
	if !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
}

func TestEveryTrialNamesATestThatExists(t *testing.T) {
	t.Parallel()
	for _, tr := range trials {
		var text bytes.Buffer
		files, err := filepath.Glob(filepath.Join("../..", tr.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
		for name := range strings.SplitSeq(strings.Trim(tr.run, "^$()"), "|") {
			if !bytes.Contains(text.Bytes(), []byte("\nfunc "+name+"(")) {
				t.Errorf("%s: there is no %s in %s", tr.name, name, tr.pkg)
			}
		}
	}
}

func TestFuzzTargetsAreFound(t *testing.T) {
	t.Parallel()
	found, err := fuzzTargets("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string]bool)
	for _, f := range found {
		packages[f.pkg] = true
	}
	for _, pkg := range []string{"lineprotocol", "wal", "catalog", "partition", "persist", "influxql", "query", "httpapi", "ingestapi", "flight"} {
		if !packages[pkg] {
			t.Errorf("no target in %s: %v", pkg, packages)
		}
	}
}

// module makes a module with one package x, whose test has the given body.
func module(t *testing.T, body string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod":      "module m\n\ngo 1.24\n",
		"x/x_test.go": "package x\n\nimport (\n\t\"flag\"\n\t\"testing\"\n)\n\nvar seed = flag.Uint64(\"seed\", 0, \"\")\n\nfunc TestX(t *testing.T) { " + body + " }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func runOnce(t *testing.T) (*results, string) {
	t.Helper()
	r, err := newRunner(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	var out bytes.Buffer
	r.out = &out
	return r.rounds([]trial{{name: "x", pkg: "x", run: "^TestX$", seeded: true}}, 77, 50*time.Millisecond), out.String()
}

func TestFailureIsCountedAndToldHowToRepeat(t *testing.T) {
	module(t, `t.Fatalf("lost a point, figures: crashes=3 seed=%d", *seed)`)
	all, out := runOnce(t)
	if all.failures() != 1 || !strings.Contains(out, "lost a point") || !strings.Contains(out, "-run '^TestX$' -seed 77") {
		t.Fatalf("%d failures; the output is\n%s", all.failures(), out)
	}
	if row := all.trials[0].row(); !strings.Contains(row, "3 crashes") || !strings.HasSuffix(row, "| 1 |\n") {
		t.Fatalf("the row is %s", row)
	}
}

func TestSkippedTrialSaysWhy(t *testing.T) {
	module(t, `t.Skipf("needs root: %d", *seed)`)
	all, out := runOnce(t)
	if all.failures() != 0 || !strings.Contains(all.table(), "needs root: 77") {
		t.Fatalf("the table is\n%s\nthe output is\n%s", all.table(), out)
	}
}
