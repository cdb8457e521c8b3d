package lint

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRepositoryKeepsItsShape checks the tree that this file is a part of.
func TestRepositoryKeepsItsShape(t *testing.T) {
	problems, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

func TestGraphNamesOnlyItsOwnNodes(t *testing.T) {
	for from, targets := range imports {
		for _, to := range targets {
			if _, ok := imports[to]; !ok {
				t.Errorf("%s may import %s, which is not in the graph", from, to)
			}
		}
	}
}

func TestGraphHasNoCycle(t *testing.T) {
	for from := range imports {
		for _, next := range imports[from] {
			if reachable(next, from, true, map[string]bool{}) {
				t.Errorf("%s → %s leads back to %s", from, next, from)
			}
		}
	}
}

func TestCheckNamesWhatIsBroken(t *testing.T) {
	const doc = "// Package p is documented.\n"
	cases := []struct {
		name, file, source string
		want               string // part of the only problem; empty when there is none
	}{
		{"allowed arrow", "engine/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/wal"`, ""},
		{"siblings", "wal/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/catalog"`, "import wal → catalog is not in the graph"},
		{"upwards", "engine/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/httpapi"`, "import engine → httpapi is not in the graph"},
		{"layer skipped", "httpapi/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/wal"`, "import httpapi → wal is not in the graph"},
		{"subpackage follows its parent", "wal/record/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/catalog"`, "import wal → catalog"},
		{"schema imports nothing", "schema/a.go", doc + `package p; import "github.com/siltstone-db/siltstone/internal/golden"`, "import schema → internal/golden"},
		{"confined module", "engine/a.go", doc + `package p; import "github.com/cockroachdb/pebble/v2"`, "is confined to catalog, tests"},
		{"exception within a confined module", "engine/a.go", doc + `package p; import "github.com/cockroachdb/pebble/v2/vfs"`, ""},
		{"cgo", "engine/a.go", doc + `package p; import "C"`, "is confined to query, tests"},
		{"environment", "engine/a.go", doc + `package p; import "os"; var _ = os.Getenv("X")`, "os.Getenv: only cmd reads the environment"},
		{"environment in cmd", "cmd/siltstone/a.go", doc + `package p; import "os"; var _ = os.Getenv("X")`, ""},
		{"no comment", "engine/a.go", "package p", "no package comment"},
		{"unknown package", "util/a.go", doc + "package p", "package util is not in the import graph"},
		{"nested module", "internal/tools/a.go", "package p", ""},
		{"testdata", "engine/testdata/a.go", "not even Go", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			problems, err := Check(fstest.MapFS{
				c.file:                  {Data: []byte(c.source)},
				"internal/tools/go.mod": {Data: []byte("module tools")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(problems) > 0 {
				t.Fatalf("unexpected: %v", problems)
			}
			if c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), c.want)) {
				t.Fatalf("got %v, want one problem with %q", problems, c.want)
			}
		})
	}
}

func TestTestsMayFollowTheArrowsFurther(t *testing.T) {
	tree := fstest.MapFS{
		"query/doc.go":    {Data: []byte("// Package query is documented.\npackage query")},
		"query/a_test.go": {Data: []byte(`package query; import "github.com/siltstone-db/siltstone/persist"`)},
		"query/b_test.go": {Data: []byte(`package query; import "github.com/siltstone-db/siltstone/httpapi"`)},
	}
	problems, err := Check(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || problems[0].File != "query/b_test.go" {
		t.Fatalf("got %v, want one problem in query/b_test.go", problems)
	}
}
