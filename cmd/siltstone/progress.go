package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a command is: as a bar on a terminal; elsewhere, such as in the log of a
// nightly job, as a line now and then. A nil progress shows nothing.
type progress struct {
	name  string
	unit  progressUnit
	start time.Time
	rows  int

	bar *progressbar.ProgressBar // nil where there is no terminal

	out   io.Writer
	now   func() time.Time
	next  time.Time // of the next line
	total int64     // in units, or -1
}

// progressUnit is what a progress counts.
type progressUnit int

const (
	byBytes progressUnit = iota
	byRows
	byShare // of what is done, in a unit that means nothing to people
)

// progressEvery is the time between two lines, and before the first.
const progressEvery = 30 * time.Second

// progress shows something on standard error, unless it is to be quiet. total is -1 where nobody
// knows how much there is.
func (env environment) progress(quiet bool, name string, total int64, unit progressUnit) *progress {
	switch {
	case quiet:
		return nil
	case env.stderrTTY:
		return newBar(env.stderr, name, total, unit)
	}
	return newProgressLines(env.stderr, name, total, unit, time.Now)
}

func newBar(w io.Writer, name string, total int64, unit progressUnit) *progress {
	counts := progressbar.OptionShowBytes(unit == byBytes)
	if unit == byRows {
		counts = progressbar.OptionShowCount()
	}
	return &progress{
		name:  name,
		start: time.Now(),
		bar: progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(name),
			counts,
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		),
	}
}

func newProgressLines(w io.Writer, name string, total int64, unit progressUnit, now func() time.Time) *progress {
	start := now()
	return &progress{name: name, unit: unit, out: w, now: now, start: start, next: start.Add(progressEvery), total: total}
}

// at says that bytes of the input are read and rows more rows are stored. A display
// that fails must not stop the load.
func (p *progress) at(bytes int64, rows int) {
	if p == nil {
		return
	}
	p.rows += rows
	if p.bar == nil {
		p.line(bytes, formatCount(p.rows)+" rows")
		return
	}
	if elapsed := time.Since(p.start).Seconds(); elapsed > 0 {
		p.bar.Describe(fmt.Sprintf("%s  %s rows/s", p.name, formatCount(int(float64(p.rows)/elapsed))))
	}
	_ = p.bar.Set64(bytes)
}

// read says that bytes of total were read, of a file last.
func (p *progress) read(bytes, total int64, file string) {
	if p == nil {
		return
	}
	if p.bar == nil {
		p.total = total
		p.line(bytes, file)
		return
	}
	p.bar.ChangeMax64(max(total, 1))
	p.bar.Describe(p.name + "  " + file)
	_ = p.bar.Set64(bytes)
}

// line writes how much is done, if it is time for it.
func (p *progress) line(done int64, what string) {
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	parts := []string{p.name + ":"}
	if p.total > 0 {
		parts = append(parts, fmt.Sprintf("%d %%", 100*min(done, p.total)/p.total))
	}
	if p.unit == byBytes {
		amount := formatBytes(done)
		if p.total > 0 {
			amount += " of " + formatBytes(p.total)
		}
		parts = append(parts, amount)
	}
	took := now.Sub(p.start).Round(time.Second)
	fmt.Fprintf(p.out, "%s, %s, after %s\n", strings.Join(parts, " "), what, took)
}

// Write implements io.Writer, for who counts what passes.
func (p *progress) Write(b []byte) (int, error) {
	p.rows += len(b)
	if p.bar != nil {
		return p.bar.Write(b)
	}
	p.line(int64(p.rows), "so far")
	return len(b), nil
}

// clear removes the bar.
func (p *progress) clear() {
	if p != nil && p.bar != nil {
		_ = p.bar.Clear()
	}
}

// countingReader counts the bytes that pass.
type countingReader struct {
	io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}
