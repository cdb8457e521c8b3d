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
	"sync/atomic"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/datasets"
	"github.com/siltstone-db/siltstone/query"
)

// ageCmd lets data grow old: days of flushes and compactions with a clock that does not wait. Engine and queries
// are in this process, since a server takes its clock from the machine.
type ageCmd struct {
	profileFlags `embed:""`

	Days  int           `json:"days" help:"Days that pass." default:"30"`
	Flush time.Duration `json:"flush_ns" help:"Time between two flushes." default:"10m"`
	Nth   int           `json:"nth" help:"Every so-manyth of the hundred hosts of TSBS's devops sample." default:"5"`
}

// Run runs the scenario alone.
func (c *ageCmd) Run(ctx context.Context, s *settings) error {
	return run(ctx, s, scenario{name: "age", settings: c, run: c.measure})
}

const (
	// agePool is small, so that growth would show.
	agePool = 256 << 20
	// ageQuestions is how often each query is asked at the end of a day.
	ageQuestions = 20
	day          = 24 * time.Hour
)

// aging is a directory and the clock that it lives by.
type aging struct {
	flags  *ageCmd
	b      *bench
	dir    string
	rounds *tsbs.Rounds
	hosts  []string
	passed atomic.Int64 // nanoseconds since the beginning

	e       *engine.Engine
	q       *query.Querier
	body    []byte
	rows    int // acknowledged
	written int // files that flushes wrote
	most    int // files that there were at once today
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
	a := &aging{flags: c, b: b, dir: dir}
	if err := a.prepare(); err != nil {
		return nil, err
	}
	if err := a.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	for today := range c.Days {
		begin, err := account(os.Getpid())
		if err != nil {
			return nil, err
		}
		if err := a.live(ctx); err != nil {
			return nil, err
		}
		end, err := account(os.Getpid())
		if err != nil {
			return nil, err
		}
		result := caseResult{Name: fmt.Sprintf("day %d", today+1)}
		if err := a.report(ctx, &result, end.since(begin)); err != nil {
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
	return nil
}

func (a *aging) now() time.Time { return time.Unix(0, a.rounds.Start()+a.passed.Load()).UTC() }

// open starts engine and queries as a server does that has been running for a while.
func (a *aging) open() (err error) {
	a.e, err = engine.Open(engine.Options{
		DataDir: a.dir, PoolBytes: agePool, Gen1Duration: -1, CompactionBandwidth: -1,
		Now: a.now, Elapsed: func() time.Duration { return time.Duration(a.passed.Load()) },
	})
	if err != nil {
		return err
	}
	a.q, err = query.Open(query.Options{
		View: a.e.View, Schema: a.e.Schema, DataDir: a.dir, TempDir: a.dir, MemoryBytes: a.e.QueryMemoryBytes(), Now: a.now,
	})
	return err
}

func (a *aging) close() error {
	var err error
	if a.q != nil {
		err = a.q.Close()
	}
	return errors.Join(err, a.e.Close())
}

// live lets a day pass.
func (a *aging) live(ctx context.Context) error {
	a.most = 0
	if err := resetPeakMemory(); err != nil {
		return err
	}
	for range day / a.flags.Flush {
		round := int(a.passed.Load() / int64(a.flags.Flush))
		var lines int
		a.body, lines = a.rounds.Append(a.body[:0], round)
		a.passed.Add(int64(a.flags.Flush))
		written, err := a.e.Write(ctx, engine.WriteRequest{Database: database, Body: a.body, Precision: engine.Nanosecond})
		if err != nil {
			return err
		}
		if written.Accepted != lines {
			return fmt.Errorf("%d of %d rows were accepted", written.Accepted, lines)
		}
		a.rows += lines
		before := a.e.Stats().Files
		if err := a.e.Flush(ctx); err != nil {
			return err
		}
		after := a.e.Stats().Files
		a.written += after - before
		a.most = max(a.most, after)
		a.e.CompactDue()
	}
	return nil
}

// report adds what there is at the end of a day.
func (a *aging) report(ctx context.Context, result *caseResult, cost spent) error {
	memory, err := peakMemory(os.Getpid())
	if err != nil {
		return err
	}
	a.b.progress("%s: %d rows, %d files were written", result.Name, a.rows, a.written)
	result.add("M rows", float64(a.rows)/1e6)
	result.add("files written by flushes", float64(a.written))
	result.add("most files at once", float64(a.most))
	result.add("files at its end", float64(a.e.Stats().Files))
	bytes, err := parquetBytes(a.dir)
	if err != nil {
		return err
	}
	result.add("Parquet bytes/row", float64(bytes)/float64(a.rows))
	result.add("peak memory MiB", float64(memory)/mib)
	result.add("CPU s per M rows", cost.Server*1e6/float64(a.rows)*float64(a.day()))
	for _, k := range ageKinds {
		median, err := a.ask(ctx, k.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		result.add(k.name+", median ms", median)
	}
	if err := expectStored(a.e, database, a.rows); err != nil {
		return err
	}
	if err := a.close(); err != nil {
		return err
	}
	begin := time.Now()
	if err := a.open(); err != nil {
		return err
	}
	result.add("start ms", time.Since(begin).Seconds()*1e3)
	return nil
}

// day counts the days that have passed.
func (a *aging) day() int { return int(a.passed.Load() / int64(day)) }

// ageKinds are queries whose answers are as large on every day: of an hour, anywhere or the newest, and of half
// a day.
var ageKinds = []struct {
	name string
	sql  func(a *aging) string
}{
	{"any hour of one host", func(a *aging) string {
		return a.question("max(usage_user)", "hostname = '"+a.host()+"' AND", rand.N(a.now().Add(-a.hour()).Sub(a.begin())), a.hour(), "")
	}},
	{"newest 12 hours of one host", func(a *aging) string {
		return a.question("max(usage_user)", "hostname = '"+a.host()+"' AND", a.now().Sub(a.begin())-day/2, day/2, "")
	}},
	{"newest hour of all hosts", func(a *aging) string {
		return a.question("hostname, avg(usage_user)", "", a.now().Sub(a.begin())-a.hour(), a.hour(), ", hostname")
	}},
}

func (a *aging) begin() time.Time { return time.Unix(0, a.rounds.Start()).UTC() }

// hour is what is asked for, long enough to hold points.
func (a *aging) hour() time.Duration { return max(time.Hour, a.flags.Flush) }

func (a *aging) host() string { return a.hosts[rand.IntN(len(a.hosts))] }

// question words a query of a span of time that begins some time after the first point.
func (a *aging) question(columns, where string, from, span time.Duration, group string) string {
	low := a.begin().Add(from)
	return fmt.Sprintf("SELECT date_trunc('minute', time) AS minute, %s FROM cpu WHERE %s time >= '%s' AND time < '%s' GROUP BY minute%s",
		columns, where, low.Format(time.RFC3339Nano), low.Add(span).Format(time.RFC3339Nano), group)
}

// ask returns the median of a query's latencies. Each answer must have rows.
func (a *aging) ask(ctx context.Context, sql func(*aging) string) (median float64, err error) {
	var all []time.Duration
	for range ageQuestions {
		text := sql(a)
		begin := time.Now()
		rows, err := a.count(ctx, text)
		all = append(all, time.Since(begin))
		if err == nil && rows == 0 {
			err = errors.New("the answer is empty")
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", text, err)
		}
	}
	slices.Sort(all)
	return percentile(all, 0.5), nil
}

// count runs a query and counts the rows of its answer.
func (a *aging) count(ctx context.Context, sql string) (rows int64, err error) {
	result, err := a.q.Query(ctx, query.Request{Database: database, SQL: sql})
	if err != nil {
		return 0, err
	}
	defer result.Close()
	for result.Next() {
		rows += result.Record().NumRows()
	}
	return rows, result.Err()
}
