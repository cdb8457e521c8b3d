package main

import (
	"context"
	"fmt"
	"time"
)

// startCmd measures the start of a server that has many files.
type startCmd struct {
	Files int `json:"files" help:"Parquet files, in tables of a hundred." default:"10000"`
}

// Run runs the scenario alone.
func (c *startCmd) Run(ctx context.Context, s *settings) error { return run(ctx, s, c.scenario()) }

func (c *startCmd) scenario() scenario {
	return scenario{name: "start", settings: c, run: c.measure}
}

// filesOfTable is how many files each table has.
const filesOfTable = 100

// measure makes the files and starts the server on them after an orderly stop and after a kill.
func (c *startCmd) measure(ctx context.Context, b *bench) ([]caseResult, error) {
	s, err := b.serveFresh(ctx, neverFlush)
	if err != nil {
		return nil, err
	}
	defer func() { s.discard() }() // whichever runs then
	b.progress("making %d files", c.Files)
	rows, tables, err := s.makeFiles(ctx, c.Files)
	if err != nil {
		return nil, err
	}
	var results []caseResult
	for _, way := range []struct {
		name string
		end  func() error
	}{
		{"after an orderly stop", func() error { return s.stop() }},
		{"after kill -9", func() error { s.kill(); return nil }},
	} {
		if err := way.end(); err != nil {
			return nil, err
		}
		begin := time.Now()
		next, err := b.serve(ctx, s.dir, neverFlush)
		if err != nil {
			return nil, err
		}
		s = next
		result, err := s.started(way.name, time.Since(begin))
		if err != nil {
			return nil, err
		}
		if err := s.expectRows(rows, tables...); err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, s.stop()
}

// makeFiles flushes a row of each table again and again.
func (s *server) makeFiles(ctx context.Context, files int) (rows int, tables []string, err error) {
	for i := range max(files/filesOfTable, 1) {
		tables = append(tables, fmt.Sprintf("t%d", i))
	}
	day := 24 * time.Hour.Nanoseconds()
	for flush := range min(filesOfTable, files) {
		var body []byte
		for _, t := range tables {
			body = fmt.Appendf(body, "%s,host=a value=%di %d\n", t, flush, firstDay+int64(flush)*day)
		}
		rows += len(tables)
		if _, err := s.load(ctx, []request{newRequest("POST", writeTarget, "", body)}, 1); err != nil {
			return 0, nil, err
		}
		if err := s.flush(); err != nil {
			return 0, nil, err
		}
	}
	return rows, tables, nil
}

// firstDay is 2016-01-01.
const firstDay = 1_451_606_400_000_000_000

// started reports a start that has just ended.
func (s *server) started(name string, ready time.Duration) (caseResult, error) {
	result := caseResult{Name: name}
	cpu, err := processCPU(fmt.Sprint(s.pid()))
	if err != nil {
		return result, err
	}
	memory, err := peakMemory(s.pid())
	if err != nil {
		return result, err
	}
	files, err := s.metric("siltstone_files")
	if err != nil {
		return result, err
	}
	result.add("files", files)
	result.add("start to ready s", ready.Seconds())
	result.add("CPU s", cpu)
	result.add("peak memory MiB", float64(memory)/mib)
	return result, nil
}
