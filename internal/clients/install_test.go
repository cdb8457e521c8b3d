package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	// requireVariable makes what is missing on the machine a failure instead of a skip.
	requireVariable = "SILTSTONE_REQUIRE_CLIENTS"
	// clientsVariable chooses clients: a list of python, go, node, jdbc, telegraf and influx,
	// or all. What it names is installed if it can be.
	clientsVariable = "SILTSTONE_CLIENTS"
)

// byDefault are the kinds of clients that are quick to install.
var byDefault = []string{"python", "go", "node", "jdbc"}

// need skips the test when its kind of client was not asked for, or cannot run here.
func need(t *testing.T, kind string, programs ...string) {
	t.Helper()
	if !isWanted(kind) {
		t.Skipf("%s=%s, or all, runs this", clientsVariable, kind)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, "%s is not installed, which the %s clients need", p, kind)
		}
	}
}

// missing fails or skips, as the environment says.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(requireVariable) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format+"; "+requireVariable+"=1 makes this a failure", args...)
}

func isWanted(kind string) bool {
	chosen := strings.FieldsFunc(os.Getenv(clientsVariable), func(r rune) bool { return r == ',' || r == ' ' })
	if len(chosen) == 0 {
		chosen = byDefault
	}
	return slices.Contains(chosen, kind) || slices.Contains(chosen, "all")
}

// step is one command of an installation; it runs in the directory that is installed.
type step []string

// install returns a directory that has gone through steps. It lives in the user's cache
// directory under a name that depends on the recipe, that is, on the steps and on the
// files, which are copied into it first. It is made whole or not at all, by one process
// at a time.
func install(name string, files []string, steps ...step) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a place for %s: %w", name, err)
	}
	recipe, err := recipeHash(files, steps)
	if err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	home := filepath.Join(cache, "siltstone-clients", name+"-"+recipe)
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", fmt.Errorf("a place for %s: %w", name, err)
	}
	unlock, err := lockFile(home + ".lock")
	if err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	defer unlock()
	marker := filepath.Join(home, "complete")
	if _, err := os.Stat(marker); err == nil {
		return home, nil
	}
	if err := runSteps(home, files, steps); err != nil {
		return "", fmt.Errorf("installing %s: %w", name, errors.Join(err, os.RemoveAll(home)))
	}
	return home, os.WriteFile(marker, nil, 0o600)
}

func recipeHash(files []string, steps []step) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", steps)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	const enough = 6 // bytes
	return hex.EncodeToString(h.Sum(nil)[:enough]), nil
}

// runSteps makes home from nothing.
func runSteps(home string, files []string, steps []step) error {
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(home, filepath.Base(f)), text, 0o600); err != nil {
			return err
		}
	}
	for _, s := range steps {
		cmd := exec.Command(s[0], s[1:]...)
		cmd.Dir = home
		cmd.Env = append(os.Environ(), "GOBIN="+home) // where go install puts a program
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	return nil
}

// lockFile waits until no other process has the lock.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: path, Err: err}, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}
