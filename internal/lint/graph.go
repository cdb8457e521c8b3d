package lint

import (
	"slices"
	"strings"
)

// modulePath is the module whose packages the graph names.
const modulePath = "github.com/siltstone-db/siltstone"

// imports is the import graph: each package, relative to the module, with the
// packages it may import. An entry covers the packages below it that have no entry
// of their own. Everything may import schema and what leaves lists, which therefore
// are not repeated here.
//
//	query → influxql → schema
//	cmd → httpapi → ingestapi → query → engine → {wal, catalog, partition, persist, lineprotocol} → schema, internal
//	cmd → transfer → lineprotocol
//	cmd → flight → query; cmd, httpapi, ingestapi → auth → schema
//	cmd, httpapi → backup → engine
var imports = map[string][]string{
	"schema":       {},
	"lineprotocol": {},
	"wal":          {},
	"catalog":      {},
	"partition":    {},
	"persist":      {},
	"engine":       {"wal", "catalog", "partition", "persist", "lineprotocol"},
	"influxql":     {},
	"query":        {"engine", "influxql", "partition", "persist"}, // the snapshots and files in a view
	"backup":       {"engine", "catalog", "persist"},
	"auth":         {},
	"transfer":     {"lineprotocol"},
	"ingestapi":    {"auth", "engine", "query", "lineprotocol"},
	"httpapi":      {"auth", "backup", "engine", "influxql", "ingestapi", "query"},
	"flight":       {"auth", "engine", "influxql", "query"},
	"bench":        {"engine", "query", "lineprotocol", "wal", "catalog", "partition", "persist"},
	"cmd":          {"auth", "backup", "bench", "httpapi", "flight", "engine", "query", "wal", "catalog", "persist", "transfer", "lineprotocol"},

	"internal/datasets":   {},
	"internal/durable":    {},
	"internal/e2e":        {"bench", "httpapi", "engine", "query"},
	"internal/golden":     {},
	"internal/humantime":  {},
	"internal/influx1":    {"httpapi", "engine", "query", "transfer"},
	"internal/invariants": {},
	"internal/linear":     {},
	"internal/lint":       {},
	"internal/sqltext":    {},
	"internal/textindex":  {},
	"internal/thirdparty": {},
	"internal/torture":    {},
}

// testImports are what tests of a package may import besides: what it stands behind.
var testImports = map[string][]string{
	"flight": {"httpapi"}, // has the port, and knows who calls
}

// leaves are the packages that everything above schema may import.
var leaves = []string{"schema", "internal/durable", "internal/invariants", "internal/golden", "internal/datasets", "internal/humantime", "internal/linear", "internal/sqltext", "internal/textindex", "internal/thirdparty"}

// confined names modules and packages from outside that only some packages may
// import; tests may import them too. The longest matching prefix decides.
var confined = map[string][]string{
	"C":                              {"query"},
	"flag":                           {"cmd", "bench"},
	"net/http":                       {"httpapi", "ingestapi", "cmd", "bench", "internal/e2e"},
	"github.com/alecthomas/kong":     {"cmd", "bench", "internal/torture"},
	"github.com/schollz/progressbar": {"cmd", "bench"},
	"github.com/duckdb/duckdb-go":    {"query"},
	"github.com/cockroachdb/pebble":  {"catalog"},
	"github.com/apache/arrow-go":     {"partition", "persist", "query", "flight", "httpapi", "ingestapi", "engine", "bench", "cmd", "transfer"},
	"github.com/apache/thrift":       {"persist"},
	"google.golang.org/grpc":         {"flight", "cmd"},
	"github.com/influxdata/influxql": {"influxql"},
	"github.com/tinylib/msgp":        {"httpapi"},
	"github.com/anishathalye":        {"internal/linear"},
	"github.com/minio":               {"backup"},
	"github.com/johannesboyne":       {},
	"pgregory.net/rapid":             {},
	"go.uber.org/goleak":             {},
	"github.com/google/go-cmp":       {},
	"github.com/parquet-go":          {},
	"github.com/cockroachdb/pebble/v2/vfs": {
		"wal", "catalog", "partition", "persist", "engine", "backup", "query", "httpapi", "cmd", "bench", "internal/durable",
	},
	"github.com/influxdata/line-protocol": {}, // the tests compare with it
}

// environment lists the functions of package os that read the environment (L4).
var environment = map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true}

// node returns the entry of the graph that covers a package.
func node(pkg string) (string, bool) {
	for p := pkg; p != "."; {
		if _, ok := imports[p]; ok {
			return p, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return "", false
}

// mayImport reports whether the graph has an arrow between two of its nodes. A test
// may go as far as the arrows lead, since it compares layers with each other.
func mayImport(from, to string, test bool) bool {
	return reachable(from, to, test, map[string]bool{})
}

func reachable(from, to string, far bool, seen map[string]bool) bool {
	if from == to {
		return true
	}
	for _, leaf := range leaves {
		if leaf == to && from != "schema" {
			return true
		}
	}
	if far && slices.Contains(testImports[from], to) {
		return true
	}
	for _, next := range imports[from] {
		if next == to {
			return true
		}
		if far && !seen[next] {
			seen[next] = true
			if reachable(next, to, far, seen) {
				return true
			}
		}
	}
	return false
}

// confinedTo returns who may import a package from outside; ok is false when anyone may.
func confinedTo(path string) (owners []string, ok bool) {
	best := ""
	for prefix, who := range confined {
		under := path == prefix || strings.HasPrefix(path, prefix+"/")
		if under && len(prefix) >= len(best) {
			best, owners, ok = prefix, who, true
		}
	}
	return owners, ok
}
