package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

// reader is a library for Python that queries Parquet files. It is given those that Siltstone has written.
type reader struct {
	key, name string
	sql       func(tsbs.Query) string
}

var readers = []reader{
	{"duckdb", "DuckDB 2.0.0", func(q tsbs.Query) string { return q.SQL }},
	{"chdb", "chdb 4.4.0", func(q tsbs.Query) string { return q.ClickHouse }},
}

// readerScript runs queries in the process of the library.
//
//go:embed readers.py
var readerScript string

// getPython makes an environment with all readers.
func getPython(ctx context.Context, c thirdparty.Cache) (string, error) {
	if err := thirdparty.Need("python3"); err != nil {
		return "", err
	}
	// The paths inside do not outlive a rename, so that the environment is made where it stays.
	if _, err := c.Install(ctx, "python-duckdb-2.0.0-chdb-4.4.0", "made",
		`python3 -m venv "$HOME_OF_PEER.environment"`,
		`"$HOME_OF_PEER.environment/bin/pip" install --quiet duckdb==2.0.0 chdb==4.4.0`,
		"touch made"); err != nil {
		return "", err
	}
	return filepath.Join(string(c), "python-duckdb-2.0.0-chdb-4.4.0.environment", "bin", "python3"), nil
}

// read is how a reader ran one query.
type read struct {
	Milliseconds float64 `json:"ms"`
	CPU          float64 `json:"cpu_ms"`
	Rows         int     `json:"rows"`
	Error        string  `json:"error"`
}

// run asks the queries of one shape, of which the first is asked twice and counts once.
func (r reader) run(ctx context.Context, python string, files []string, shapes [][]tsbs.Query) ([][]read, error) {
	var texts []string
	for _, queries := range shapes {
		for i, q := range queries {
			if i == 0 {
				texts = append(texts, r.sql(q))
			}
			texts = append(texts, r.sql(q))
		}
	}
	input, err := json.Marshal(struct {
		Reader  string   `json:"reader"`
		Files   []string `json:"files"`
		Queries []string `json:"queries"`
	}{r.key, files, texts})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, python, "-c", readerScript)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", r.name, err, thirdparty.LastLine(stderr.Bytes()))
	}
	return r.collect(out, shapes)
}

// collect reads a line for each query.
func (r reader) collect(out []byte, shapes [][]tsbs.Query) ([][]read, error) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	next := func() (read, error) {
		var a read
		if !lines.Scan() {
			return a, fmt.Errorf("%s answered too few queries", r.name)
		}
		err := json.Unmarshal(lines.Bytes(), &a)
		if err == nil && a.Error != "" {
			err = fmt.Errorf("%s: %s", r.name, a.Error)
		}
		return a, err
	}
	all := make([][]read, len(shapes))
	for i, queries := range shapes {
		if _, err := next(); err != nil {
			return nil, err
		}
		for _, q := range queries {
			a, err := next()
			if err != nil {
				return nil, err
			}
			if a.Rows < q.MinRows || a.Rows > q.MaxRows {
				return nil, fmt.Errorf("%s: %s: %d rows, expected %d to %d", r.name, r.sql(q), a.Rows, q.MinRows, q.MaxRows)
			}
			all[i] = append(all[i], a)
		}
	}
	return all, nil
}

// summary is the median of the times and the mean of CPU and rows.
func summary(reads []read) (median time.Duration, cpu, rows float64) {
	var times []time.Duration
	for _, a := range reads {
		times = append(times, time.Duration(a.Milliseconds*float64(time.Millisecond)))
		cpu += a.CPU
		rows += float64(a.Rows)
	}
	slices.Sort(times)
	n := float64(len(reads))
	return times[(len(times)-1)/2], cpu / n, rows / n
}

// parquetFiles lists those below a directory.
func parquetFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".parquet" {
			files = append(files, path)
		}
		return err
	})
	return files, err
}
