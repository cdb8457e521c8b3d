package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
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
	if c.Query.Host != "http://db:1" || c.Query.Database != "home" || c.Query.SQL != "SELECT 1" {
		t.Errorf("%+v", c.Query)
	}
}

func TestServeRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--gen1-duration 900ms", "shorter than 1s"},
		{"--gen1-duration soon", "is not a duration"},
		{"--exec-mem-pool-bytes 101%", "is not a share"},
		{"--max-http-request-size big", "is not a size"},
		{"--object-store s3", "--object-store s3 is not supported"},
		{"--http-bind nonsense", "is not an address"},
		{"--http-bind 0.0.0.0:8181", "add --without-auth"},
		{"--http-bind :8181", "add --without-auth"},
		{"--http-bind 192.168.0.7:8181", "add --without-auth"},
		{"--http-bind example.org:8181", "add --without-auth"},
		{"--log-level loud", "log-level"},
	} {
		_, err := parse(t, append([]string{"serve"}, strings.Fields(c.args)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.args, err, c.want)
		}
	}
	_, err := parse(t, "serve", "--object-store", "s3", "--http-bind", "0.0.0.0:1")
	if err == nil || !strings.Contains(err.Error(), "s3") || !strings.Contains(err.Error(), "--without-auth") {
		t.Errorf("two faults are reported as %v", err)
	}
}

func TestServeAcceptsProtectedAddresses(t *testing.T) {
	for _, args := range []string{
		"--http-bind 127.0.0.1:0", "--http-bind 127.1.2.3:1", "--http-bind [::1]:8181", "--http-bind localhost:8181",
		"--http-bind 0.0.0.0:8181 --without-auth", "--http-bind :0 --without-auth",
	} {
		if _, err := parse(t, append([]string{"serve"}, strings.Fields(args)...)...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestHelpExplainsEveryCommandWithExamples(t *testing.T) {
	for _, command := range []string{"", "serve", "write", "query"} {
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
	for _, args := range [][]string{{"nonsense"}, {"query", "SELECT 1"}, {"write", "-d", "x", "--precision", "h"}} {
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
