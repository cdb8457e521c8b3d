package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/httpapi"
)

// parse reads a command line as run does, without running it.
func parse(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	var out bytes.Buffer
	parser, err := newParser(&c, environment{stdout: &out, stderr: &out}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &c, err
}

func TestFlagBeatsOwnVariableBeatsInfluxDBs(t *testing.T) {
	serve := func(args ...string) serveCmd {
		t.Helper()
		c, err := parse(t, append([]string{"serve"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return c.Serve
	}
	if got := serve(); time.Duration(got.Gen1) != 10*time.Minute || got.Pool.percent != 20 || got.HTTPBind != "127.0.0.1:8181" || got.MaxRequest != 10<<20 {
		t.Errorf("defaults: %+v", got)
	}
	t.Setenv("INFLUXDB3_GEN1_DURATION", "1m")
	t.Setenv("INFLUXDB3_EXEC_MEM_POOL_BYTES", "35%")
	t.Setenv("INFLUXDB3_DB_DIR", "/influx")
	t.Setenv("INFLUXDB3_START_WITHOUT_AUTH", "true")
	if got := serve(); time.Duration(got.Gen1) != time.Minute || got.Pool.percent != 35 || got.DataDir != "/influx" || !got.WithoutAuth {
		t.Errorf("InfluxDB's variables: %+v", got)
	}
	t.Setenv("SILTSTONE_GEN1_DURATION", "2m")
	t.Setenv("SILTSTONE_EXEC_MEM_POOL_BYTES", "1GiB")
	if got := serve(); time.Duration(got.Gen1) != 2*time.Minute || got.Pool.of(1) != 1<<30 || got.DataDir != "/influx" {
		t.Errorf("own variables beside InfluxDB's: %+v", got)
	}
	if got := serve("--gen1-duration", "3m"); time.Duration(got.Gen1) != 3*time.Minute {
		t.Errorf("a flag: %+v", got)
	}
}

func TestClientsTakeHostAndDatabaseFromInfluxDBsVariables(t *testing.T) {
	t.Setenv("INFLUXDB3_HOST_URL", "http://db:1")
	t.Setenv("INFLUXDB3_DATABASE_NAME", "home")
	c, err := parse(t, "query", "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if c.Query.Host != "http://db:1" || c.Query.Database != "home" || c.Query.Text != "SELECT 1" {
		t.Errorf("%+v", c.Query)
	}
}

func TestServeRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--gen1-duration 900ms", "shorter than 1s"},
		{"--gen1-duration soon", "is not a duration"},
		{"--exec-mem-pool-bytes 101%", "is not a share"},
		{"--max-http-request-size big", "is not a size"},
		{"--max-http-request-size 0", "is not a size"},
		{"--write-quota-bytes lots", "is not a size"},
		{"--write-quota-requests=-1", "is less than 0"},
		{"--write-quota-window 10ms", "--write-quota-window 10ms is shorter than 1s"},
		{"--max-databases 0", "--max-databases 0 is less than 1"},
		{"--max-tables 0", "is less than 1"},
		{"--max-columns=-5", "is less than 1"},
		{"--ingest-rate-limit 0", "is less than 1"},
		{"--rejected-points-retention never", "is not a duration"},
		{"--write-contract oss", "--write-contract"},
		{"--disable-authz ping,write", "--disable-authz"},
		{"--object-store s3", "--object-store s3 is not supported"},
		{"--http-bind nonsense", "is not an address"},
		{"--log-level loud", "log-level"},
	} {
		_, err := parse(t, append([]string{"serve"}, strings.Fields(c.args)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.args, err, c.want)
		}
	}
	_, err := parse(t, "serve", "--object-store", "s3", "--http-bind", "nonsense")
	if err == nil || !strings.Contains(err.Error(), "s3") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("two faults are reported as %v", err)
	}
}

// TestOffIsSpelledAsOneWouldGuess: 0 needs no unit where it turns something off.
func TestOffIsSpelledAsOneWouldGuess(t *testing.T) {
	c, err := parse(t, "serve", "--rejected-points-retention", "0", "--write-quota-bytes", "0", "--auto-create=false", "--disable-authz", "ping,health")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Serve; got.RejectedRetention != 0 || got.WriteQuotaBytes != 0 || got.AutoCreate || strings.Join(got.DisableAuthz, "+") != "ping+health" {
		t.Errorf("%+v", got)
	}
	if c, err = parse(t, "serve", "--no-auto-create"); err != nil || c.Serve.AutoCreate {
		t.Errorf("--no-auto-create: %v", err)
	}
	t.Setenv("SILTSTONE_AUTO_CREATE", "false")
	if c, err = parse(t, "serve"); err != nil || c.Serve.AutoCreate {
		t.Errorf("by a variable: %v", err)
	}
}

func TestDefaultsOfAccessWritesAndLimits(t *testing.T) {
	c, err := parse(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Serve
	if !got.AutoCreate || got.WriteContract != httpapi.ContractCore || got.WithoutAuth || len(got.DisableAuthz) != 0 ||
		time.Duration(got.RejectedRetention) != 7*24*time.Hour || got.RejectedMaxSize != 64e6 || got.IngestRateLimit != 600 ||
		got.MaxDatabases != catalog.DefaultMaxDatabases || got.MaxTables != catalog.DefaultMaxTables || got.MaxColumns != catalog.DefaultMaxColumns ||
		got.WriteQuotaRequests != 0 || got.WriteQuotaBytes != 0 || time.Duration(got.WriteQuotaWindow) != 5*time.Minute {
		t.Errorf("%+v", got)
	}
}

func TestTokensBelongTogetherWithTheirFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "give --admin",
		"--name n":                             "--permission",
		"--permission db:x:read":               "--name",
		"--admin --permission db:x:read":       "may do everything",
		"--admin --expiry 1d":                  "does not expire",
		"--admin --name n --regenerate":        "leave out --name",
		"--name n --regenerate":                "add --admin",
		"--admin --regenerate --output-file f": "leave out one",
		"--name n --permission db:x:read --expiry 10ms": "shorter than 1s",
		"--name n --permission x:read":                  "is not a permission",
		"--name n --permission db::read":                "is not a permission",
		"--name n --permission token:x:read":            "is not a permission",
		"--name n --permission db:x:delete":             "is not an action",
		"--name n --permission db:x:":                   "is not an action",
	} {
		_, err := parse(t, append([]string{"create", "token"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
	for _, args := range []string{
		"--admin", "--admin --name n --expiry 1d", "--admin --regenerate --yes", "--admin --output-file f --expiry 1d",
		"--name n --permission db:x,y:read,write --permission db:*:read",
	} {
		if _, err := parse(t, append([]string{"create", "token"}, strings.Fields(args)...)...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestHelpExplainsEveryCommandWithExamples(t *testing.T) {
	for _, command := range []string{"", "serve", "write", "query", "rejected", "create", "create token", "show", "update", "delete"} {
		var out bytes.Buffer
		args := append(strings.Fields(command), "--help")
		if code := run(context.Background(), environment{stdout: &out, stderr: &out}, args); code != 0 {
			t.Errorf("%v: exit status %d", args, code)
		}
		if !strings.Contains(out.String(), "Examples:") || !strings.Contains(out.String(), "siltstone "+command) {
			t.Errorf("%v: %s", args, &out)
		}
	}
}

func TestWrongArgumentsExitWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"query", "SELECT 1"},
		{"write", "-d", "x", "--precision", "h"},
		{"create", "table", "t", "-d", "x", "--fields", "temp"},
		{"rejected", "retry", "-d", "x"},
		{"rejected", "retry", "-d", "x", "--all", "id"},
		{"rejected", "list", "--limit", "0"},
		{"delete"},
		{"update", "database", "x"},
	} {
		var out bytes.Buffer
		if code := run(context.Background(), environment{stdout: &out, stderr: &out}, args); code != 2 {
			t.Errorf("%v: exit status %d, %s", args, code, &out)
		}
	}
}

func TestHomeIsExpanded(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	for in, want := range map[string]string{
		"~": "/home/ada", "~/data": "/home/ada/data", "/abs": "/abs", "/a/../b": "/b",
	} {
		if got, err := expandHome(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if got, err := expandHome("~ada/x"); err != nil || !strings.HasSuffix(got, "/~ada/x") {
		t.Errorf("another user's home: %s, %v", got, err)
	}
}

func TestLockOwnerIsFoundByInode(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 100 fd:00:41 0 EOF
2: FLOCK  ADVISORY  WRITE 200 fd:00:141 0 EOF
2: -> FLOCK  ADVISORY  WRITE 300 fd:00:241 0 EOF
3: OFDLCK ADVISORY  WRITE -1 fd:00:341 0 EOF
`
	for inode, want := range map[uint64]int{41: 100, 141: 200, 241: 0, 341: 0, 1: 0} {
		if pid, ok := ownerOf(locks, inode); pid != want || ok != (want != 0) {
			t.Errorf("inode %d: %d, %v", inode, pid, ok)
		}
	}
}
