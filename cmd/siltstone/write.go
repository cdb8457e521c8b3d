package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

type writeCmd struct {
	hostFlag
	databaseFlag
	File          []string `short:"f" help:"File of line protocol, may be compressed with gzip or zstd; repeatable. - is standard input, the default." placeholder:"FILE" default:"-"`
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
	return loadFiles(env, c.File, c.Quiet, func(name string) (summary, error) { return c.loadFile(ctx, env, name) })
}

// loadFiles loads one file after the other and tells what became of each.
func loadFiles(env environment, files []string, quiet bool, load func(name string) (summary, error)) error {
	bad := false
	for _, name := range files {
		start := time.Now()
		sum, err := load(name)
		printRejected(env.stderr, name, sum)
		if err != nil {
			return fmt.Errorf("%s: after %s stored points: %w", inputName(name), formatCount(sum.accepted), err)
		}
		bad = bad || sum.rejected > 0
		if !quiet {
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
	in, err := openInput(env, name)
	if err != nil {
		return summary{}, err
	}
	defer in.close()
	l := loader{
		host: c.hostFlag, query: c.params(), gzip: c.Gzip, whole: !c.AcceptPartial, retryFor: time.Duration(c.RetryFor),
		offset: in.offset, maxListed: maxListedLines,
	}
	l.progress = env.progress(c.Quiet, inputName(name), in.size, byBytes)
	defer l.progress.clear()
	err = l.load(ctx, in.text)
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
