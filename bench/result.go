package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// caseResult is what was measured in one case of a scenario.
type caseResult struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"` // what else is to be known of it
	Measures []measure         `json:"measures"`
}

// measure is one quantity with its value in each repetition.
type measure struct {
	Name   string
	Values []float64
}

func (c *caseResult) add(name string, value float64) {
	c.Measures = append(c.Measures, measure{name, []float64{value}})
}

// value returns the median of a measure, if it was taken.
func (c *caseResult) value(name string) (float64, bool) {
	for _, m := range c.Measures {
		if m.Name == name {
			return m.median(), true
		}
	}
	return 0, false
}

// valueOrGap is value for plots.
func (c *caseResult) valueOrGap(name string) float64 {
	if v, ok := c.value(name); ok {
		return v
	}
	return math.NaN()
}

// join appends the values of a repetition to those of the earlier ones. The cases are the same
// each time, in the same order; a measure may be missing where there was nothing to measure.
func join(earlier, results []caseResult) []caseResult {
	if earlier == nil {
		return results
	}
	for i, r := range results {
		for _, m := range r.Measures {
			j := slices.IndexFunc(earlier[i].Measures, func(e measure) bool { return e.Name == m.Name })
			if j < 0 {
				earlier[i].Measures = append(earlier[i].Measures, m)
				continue
			}
			into := &earlier[i].Measures[j]
			into.Values = append(into.Values, m.Values...)
		}
	}
	return earlier
}

// MarshalJSON adds median and range to the values.
func (m measure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name   string    `json:"name"`
		Median float64   `json:"median"`
		Min    float64   `json:"min"`
		Max    float64   `json:"max"`
		Values []float64 `json:"values"`
	}{m.Name, m.median(), slices.Min(m.Values), slices.Max(m.Values), m.Values})
}

func (m measure) median() float64 {
	sorted := slices.Sorted(slices.Values(m.Values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String is the median, with the range when it can be seen.
func (m measure) String() string {
	low, high := number(slices.Min(m.Values)), number(slices.Max(m.Values))
	if low == high {
		return low
	}
	return fmt.Sprintf("%s (%s–%s)", number(m.median()), low, high)
}

// smallest is the smallest number that is not printed as 0.
const smallest = 1e-4

// number prints at least three significant digits, and whole numbers as such.
func number(v float64) string {
	digits := 0
	if a := math.Abs(v); a >= smallest && a < 100 && v != math.Trunc(v) {
		digits = min(2-int(math.Floor(math.Log10(a))), 4)
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if whole, _, ok := strings.Cut(text, "."); ok || len(whole) < 5 {
		return text
	}
	return thousands(text)
}

// thousands puts commas into a whole number.
func thousands(text string) string {
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// merge joins the durations of several workers and sorts them.
func merge(parts [][]time.Duration) []time.Duration {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return all
}

// percentile returns the value that a share of the sorted durations does not exceed,
// in milliseconds.
func percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(share*float64(len(sorted)))) - 1
	return milliseconds(sorted[max(i, 0)])
}

// mean is the mean of durations in milliseconds.
func mean(all []time.Duration) float64 {
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return milliseconds(sum) / float64(max(len(all), 1))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const mib = 1 << 20

// widestTable is the number of cases that still fit side by side.
const widestTable = 4

// manyMeasures, for each case, are easier to read below each other.
const manyMeasures = 3

// table prints results in Markdown, readable as it is: a column for each case, or for
// each measure when there are many cases. A measure that a case does not have leaves its
// cell empty.
func table(results []caseResult) string {
	if len(results) == 0 {
		return ""
	}
	labels, measures := columns(results)
	grid := [][]string{append(append([]string{""}, labels...), measures...)}
	for _, r := range results {
		row := []string{r.Name}
		for _, l := range labels {
			row = append(row, r.Labels[l])
		}
		for _, name := range measures {
			row = append(row, r.cell(name))
		}
		grid = append(grid, row)
	}
	if len(results) <= widestTable || len(grid[0]) > manyMeasures*len(results) {
		grid = transpose(grid)
	}
	return markdown(grid)
}

// columns lists the labels and measures of all cases, in the order of their first appearance.
func columns(results []caseResult) (labels, measures []string) {
	for _, r := range results {
		for _, l := range slices.Sorted(maps.Keys(r.Labels)) {
			if !slices.Contains(labels, l) {
				labels = append(labels, l)
			}
		}
		for _, m := range r.Measures {
			if !slices.Contains(measures, m.Name) {
				measures = append(measures, m.Name)
			}
		}
	}
	return labels, measures
}

func (c *caseResult) cell(name string) string {
	for _, m := range c.Measures {
		if m.Name == name {
			return m.String()
		}
	}
	return ""
}

// ratios relates the measures of all cases to those of one. Without that one there are none.
func ratios(results []caseResult, base string) []caseResult {
	i := slices.IndexFunc(results, func(r caseResult) bool { return r.Name == base })
	if i < 0 {
		return nil
	}
	var all []caseResult
	for _, r := range results {
		if r.Name == base {
			continue
		}
		related := caseResult{Name: r.Name + " / " + base}
		for _, m := range r.Measures {
			if our, ok := results[i].value(m.Name); ok && our != 0 && m.Name != "rows" && m.Name != "other CPU s" {
				related.add(m.Name, m.median()/our)
			}
		}
		all = append(all, related)
	}
	return all
}

func transpose(grid [][]string) [][]string {
	out := make([][]string, len(grid[0]))
	for _, row := range grid {
		for i, cell := range row {
			out[i] = append(out[i], cell)
		}
	}
	return out
}

// markdown lays a grid out as a table whose first row is the head and whose first
// column is text.
func markdown(grid [][]string) string {
	widths := make([]int, len(grid[0]))
	for _, row := range grid {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 2)
		}
	}
	var out strings.Builder
	for r, row := range grid {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				out.WriteString("| " + cell + pad + " |")
			} else {
				out.WriteString(" " + pad + cell + " |")
			}
		}
		out.WriteByte('\n')
		if r == 0 {
			out.WriteString(rule(widths))
		}
	}
	return out.String()
}

// rule is the line below the head: text to the left, numbers to the right.
func rule(widths []int) string {
	line := "|" + strings.Repeat("-", widths[0]+2) + "|"
	for _, w := range widths[1:] {
		line += strings.Repeat("-", w+1) + ":|"
	}
	return line + "\n"
}
