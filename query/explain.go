package query

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// EXPLAIN answers with InfluxDB 3's two columns, plan_type and plan. A row of type scan for
// each table says which files are read, which are left out and why, and where rows are
// merged; it is known before DuckDB plans anything. Then comes DuckDB's plan, one operator
// a line, as physical_plan, or as Plan with Metrics with what EXPLAIN ANALYZE measured.
// Paths are relative to the data directory.

// What a user's EXPLAIN becomes. JSON is the one form that is made to be read by programs.
const (
	explainJSON = "EXPLAIN (FORMAT JSON) "
	analyzeJSON = "EXPLAIN (ANALYZE, FORMAT JSON) "
)

// cutExplainJSON returns the statement that one of them explains.
func cutExplainJSON(text string) string {
	for _, prefix := range []string{explainJSON, analyzeJSON} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest
		}
	}
	return text
}

// EXPLAIN lists so much of a scan. Windows may be as short as a point.
const (
	maxListedFiles   = 100
	maxListedWindows = 3
)

// explainSchema is that of the answer.
func explainSchema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "plan_type", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "plan", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
}

// explain runs the text of an EXPLAIN and returns a text for its answer.
func (r *running) explain(ctx context.Context, prefix, text string) (string, error) {
	text = strings.TrimPrefix(text, prefix)
	kind, how := "physical_plan", explainJSON
	if prefix == "EXPLAIN ANALYZE " {
		kind, how = "Plan with Metrics", analyzeJSON
	}
	answer, err := r.readText(ctx, how+text)
	if err != nil {
		return "", err
	}
	plan, err := formatPlan(answer)
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(r.querier.opts.DataDir)
	if err != nil {
		return "", fmt.Errorf("query: data directory: %w", err)
	}
	dir += string(filepath.Separator)
	var rows []string
	for _, s := range r.reports {
		rows = append(rows, "('scan', "+sqltext.Literal(strings.ReplaceAll(s.text(), dir, ""))+")")
	}
	rows = append(rows, "("+sqltext.Literal(kind)+", "+sqltext.Literal(strings.ReplaceAll(plan, dir, ""))+")")
	return "SELECT plan_type, plan FROM (VALUES " + strings.Join(rows, ", ") + ") v(plan_type, plan)", nil
}

// readText returns the second column of the answer to a text, DuckDB's explain_value.
func (r *running) readText(ctx context.Context, text string) (string, error) {
	s, err := openStream(ctx, r.querier, text)
	if err != nil {
		return "", cmp.Or(r.fault(), err)
	}
	defer s.close()
	var all strings.Builder
	for {
		batch, err := s.next()
		if err != nil {
			return "", cmp.Or(r.fault(), s.explain(err))
		}
		if batch == nil {
			return all.String(), nil
		}
		column, ok := batch.Column(1).(*array.String)
		for i := 0; ok && i < column.Len(); i++ {
			all.WriteString(column.Value(i))
		}
		batch.Release()
		if !ok {
			return "", fmt.Errorf("query: duckdb explains in a column of type %v", batch.Schema().Field(1).Type)
		}
	}
}

// planNode is an operator in DuckDB's JSON. EXPLAIN and EXPLAIN ANALYZE name it differently; of
// the root of the latter only the sums mean something.
type planNode struct {
	Name     string                     `json:"name"`
	Operator string                     `json:"operator_name"`
	Info     map[string]json.RawMessage `json:"extra_info"`
	Children []planNode                 `json:"children"`

	Seconds *float64 `json:"operator_timing"`
	Rows    int64    `json:"operator_cardinality"`

	Latency *float64 `json:"latency"`
	CPU     float64  `json:"cpu_time"`
	Memory  int64    `json:"system_peak_buffer_memory"`
	Spill   int64    `json:"system_peak_temp_dir_size"`
}

