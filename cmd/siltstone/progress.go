package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a load has come: bytes of the input and rows a second. A nil
// progress shows nothing.
type progress struct {
	bar   *progressbar.ProgressBar
	name  string
	start time.Time
	rows  int
}

// newProgress shows a bar on w; total is the input's size in bytes, or -1.
func newProgress(w io.Writer, name string, total int64) *progress {
	return newBar(w, name, total, progressbar.OptionShowBytes(true))
}

// newRowProgress shows a bar that counts rows; total is -1 when nobody knows how many.
func newRowProgress(w io.Writer, name string, total int64) *progress {
	return newBar(w, name, total, progressbar.OptionShowCount())
}

// newShareProgress shows a bar of what is done of total, in units that mean nothing to people.
func newShareProgress(w io.Writer, name string, total int64) *progress {
	return newBar(w, name, total, progressbar.OptionShowBytes(false))
}

func newBar(w io.Writer, name string, total int64, counts progressbar.Option) *progress {
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

// at says that bytes of the input are read and rows more rows are stored. A display
// that fails must not stop the load.
func (p *progress) at(bytes int64, rows int) {
	if p == nil {
		return
	}
	p.rows += rows
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
	p.bar.ChangeMax64(max(total, 1))
	p.bar.Describe(p.name + "  " + file)
	_ = p.bar.Set64(bytes)
}

// clear removes the bar.
func (p *progress) clear() {
	if p != nil {
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
