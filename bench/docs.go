package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/bench/chart"
)

// docsCmd renders the records of bench/results into the documentation: tables between the marks
//
//	<!-- bench NAME -->
//	<!-- /bench -->
//
// where NAME is a scenario, and plots. A section whose scenario has no record stays as it is.
type docsCmd struct{}

// Where records come from and where they go, from the root of the repository.
const (
	resultsDir = "bench/results"
	docsDir    = "docs"
	plotsDir   = "docs/plots"
)

// Run renders everything.
func (docsCmd) Run(context.Context, *settings) error {
	records, err := readRecords(resultsDir)
	if err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(docsDir, "*.md"))
	if err != nil {
		return err
	}
	if len(pages) == 0 {
		return fmt.Errorf("there is no %s/*.md here; run it in the root of the repository", docsDir)
	}
	for _, page := range pages {
		if err := renderPage(page, records); err != nil {
			return err
		}
	}
	return renderPlots(records)
}

// recorded is a scenario with what is known of its run.
type recorded struct {
	record   *record
	scenario scenarioRecord
}

// readRecords reads the newest record of each scenario: the file that --record writes.
func readRecords(dir string) (map[string]recorded, error) {
	all := make(map[string]recorded)
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range r.Scenarios {
			if recordName(s.Name) == filepath.Base(name) { // others are kept for comparison
				all[s.Name] = recorded{&r, s}
			}
		}
	}
	return all, nil
}

// recordName is the file of a scenario; those of one command share one.
func recordName(scenario string) string {
	command, _, _ := strings.Cut(scenario, "-")
	return command + ".json"
}

var section = regexp.MustCompile(`(?s)(<!-- bench ([a-z-]+) -->\n).*?(<!-- /bench -->)`)

// renderPage rewrites the sections of a page that have a record.
func renderPage(page string, records map[string]recorded) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	rendered := section.ReplaceAllStringFunc(string(text), func(old string) string {
		parts := section.FindStringSubmatch(old)
		r, ok := records[parts[2]]
		if !ok {
			return old
		}
		return parts[1] + "\n" + r.markdown() + "\n" + parts[3]
	})
	if rendered == string(text) {
		return nil
	}
	return os.WriteFile(page, []byte(rendered), 0o644)
}

// bases are the cases that the others of a scenario are related to.
var bases = map[string]string{"peers-write": ourName, "backfill": backfillWays[0].name}

// markdown is the table of a scenario, and what it was measured on.
func (r recorded) markdown() string {
	var out strings.Builder
	out.WriteString(table(r.scenario.Cases))
	if base := bases[r.scenario.Name]; base != "" {
		out.WriteString("\n" + table(ratios(r.scenario.Cases, base)))
	}
	m := r.record.Machine
	fmt.Fprintf(&out, "\n%s, %d CPUs, %s GiB, %s, Linux %s, %s; %s; %s.", m.CPU, m.CPUs, number(float64(m.MemoryBytes>>30)),
		m.FileSystem, m.Kernel, m.Go, r.record.Server, r.record.Date.Format(time.DateOnly))
	if r.record.Repeat > 1 {
		fmt.Fprintf(&out, " Medians of %d runs, with their range.", r.record.Repeat)
	} else {
		out.WriteString(" One run.")
	}
	for _, note := range r.scenario.Notes {
		out.WriteString(" " + note)
	}
	out.WriteString("\n")
	return out.String()
}

// plot is a figure of one scenario.
type plot struct {
	file, scenario string
	figure         func([]caseResult) chart.Figure
}

var plots = []plot{
	{"ingest.svg", "ingest", plotIngest},
	{"query.svg", "query", plotQuery},
	{"peers-write.svg", "peers-write", plotPeersWrite},
	{"peers-query.svg", "peers-query", plotPeersQuery},
	{"age.svg", "age", plotAge},
	{"tuning-gen1.svg", "tuning", func(all []caseResult) chart.Figure {
		return plotTuning(all, "--gen1-duration, with a pool of 20 %", gen1Measure, poolMeasure, defaultPool, "minutes")
	}},
	{"tuning-pool.svg", "tuning", func(all []caseResult) chart.Figure {
		return plotTuning(all, "--exec-mem-pool-bytes, with a flush every 10 minutes", poolMeasure, gen1Measure, defaultGen1.Minutes(), "% of memory")
	}},
}

