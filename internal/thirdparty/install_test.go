package thirdparty_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

func TestProgramsAreInstalledOnceAndWhole(t *testing.T) {
	c := thirdparty.Cache(t.TempDir())
	for range 2 {
		path, err := c.Install(t.Context(), "thing-1", "bin/thing", "mkdir bin", "echo x >> bin/thing")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "x\n" {
			t.Errorf("the program is %q, %v", text, err)
		}
	}
	_, err := c.Install(t.Context(), "thing-2", "bin/thing", "mkdir bin", "echo no network >&2; exit 1")
	var missing *thirdparty.UnavailableError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "no network") {
		t.Errorf("the error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(string(c), "*")); len(left) != 1 {
		t.Errorf("a failure leaves %v", left)
	}
}
