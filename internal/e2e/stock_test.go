//go:build duckdb_arrow

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// requirements are the stock readers: DuckDB in the version that is embedded, and
// whatever PyArrow is current.
var requirements = []string{"duckdb==1.5.5", "pyarrow"}

// requirePython makes the lack of Python a failure, where it would otherwise skip X2.
const requirePython = "SILTSTONE_REQUIRE_PYTHON"

// TestStockReadersReadTheFiles shows X2.
func TestStockReadersReadTheFiles(t *testing.T) {
	python, err := stockPython()
	if err != nil {
		if os.Getenv(requirePython) != "" {
			t.Fatal(err)
		}
		t.Skipf("%v\n%s=1 makes this a failure", err, requirePython)
	}
	all, s := inputs(t), newSite(t)
	srv := s.start()
	want := make(map[string]figures)
	for _, in := range all {
		in.write(srv)
		for table, f := range in.want {
			want[in.db+"."+table] = f
		}
	}
	srv.flush()
	srv.stop()
	var read map[string]map[string]figures // by reader and table
	out := runPython(t, python, append([]string{filepath.Join("testdata", "figures.py")}, s.parquetFiles()...)...)
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatalf("%v in %.500s", err, out)
	}
	for _, reader := range []string{"duckdb", "pyarrow"} {
		if got, want := slices.Sorted(maps.Keys(read[reader])), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("%s finds the tables %q, not %q", reader, got, want)
		}
		for table, f := range want {
			if d := diffFigures(f, read[reader][table]); d != "" {
				t.Errorf("%s reads %s as (-want +got)\n%s", reader, table, d)
			}
		}
	}
}

func runPython(t *testing.T, python string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(python, args...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, failure.Bytes())
	}
	return out
}

// stockPython returns an interpreter that has the requirements. It lives in a virtual
// environment in the user's cache directory, made whole or not at all.
func stockPython() (string, error) {
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("the stock readers need python3: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a place for the Python environment: %w", err)
	}
	home := filepath.Join(cache, "siltstone-e2e", "python-"+strings.Join(requirements, "+"))
	python := filepath.Join(home, "bin", "python3")
	marker := filepath.Join(home, "complete")
	if _, err := os.Stat(marker); err == nil {
		return python, nil
	}
	for _, command := range [][]string{
		{system, "-m", "venv", "--clear", home},
		append([]string{python, "-m", "pip", "install", "--quiet"}, requirements...),
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", errors.Join(fmt.Errorf("installing %q: %w\n%s", requirements, err, out), os.RemoveAll(home))
		}
	}
	return python, os.WriteFile(marker, nil, 0o600)
}
