package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// job is one write, as the programs of testdata read it from a line of standard input.
type job struct {
	URL           string  `json:"url"`
	Token         string  `json:"token"`
	Database      string  `json:"database"`
	API           string  `json:"api"`       // v2 or v3
	Precision     string  `json:"precision"` // s, ms, us or ns
	Gzip          bool    `json:"gzip"`
	NoSync        bool    `json:"no_sync"`
	RejectPartial bool    `json:"reject_partial"` // accept_partial=false
	Batching      bool    `json:"batching"`       // by a writer in the background, one line a request
	Body          string  `json:"body"`           // line protocol; empty when there are points
	Points        []point `json:"points"`         // to be built with the client's own point API
}

// point is what a client shall build.
type point struct {
	Measurement string            `json:"measurement"`
	Tags        map[string]string `json:"tags"`
	Fields      []field           `json:"fields"`
	Time        string            `json:"time"` // in the unit of the job's precision
}

// field has its value as text, because a number of JSON is a float to some.
type field struct {
	Key   string `json:"key"`
	Type  string `json:"type"` // integer, uinteger, float, string or boolean
	Value string `json:"value"`
}

// seen is what the user of a client sees of a write, as the programs print it.
type seen struct {
	OK         bool        `json:"ok"`
	Type       string      `json:"type"`        // of the exception or error
	Status     int         `json:"status"`      // the client's own idea of it
	Code       string      `json:"code"`        // where the client has one
	Text       string      `json:"text"`        // the message
	RetryAfter string      `json:"retry_after"` // where the client reads the header
	Lines      []lineError `json:"lines"`       // where the client has errors by line
	Version    string      `json:"version"`     // of the server, by the client's own call
	Retries    int         `json:"retries"`     // of a batching job
}

// lineError is one rejected line, as a client's typed error has it.
type lineError struct {
	Line     int    `json:"line"`
	Message  string `json:"message"`
	Original string `json:"original"`
}

// driver is a program of testdata that writes with one client library. It lives as long
// as the test run, because an interpreter starts slowly.
type driver struct {
	command func() (*exec.Cmd, error) // how to start it, its installation included

	start   sync.Once
	failure error
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers chan []byte
	stderr  bytes.Buffer // read only when the process has ended
}

// drivers are the started ones.
var drivers struct {
	sync.Mutex
	all []*driver
}

// endDrivers closes their standard input, at which they end.
func endDrivers() {
	drivers.Lock()
	defer drivers.Unlock()
	for _, d := range drivers.all {
		_ = d.stdin.Close()
		_ = d.cmd.Wait()
	}
}

// do runs one job that writes.
func (d *driver) do(t *testing.T, j job) seen {
	t.Helper()
	var s seen
	d.exchange(t, j, &s)
	return s
}

// exchange sends one job to the program and decodes its answer.
func (d *driver) exchange(t *testing.T, in, out any) {
	t.Helper()
	d.start.Do(func() { d.failure = d.launch() })
	if d.failure != nil {
		t.Fatal(d.failure)
	}
	line, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.stdin.Write(append(line, '\n')); err != nil {
		t.Fatalf("%s: %v\n%s", d.cmd, err, d.lastWords())
	}
	select {
	case answer, ok := <-d.answers:
		if !ok {
			t.Fatalf("%s ended\n%s", d.cmd, d.lastWords())
		}
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatalf("%s printed %s: %v", d.cmd, answer, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s did not answer within %s\n%s", d.cmd, patience, d.lastWords())
	}
}

// launch starts the process. Its answers are read in a goroutine that ends with it.
func (d *driver) launch() error {
	cmd, err := d.command()
	if err != nil {
		return err
	}
	cmd.Env = plainEnvironment()
	cmd.Stderr = &d.stderr
	d.cmd, d.answers = cmd, make(chan []byte)
	if d.stdin, err = cmd.StdinPipe(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	go func() {
		defer close(d.answers)
		const longest = 1 << 20
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, longest)
		for lines.Scan() {
			d.answers <- bytes.Clone(lines.Bytes())
		}
	}()
	drivers.Lock()
	defer drivers.Unlock()
	drivers.all = append(drivers.all, d)
	return nil
}

// lastWords ends the process and returns what it wrote to standard error.
func (d *driver) lastWords() string {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	return d.stderr.String()
}
