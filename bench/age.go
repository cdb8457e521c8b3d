package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/datasets"
)

// ageCmd lets data grow old: days of flushes and compactions with a clock that does not wait.
type ageCmd struct {
	profileFlags `embed:""`

	Days  int           `json:"days" help:"Days that pass." default:"30"`
	Flush time.Duration `json:"flush_ns" help:"Time between two flushes." default:"10m"`
	Nth   int           `json:"nth" help:"Every so-manyth of the hundred hosts of TSBS's devops sample." default:"5"`
}

// ageQuestions are what is asked each evening, ageQueries their measures.
var (
	ageQuestions = [...]string{"any hour of one host", "newest 12 hours of one host", "newest hour of all hosts"}
	ageQueries   = [...]string{ageQuestions[0] + medianSuffix, ageQuestions[1] + medianSuffix, ageQuestions[2] + medianSuffix}
)

// Run runs the scenario alone.
func (c *ageCmd) Run(ctx context.Context, s *settings) error {
	return run(ctx, s, scenario{name: "age", settings: c, run: c.measure})
}

// aging is data that grow old.
type aging struct {
	simulation
	flags  *ageCmd
	rounds *tsbs.Rounds
	hosts  []string
	body   []byte
}

func (c *ageCmd) measure(ctx context.Context, b *bench) (results []caseResult, err error) {
	if c.Days < 1 || c.Flush <= 0 || c.Nth < 1 || day%c.Flush != 0 {
		return nil, fmt.Errorf("%d days, flushes each %s, every %dth host; flushes must divide a day", c.Days, c.Flush, c.Nth)
	}
	dir, remove, err := b.fresh()
	if err != nil {
		return nil, err
	}
	defer remove()
	stop, err := c.profile()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	a := &aging{simulation: simulation{dir: dir}, flags: c}
	if err := a.prepare(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.open(); err != nil {
		return nil, err
	}
	for today := range c.Days {
		result := caseResult{Name: fmt.Sprintf("day %d", today+1)}
		if err := a.live(ctx, &result); err != nil {
			return nil, err
		}
		b.progress("%s: %d rows, %d files were written", result.Name, a.rows, a.written)
		if err := a.report(ctx, &result); err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// prepare chooses the lines of the time between two flushes, or of its first eleven minutes: the sample has no more.
func (a *aging) prepare() (err error) {
	a.rounds, err = tsbs.NewRounds(datasets.DevOps, 1, tsbs.DefaultInterval)
	if err != nil {
		return err
	}
	const prefix = "hostname=host_"
	a.rounds.Keep(a.flags.Flush, func(text []byte) bool {
		at := bytes.Index(text, []byte(prefix)) + len(prefix)
		number, err := strconv.Atoi(string(text[at : at+bytes.IndexByte(text[at:], ',')]))
		if err != nil || number%a.flags.Nth != 0 {
			return false
		}
		if host := fmt.Sprintf("host_%d", number); !slices.Contains(a.hosts, host) {
			a.hosts = append(a.hosts, host)
		}
		return true
	})
	a.start = time.Unix(0, a.rounds.Start()).UTC()
	return nil
}

// live lets a day pass.
func (a *aging) live(ctx context.Context, result *caseResult) error {
	begin, err := account(os.Getpid())
	if err != nil {
		return err
	}
	if err := resetPeakMemory(); err != nil {
		return err
	}
	a.most = 0
	before := a.rows
	for range day / a.flags.Flush {
		var lines int
		a.body, lines = a.rounds.Append(a.body[:0], int(a.age()/a.flags.Flush))
		a.advance(a.flags.Flush)
		if err := a.write(ctx, a.body, lines); err != nil {
			return err
		}
		if err := a.flush(ctx); err != nil {
			return err
		}
	}
	end, err := account(os.Getpid())
	if err != nil {
		return err
	}
	memory, err := peakMemory(os.Getpid())
	result.add("M rows", float64(a.rows)/1e6)
	result.add("peak memory MiB", float64(memory)/mib)
	result.add("CPU s per M rows", end.since(begin).Server*1e6/float64(a.rows-before))
	return err
}

// report adds what there is at the end of a day, what questions cost whose answers are as large on every day, and
// what a start does.
func (a *aging) report(ctx context.Context, result *caseResult) error {
	if err := a.reportFiles(result, a.rows); err != nil {
		return err
	}
	hour := max(time.Hour, a.flags.Flush)
	newest := func(d time.Duration) timeSpan { return timeSpan{a.now().Add(-d), d} }
	ofHost := func(t timeSpan) string {
		host := a.hosts[rand.IntN(len(a.hosts))]
		return t.question("max(usage_user)", "minute", "hostname = '"+host+"' AND", "")
	}
	err := errors.Join(
		a.ask(ctx, result, ageQuestions[0], func() string { return ofHost(timeSpan{a.start, a.age()}.anywhere(hour)) }),
		a.ask(ctx, result, ageQuestions[1], func() string { return ofHost(newest(day / 2)) }),
		a.ask(ctx, result, ageQuestions[2], func() string {
			return newest(hour).question("hostname, avg(usage_user)", "minute", "", ", hostname")
		}),
		expectStored(a.e, database, a.rows),
		a.close(),
	)
	if err != nil {
		return err
	}
	begin := time.Now()
	err = a.open()
	result.add("start ms", time.Since(begin).Seconds()*1e3)
	return err
}
