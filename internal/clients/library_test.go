package clients

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/InfluxCommunity/influxdb3-go/v2/influxdb3"
)

// library is a client library in one of the ways in which it writes.
type library struct {
	name string // as testdata/seen has it
	kind string // as need knows it
	api  string // v2 or v3, the endpoint it uses
	do   func(*testing.T, job) seen

	noSync        bool // it writes without waiting for the log
	rejectPartial bool // it can send accept_partial=false
	lineErrors    bool // it has a typed error with one entry for each line
	tokenless     bool // it does without a token; the others refuse to
	batching      bool // it can write in the background and repeats what is refused for now
	escapesLines  bool // it sends a line break in a string as a backslash and an n
	safeIntegers  bool // its numbers are floats of 64 bits
}

// libraries are all of them.
var libraries = []library{
	{name: "influxdb3-python, v2 API", kind: "python", api: "v2", do: influxdb3Python.do, batching: true, lineErrors: true},
	{name: "influxdb3-python, v3 API", kind: "python", api: "v3", do: influxdb3Python.do, batching: true, lineErrors: true, rejectPartial: true},
	{name: "influxdb3-python, v3 API, no_sync", kind: "python", api: "v3", do: influxdb3Python.do, lineErrors: true, noSync: true},
	{name: "influxdb-client (Python)", kind: "python", api: "v2", do: influxdbClientPython.do, tokenless: true, batching: true},
	{name: "influxdb3-go, v2 API", kind: "go", api: "v2", do: writeWithGo, lineErrors: true, escapesLines: true},
	{name: "influxdb3-go, v3 API", kind: "go", api: "v3", do: writeWithGo, lineErrors: true, escapesLines: true, rejectPartial: true},
	{name: "influxdb3-go, v3 API, no_sync", kind: "go", api: "v3", do: writeWithGo, lineErrors: true, escapesLines: true, noSync: true},
	{name: "influxdb3-js, v2 API", kind: "node", api: "v2", do: influxdb3JS.do, safeIntegers: true},
	{name: "influxdb3-js, v3 API, no_sync", kind: "node", api: "v3", do: influxdb3JS.do, noSync: true, safeIntegers: true},
}

// needs skips the test when the library was not asked for or cannot run here.
func (l library) needs(t *testing.T) {
	t.Helper()
	switch l.kind {
	case "python":
		need(t, l.kind, "python3")
	case "node":
		need(t, l.kind, "node", "npm")
	default:
		need(t, l.kind)
	}
}

// write runs a job in the way that the library stands for.
func (l library) write(t *testing.T, j job) seen {
	t.Helper()
	j.API, j.NoSync = l.api, l.noSync
	if j.Precision == "" {
		j.Precision = "ns"
	}
	return l.do(t, j)
}

var (
	influxdb3Python      = &driver{command: func() (*exec.Cmd, error) { return python("influxdb3_python.py") }}
	influxdbClientPython = &driver{command: func() (*exec.Cmd, error) { return python("influxdb_client_v2.py") }}
	influxdb3JS          = &driver{command: func() (*exec.Cmd, error) { return node("influxdb3_js.mjs") }}
)

// python runs a program of testdata in a virtual environment that has the libraries. With
// -B it leaves no compiled files beside the program.
func python(program string) (*exec.Cmd, error) {
	home, err := installPython()
	if err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(home, "venv", "bin", "python3"), "-B", filepath.Join("testdata", "python", program)), nil
}

func installPython() (string, error) {
	return install("python", []string{"testdata/python/requirements.txt"},
		step{"python3", "-m", "venv", "venv"},
		step{"venv/bin/python3", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"})
}

// node runs a program of testdata beside a directory that has the libraries.
func node(program string) (*exec.Cmd, error) {
	home, err := installNode()
	if err != nil {
		return nil, err
	}
	return exec.Command("node", filepath.Join("testdata", "node", program), home), nil
}

func installNode() (string, error) {
	return install("node", []string{"testdata/node/package.json", "testdata/node/package-lock.json"},
		step{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"})
}

// writeWithGo runs a job with influxdb3-go.
func writeWithGo(t *testing.T, j job) seen {
	t.Helper()
	client, err := influxdb3.New(influxdb3.ClientConfig{Host: j.URL, Token: j.Token, Database: j.Database})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	threshold := 0 // never
	if j.Gzip {
		threshold = 1
	}
	options := []influxdb3.WriteOption{
		influxdb3.WithPrecision(goPrecisions[j.Precision].name), influxdb3.WithGzipThreshold(threshold),
		influxdb3.WithUseV2Api(j.API == "v2"), influxdb3.WithNoSync(j.NoSync), influxdb3.WithAcceptPartial(!j.RejectPartial),
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if j.Body != "" {
		err = client.Write(ctx, []byte(j.Body), options...)
	} else {
		err = client.WritePoints(ctx, goPoints(t, j), options...)
	}
	if err != nil {
		return describe(err)
	}
	version, err := client.GetServerVersion()
	if err != nil {
		t.Error(err)
	}
	return seen{OK: true, Version: version}
}

// goPrecisions are the client's names, and the unit in nanoseconds.
var goPrecisions = map[string]struct {
	name influxdb3.Precision
	unit time.Duration
}{
	"s": {influxdb3.Second, time.Second}, "ms": {influxdb3.Millisecond, time.Millisecond},
	"us": {influxdb3.Microsecond, time.Microsecond}, "ns": {influxdb3.Nanosecond, time.Nanosecond},
}

func goPoints(t *testing.T, j job) []*influxdb3.Point {
	t.Helper()
	var points []*influxdb3.Point
	for _, p := range j.Points {
		made := influxdb3.NewPointWithMeasurement(p.Measurement).SetTimestamp(instant(t, p.Time, j.Precision))
		for key, value := range p.Tags {
			made.SetTag(key, value)
		}
		for _, f := range p.Fields {
			value, err := f.parsed()
			if err != nil {
				t.Fatal(err)
			}
			made.SetField(f.Key, value)
		}
		points = append(points, made)
	}
	return points
}

// instant is the time that a point's text means.
func instant(t *testing.T, text, precision string) time.Time {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, n*int64(goPrecisions[precision].unit)).UTC()
}

// parsed is the value as Go has it.
func (f field) parsed() (any, error) {
	switch f.Type {
	case "integer":
		return strconv.ParseInt(f.Value, 10, 64)
	case "uinteger":
		return strconv.ParseUint(f.Value, 10, 64)
	case "float":
		return strconv.ParseFloat(f.Value, 64)
	case "boolean":
		return strconv.ParseBool(f.Value)
	}
	return f.Value, nil
}

// describe is what a user of influxdb3-go sees of an error.
func describe(err error) seen {
	s := seen{Type: fmt.Sprintf("%T", err), Text: err.Error()}
	if server, ok := errors.AsType[*influxdb3.ServerError](err); ok {
		s.Status, s.Code = server.StatusCode, server.Code
		if server.RetryAfter != 0 {
			s.RetryAfter = strconv.Itoa(server.RetryAfter)
		}
	}
	if partial, ok := errors.AsType[*influxdb3.PartialWriteError](err); ok {
		for _, e := range partial.LineErrors {
			s.Lines = append(s.Lines, lineError{e.LineNumber, e.ErrorMessage, e.OriginalLine})
		}
	}
	return s
}