func renderPlots(records map[string]recorded) error {
	for _, p := range plots {
		r, ok := records[p.scenario]
		if !ok {
			continue
		}
		if err := os.MkdirAll(plotsDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(plotsDir, p.file), p.figure(r.scenario.Cases).SVG(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bars is a panel with a bar for each case that has the measure.
func bars(all []caseResult, title, measure, unit string, log bool) chart.Panel {
	p := chart.Panel{Title: title, X: unit, Bars: true, Log: log}
	var values []float64
	for _, c := range all {
		if v, ok := c.value(measure); ok {
			p.Categories = append(p.Categories, c.Name)
			values = append(values, v)
		}
	}
	p.Series = []chart.Series{{Name: measure, Values: values}}
	return p
}

func plotIngest(all []caseResult) chart.Figure {
	return chart.Figure{Title: "Bulk loads", Panels: []chart.Panel{
		bars(all, "Cost of a million rows, Parquet included", "CPU s per M rows incl. flush", "CPU seconds", false),
		bars(all, "Peak memory", "peak memory MiB", "MiB", false),
	}}
}

func plotPeersWrite(all []caseResult) chart.Figure {
	return chart.Figure{Title: "The same lines, in one run", Panels: []chart.Panel{
		bars(all, "Cost of a million rows, all included", "CPU s per M rows, all included", "CPU seconds, less is better", false),
		bars(all, "Rows a second", "rows/s", "rows/s, more is better", false),
		bars(all, "Single lines, 1 client: median", "1 client: ack p50 ms", "ms, less is better (logarithmic)", true),
		bars(all, "Single lines, 64 clients", "64 clients: acks/s", "acknowledgements a second, more is better (logarithmic)", true),
	}}
}

// seriesOf makes a series of each measure with a name that ends so.
func seriesOf(all []caseResult, suffix string) (series []chart.Series) {
	_, measures := columns(all)
	for _, m := range measures {
		name, ok := strings.CutSuffix(m, suffix)
		if !ok {
			continue
		}
		s := chart.Series{Name: name}
		for _, c := range all {
			s.Values = append(s.Values, c.valueOrGap(m))
		}
		series = append(series, s)
	}
	return series
}

func names(all []caseResult) (names []string) {
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names
}

func plotQuery(all []caseResult) chart.Figure {
	return chart.Figure{Title: "TSBS queries by where the rows are", Panels: []chart.Panel{{
		Title: "Median of an answer in JSON", X: "ms (logarithmic), less is better", Bars: true, Log: true,
		Categories: names(all), Series: seriesOf(all, ": median ms"),
	}}}
}

func plotPeersQuery(all []caseResult) chart.Figure {
	series := slices.DeleteFunc(seriesOf(all, " ms"), func(s chart.Series) bool { return strings.HasSuffix(s.Name, " CPU") })
	return chart.Figure{Title: "TSBS queries beside other databases, in one run", Panels: []chart.Panel{{
		Title: "Median; DuckDB and chdb in process, over Siltstone's files", X: "ms (logarithmic), less is better", Bars: true, Log: true,
		Categories: names(all), Series: series,
	}}}
}

// plotAge shows what stays flat while data grow old.
func plotAge(all []caseResult) chart.Figure {
	panel := func(title, label string, measures ...string) chart.Panel {
		p := chart.Panel{Title: title, X: "days", Y: label}
		for i := range all {
			p.Categories = append(p.Categories, number(float64(i+1)))
		}
		for _, m := range measures {
			s := chart.Series{Name: strings.TrimSuffix(m, medianSuffix)}
			for _, c := range all {
				s.Values = append(s.Values, c.valueOrGap(m))
			}
			p.Series = append(p.Series, s)
		}
		return p
	}
	return chart.Figure{Title: "Data that grow old", Columns: 3, Panels: []chart.Panel{
		panel("Files, of those that flushes wrote", "files", "most files at once", "files at the end"),
		panel("Peak memory", "MiB", memoryMeasure),
		panel("Start", "ms", "start ms"),
		panel("Queries", "median ms", ageQueries[:]...),
		panel("Cost of a million rows, merges included", "CPU s", "CPU s per M rows"),
		panel("Parquet", "bytes/row", "Parquet bytes/row"),
	}}
}

// plotTuning shows the cases in which another setting has its default.
func plotTuning(all []caseResult, title, over, other string, fixed float64, unit string) chart.Figure {
	var shown []caseResult
	var categories []string
	for _, c := range all {
		if c.valueOrGap(other) == fixed {
			shown = append(shown, c)
			categories = append(categories, number(c.valueOrGap(over)))
		}
	}
	panel := func(title, label string, measures ...string) chart.Panel {
		p := chart.Panel{Title: title, X: unit, Y: label, Categories: categories}
		for _, m := range measures {
			s := chart.Series{Name: strings.TrimSuffix(strings.TrimPrefix(m, "afterwards, "), " p50 ms")}
			for _, c := range shown {
				s.Values = append(s.Values, c.valueOrGap(m))
			}
			p.Series = append(p.Series, s)
		}
		return p
	}
	return chart.Figure{Title: title, Columns: 3, Panels: []chart.Panel{
		panel("Peak memory", "MiB", memoryMeasure),
		panel("Mean flush", "seconds", flushMeasure),
		panel("Acknowledgement, p99", "ms", ackMeasure),
		panel("Files for an hour of load", "files", filesMeasure),
		panel("Mean file", "MiB", sizeMeasure),
		panel("Queries afterwards, median", "ms", hostMeasure, allMeasure),
	}}
}