// formatPlan writes a plan with one operator a line, below and indented what it reads from.
func formatPlan(answer string) (string, error) {
	var b strings.Builder
	var roots []planNode
	if strings.HasPrefix(answer, "{") {
		var root planNode
		if err := json.Unmarshal([]byte(answer), &root); err != nil {
			return "", fmt.Errorf("query: read the measured plan: %w", err)
		}
		if root.Latency != nil {
			fmt.Fprintf(&b, "total time=%s cpu=%s peak_memory_of_all_queries=%d peak_spill_of_all_queries=%d\n",
				secondsText(*root.Latency), secondsText(root.CPU), root.Memory, root.Spill)
		}
		roots = root.Children
	} else if err := json.Unmarshal([]byte(answer), &roots); err != nil {
		return "", fmt.Errorf("query: read the plan: %w", err)
	}
	for i := range roots {
		roots[i].write(&b, 0)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func secondsText(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond).String()
}

func (n *planNode) write(b *strings.Builder, depth int) {
	name := strings.TrimSpace(cmp.Or(n.Operator, n.Name))
	if name == "EXPLAIN_ANALYZE" {
		for i := range n.Children {
			n.Children[i].write(b, depth)
		}
		return
	}
	b.WriteString(strings.Repeat("  ", depth) + name)
	if n.Seconds != nil {
		fmt.Fprintf(b, " rows=%d time=%s", n.Rows, secondsText(*n.Seconds))
	}
	for _, key := range slices.Sorted(maps.Keys(n.Info)) {
		value := infoText(n.Info[key])
		if value == "" || key == "Estimated Cardinality" && n.Seconds != nil || key == "__projections__" && value == "[]" {
			continue
		}
		fmt.Fprintf(b, ", %s: %s", strings.ToLower(strings.Trim(key, "_")), value)
	}
	b.WriteByte('\n')
	for i := range n.Children {
		n.Children[i].write(b, depth+1)
	}
}

// infoText writes a text, or texts with commas between them, on one line.
func infoText(raw json.RawMessage) string {
	var one string
	var many []string
	if json.Unmarshal(raw, &one) != nil {
		if json.Unmarshal(raw, &many) != nil {
			return string(raw)
		}
		one = strings.Join(many, ", ")
	}
	return strings.Join(strings.Fields(one), " ")
}

// text describes a scan: a line that sums it up, one for each file, and one for each window.
func (s *scanReport) text() string {
	var b strings.Builder
	if s.newest {
		return fmt.Sprintf("%s: the newest row of each series, as kept in memory: %s", s.table.Name, countText(s.bufferedRows(), "row"))
	}
	if s.tagSets {
		return s.tagSetsText()
	}
	fmt.Fprintf(&b, "%s: %s read, %s pruned (%d by time, %d by tags), %d buffered rows, %s merged",
		s.table.Name, countText(len(s.files()), "file"), countText(len(s.pruned), "file"), s.prunedByTime, s.prunedByTags,
		s.bufferedRows(), countText(len(s.windows), "window"))
	if s.time != schema.MaxTimeRange {
		b.WriteString("\n  wanted " + rangeText(s.time))
	}
	list(&b, s.clean, maxListedFiles, func(f engine.FileRef) string { return "read   " + fileText(f) })
	list(&b, s.merged, maxListedFiles, func(f engine.FileRef) string { return "merge  " + fileText(f) })
	list(&b, s.pruned, maxListedFiles, func(f prunedFile) string {
		why := "by tags"
		if f.byTime {
			why = "by time"
		}
		if path, err := filepath.Abs(f.Path); err == nil { // as those of the others are
			f.Path = path
		}
		return "pruned " + fileText(f.FileRef) + " " + why
	})
	list(&b, s.windows, maxListedWindows, func(w schema.TimeRange) string { return "window " + rangeText(w) })
	if s.foundRows > 0 {
		fmt.Fprintf(&b, "\n  found  %d rows of few series in files", s.foundRows)
	}
	if s.mergedRows > 0 {
		fmt.Fprintf(&b, "\n  merge  %d buffered rows", s.mergedRows)
	}
	return b.String()
}

func list[T any](b *strings.Builder, all []T, most int, line func(T) string) {
	for i, v := range all {
		if i == most {
			fmt.Fprintf(b, "\n  and %d more", len(all)-most)
			return
		}
		b.WriteString("\n  " + line(v))
	}
}

func countText(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func fileText(f engine.FileRef) string {
	text := fmt.Sprintf("%s %d rows %d bytes %s", f.Path, f.Rows, f.Bytes, rangeText(f.Time))
	if len(f.Hidden) > 0 {
		text += " without rows that were deleted"
	}
	return text
}

func rangeText(r schema.TimeRange) string {
	if r.IsEmpty() {
		return "no time"
	}
	return instantText(r.Min) + " .. " + instantText(r.Max)
}

func instantText(ns int64) string {
	if ns == schema.MaxTimeRange.Min || ns == schema.MaxTimeRange.Max {
		return "any"
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
}
