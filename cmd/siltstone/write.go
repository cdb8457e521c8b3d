package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
)

type writeCmd struct {
	hostFlag
	databaseFlag
	File          []string `short:"f" help:"File of line protocol, may be gzipped; repeatable. - is standard input, the default." placeholder:"FILE" default:"-"`
	Precision     string   `help:"Unit of the time stamps: auto, ns, us, ms or s." enum:"auto,ns,us,ms,s,nanosecond,microsecond,millisecond,second" default:"auto" env:"SILTSTONE_PRECISION"`
	AcceptPartial bool     `help:"Store the good lines when others are bad. With --no-accept-partial one bad line stops the load." default:"true" negatable:"" env:"SILTSTONE_ACCEPT_PARTIAL"`
	Gzip          bool     `help:"Compress the requests: for slow networks." env:"SILTSTONE_GZIP"`
	RetryFor      duration `help:"How long to go on offering lines to a server that is busy. Default: ${default}." default:"1m" env:"SILTSTONE_RETRY_FOR" placeholder:"DURATION"`
	Quiet         bool     `short:"q" help:"No progress bar and no summary; errors only." env:"SILTSTONE_QUIET"`
}

// Help is the long text of --help.
func (*writeCmd) Help() string {
	return `Lines are sent in order, in requests of up to 10,000 lines or 8 MiB. Each request is
durable when it is answered. Rejected lines are listed with their number in the file
and the reason; the exit status is 1 when there were any.

Examples:

  siltstone write -d home -f june.lp -f july.lp.gz
  zcat *.lp.gz | siltstone write -d home --precision s
  echo 'room,name=hall temp=21.5' | siltstone write -d home`
}

// maxListedLines is how many rejected lines of a file are shown.
const maxListedLines = 100

// Run loads each file.
func (c *writeCmd) Run(ctx context.Context, env environment) error {
	bad := false
	for _, name := range c.File {
		start := time.Now()
		sum, err := c.loadFile(ctx, env, name)
		printRejected(env.stderr, name, sum)
		if err != nil {
			return fmt.Errorf("%s: after %s stored points: %w", inputName(name), formatCount(sum.accepted), err)
		}
		bad = bad || sum.rejected > 0
		if !c.Quiet {
			fmt.Fprintf(env.stderr, "%s: %s points accepted, %s rejected, in %s\n", inputName(name),
				formatCount(sum.accepted), formatCount(sum.rejected), time.Since(start).Round(time.Millisecond))
		}
	}
	if bad {
		return errReported
	}
	return nil
}

// loadFile loads one file, or standard input.
func (c *writeCmd) loadFile(ctx context.Context, env environment, name string) (sum summary, err error) {
	src, size := env.stdin, int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return summary{}, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		src = f
	}
	counted := &countingReader{Reader: src}
	text, err := maybeGunzip(counted)
	if err != nil {
		return summary{}, err
	}
	l := loader{
		host: c.hostFlag, query: c.params(), gzip: c.Gzip, whole: !c.AcceptPartial, retryFor: time.Duration(c.RetryFor),
		offset: func() int64 { return counted.n }, maxListed: maxListedLines,
	}
	if env.stderrTTY && !c.Quiet {
		l.progress = newProgress(env.stderr, inputName(name), size)
		defer l.progress.clear()
	}
	err = l.load(ctx, text)
	return l.sum, err
}

func (c *writeCmd) params() url.Values {
	return url.Values{
		"db":             {c.Database},
		"precision":      {c.Precision},
		"accept_partial": {strconv.FormatBool(c.AcceptPartial)},
	}
}

// inputName is a file as messages name it.
func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// printRejected lists the rejected lines of one input.
func printRejected(w io.Writer, file string, sum summary) {
	for _, r := range sum.lines {
		fmt.Fprintf(w, "%s:%d: %s: %q\n", inputName(file), r.Line, r.Message, r.Original)
	}
	if more := sum.rejected - len(sum.lines); more > 0 && len(sum.lines) > 0 {
		fmt.Fprintf(w, "%s: and %s more rejected lines\n", inputName(file), formatCount(more))
	}
}

// maybeGunzip decompresses what begins as gzip and passes the rest as it is.
func maybeGunzip(src io.Reader) (io.Reader, error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), src)
	if string(head[:n]) != "\x1f\x8b" {
		return whole, nil
	}
	return gzip.NewReader(whole)
}
