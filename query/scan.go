package query

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// A table's scan is one SELECT over its files and buffers. The easy part is that DuckDB reads
// the files by itself and the buffers through a table function (buffer.go). The hard part is Q1:
// rows with the same tags and time, wherever they are, must appear as one row, and each of
// its fields must be the last value written to it that is not null.
//
// Grouping everything by tags and time does that and costs 60 times the scan. So rows
// that cannot meet another row of their point are kept out of it:
//
//   - A file holds each point once. Where its range of time overlaps with no other
//     source, its rows are final ("clean").
//   - The windows in which at least two sources overlap are known from the catalog and the
//     chunks. Only the rows in them ("dirty") are grouped.
//   - A buffer holds rows in order of arrival and may repeat a point in itself. Which
//     points it repeats is found in Go before the query starts, and just their rows
//     become dirty.
//
// The scan is therefore the union of up to five parts, any of which may be missing:
//
//	files that are outside all windows
//	files that are partly inside, restricted to what is outside
//	the same of files of which rows are hidden (hidden.go)
//	clean rows of the buffers
//	the groups of: files restricted to the windows, and dirty rows of the buffers
//
// The last part is merged here where it can be (merging.go), and by DuckDB otherwise.
//
// In a group arg_max(field, order) is the last non-null value, because arg_max skips
// nulls and no two rows of a group have the same order: a file's is its place in the list
// (sorted by File.Order), and buffered rows come after all files, in order of arrival.
//
// What makes this safe for any WHERE clause is that DuckDB pushes a filter below a GROUP BY
// only if it is on the grouping columns, the tags and time. A filter on a field stays above,
// where it sees the merged value; a replaced value can never match.
//
// A LatestByTag table needs one more step: latest.go.
//
// Inside a scan the columns are called by their ids: a user's column may be called
// "file_index" or differ from another one in nothing but case.

// timeFieldID is the Parquet field_id of the time column, persist.TimeFieldID.
const timeFieldID = 1<<31 - 1

// orderColumn is the name of the column that decides between rows of a group.
const orderColumn = "o"

// scanPlan is what a scan consists of.
type scanPlan struct {
	columns []schema.Column // those that the query can mean, in order of SELECT *; time has id 0
	read    []schema.Column // those and what else the scan itself needs
	tags    []schema.Column // all of the table
	latest  *latestRule     // nil unless the table's key is LatestByTag
	wanted  string          // a condition on rows of files; empty for all
	kept    string          // likewise: they are within the retention period
	windows []schema.TimeRange

	clean, partial, dirty []engine.FileRef
	screened              []engine.FileRef // clean or partial ones of which rows are hidden
	found                 foundRows        // of files that DuckDB does not read
	pruned                []prunedFile
	rows                  bufferedRows
	mergedHere            string        // the handle of what need not be merged by DuckDB, empty where it must
	computed              *computedRows // of a rollup (rollup.go); nil where none are
}

// planScan prunes a table's sources and finds what must be merged. The errors are those of
// reading rows of files (few.go).
func planScan(ctx context.Context, t *engine.TableView, c *constraint, used *columnNames) (*scanPlan, error) {
	p := &scanPlan{tags: t.Table.Tags(), columns: t.Table.ShownColumns()}
	if !haveTwins(p.columns) { // their names depend on each other
		p.columns = slices.DeleteFunc(p.columns, func(c schema.Column) bool { return c.ID != 0 && !used.has(c.Name) })
	}
	p.read = p.columns
	if t.Table.Key.Rule == schema.LatestByTag {
		p.latest = newLatestRule(t.Table)
		p.read = p.latest.addColumns(p.columns)
		c = p.latest.narrow(c)
		p.wanted = p.latest.wanted(c)
	}
	kept := t.Kept()
	c = c.within(kept)
	stale, isStale := staleWithin(t, c), false
	var files []engine.FileRef
	for _, f := range t.Files {
		if c.allowsFile(f.File) {
			f.Hidden = c.hides(t.Table, f.Hidden)
			if f.Hidden, isStale = hideStale(f, stale); isStale {
				continue
			}
			files = append(files, f)
			if f.Time.Min < kept.Min {
				p.kept = keptCondition(kept.Min)
			}
		} else {
			p.pruned = append(p.pruned, prunedFile{f, !c.allowsTime(f.Time)})
		}
	}
	if err := p.compute(ctx, t, c, stale); err != nil {
		return nil, err
	}
	files, err := absolute(files)
	if err != nil {
		return nil, err
	}
	if err := p.findFew(ctx, t, c, files); err != nil {
		return nil, err
	}
	if p.found.files != nil {
		files = nil
	}
	buffers := newBuffers(append(p.found.rows, t.Buffers...), c, int64(len(files)))
	p.findWindows(files, buffers)
	for i := range buffers {
		buffers[i].split(p.windows, &p.rows)
	}
	p.sortFiles(files)
	return p, nil
}

// findWindows finds the windows of time in which sources overlap.
func (p *scanPlan) findWindows(files []engine.FileRef, buffers []buffer) {
	var ranges []ownedRange
	var sources [][]schema.TimeRange
	for _, f := range files {
		ranges = append(ranges, ownedRange{f.Time, aFile})
		sources = append(sources, []schema.TimeRange{f.Time})
	}
	for i := range buffers {
		ranges = append(ranges, ownedRange{buffers[i].Time, i})
	}
	index := newRangeIndex(ranges)
	for i := range buffers {
		sources = append(sources, buffers[i].ranges(index.others(buffers[i].Time, i)))
	}
	p.windows = representable(overlapWindows(sources))
}

// aFile owns a range that is not a buffer's.
const aFile = -1

// sortFiles divides the files by how they lie to the windows.
func (p *scanPlan) sortFiles(files []engine.FileRef) {
	for _, f := range files {
		how, isScreened := cover(p.windows, f.Time), len(f.Hidden) > 0
		switch {
		case how == inside:
		case isScreened:
			p.screened = append(p.screened, f)
		case how == outside:
			p.clean = append(p.clean, f)
		default:
			p.partial = append(p.partial, f)
		}
		if how != outside {
			p.dirty = append(p.dirty, f)
		}
	}
}

// screenedOutside are the screened files that overlap with nothing. The others are dirty, too.
func (p *scanPlan) screenedOutside() []engine.FileRef {
	return slices.DeleteFunc(slices.Clone(p.screened), func(f engine.FileRef) bool { return cover(p.windows, f.Time) != outside })
}

// DuckDB's literals reach from 1677-09-22 to 2262-04-11; instants beyond exist.
const (
	minLiteral = -9223286400000000000
	maxLiteral = 9223286400000000000
)

// representable widens windows that begin or end where no literal reaches.
func representable(windows []schema.TimeRange) []schema.TimeRange {
	for i := range windows {
		if windows[i].Min < minLiteral {
			windows[i].Min = schema.MaxTimeRange.Min
		}
		if windows[i].Max > maxLiteral {
			windows[i].Max = schema.MaxTimeRange.Max
		}
	}
	return mergeRanges(windows)
}

// registerFunc makes buffered rows available to the table function and returns their
// handle; withOrder asks for the order column too.
type registerFunc func(rows []rowRun, columns []schema.Column, withOrder bool) (handle string)

// sql writes the scan.
func (p *scanPlan) sql(register registerFunc) string {
	if p.latest == nil {
		return p.renamed() + " FROM (" + p.points(register) + ")"
	}
	var handles []string
	points := p.points(func(rows []rowRun, columns []schema.Column, withOrder bool) string {
		handle := register(rows, columns, withOrder)
		handles = append(handles, handle)
		return handle
	})
	return p.renamed() + " FROM (" + p.newest(points, handles) + ")" + where(p.latest.isShown())
}

// points writes the rows, one for each point.
func (p *scanPlan) points(register registerFunc) string {
	var parts []string
	if len(p.clean) > 0 {
		parts = append(parts, p.selectRows(p.names(), p.clean, p.read, p.wanted, p.kept))
	}
	if len(p.partial) > 0 {
		parts = append(parts, p.selectRows(p.names(), p.partial, p.read, p.wanted, p.kept, timeCondition(complement(p.windows))))
	}
	if len(p.screened) > 0 {
		parts = append(parts, p.selectRows(p.names(), p.screened, p.read, p.wanted, p.kept, timeCondition(complement(p.windows))))
	}
	if len(p.rows.clean) > 0 {
		parts = append(parts, "SELECT "+p.names()+" FROM "+readBuffer(register(p.rows.clean, p.read, false)))
	}
	switch {
	case p.mergedHere != "":
		parts = append(parts, "SELECT "+p.names()+" FROM "+readBuffer(p.mergedHere))
	case len(p.dirty) > 0 || len(p.rows.dirty) > 0:
		parts = append(parts, p.merged(register))
	}
	if p.computed != nil {
		parts = append(parts, p.computed.sql(p.read, register))
	}
	if len(parts) == 0 {
		parts = append(parts, p.nothing())
	}
	return strings.Join(parts, " UNION ALL ")
}

// where writes a WHERE clause of the conditions that are not empty.
func where(conditions ...string) string {
	conditions = slices.DeleteFunc(conditions, func(c string) bool { return c == "" })
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// verify makes sure that DuckDB, which checks nothing, finds what was written wherever the
// scan lets it read.
func (p *scanPlan) verify(ctx context.Context, t *engine.TableView) error {
	if d := p.computed; d != nil {
		if err := d.plan.verify(ctx, d.source); err != nil {
			return err
		}
	}
	if err := t.Verify(ctx, slices.Concat(p.clean, p.partial), idsOf(p.read)); err != nil {
		return err
	}
	if err := t.Verify(ctx, p.screened, idsOf(p.withHiding(p.screened, p.read))); err != nil {
		return err
	}
	return t.Verify(ctx, p.dirty, idsOf(p.grouped()))
}

func idsOf(columns []schema.Column) []schema.ColumnID {
	ids := make([]schema.ColumnID, len(columns))
	for i, c := range columns {
		ids[i] = c.ID
	}
	return ids
}

// grouped lists what is read in order to merge rows: all tags, time and the fields.
func (p *scanPlan) grouped() []schema.Column {
	columns := slices.Clone(p.tags)
	for _, c := range p.read {
		if c.Type != schema.Tag || c.ID == 0 {
			columns = append(columns, c)
		}
	}
	return columns
}

// merged writes the part in which rows are grouped.
func (p *scanPlan) merged(register registerFunc) string {
	columns := p.grouped()
	var all, keys []string
	for _, c := range columns {
		all = append(all, columnName(c))
		if c.Type == schema.Tag || c.ID == 0 {
			keys = append(keys, columnName(c))
		}
	}
	var sources []string
	if len(p.dirty) > 0 {
		items := strings.Join(all, ", ") + ", file_index::BIGINT AS " + orderColumn
		sources = append(sources, p.selectRows(items, p.dirty, columns, p.wanted, p.kept, timeCondition(p.windows)))
	}
	if len(p.rows.dirty) > 0 {
		sources = append(sources, fmt.Sprintf("SELECT %s, %s FROM %s",
			strings.Join(all, ", "), orderColumn, readBuffer(register(p.rows.dirty, columns, true))))
	}
	var selected []string
	for _, c := range p.read {
		name := columnName(c)
		if c.Type != schema.Tag && c.ID != 0 {
			name = fmt.Sprintf("arg_max(%s, %s) AS %s", name, orderColumn, name)
		}
		selected = append(selected, name)
	}
	return fmt.Sprintf("SELECT %s FROM (%s) GROUP BY %s",
		strings.Join(selected, ", "), strings.Join(sources, " UNION ALL "), strings.Join(keys, ", "))
}

// nothing writes a table without rows.
func (p *scanPlan) nothing() string {
	var nulls []string
	for _, c := range p.read {
		nulls = append(nulls, "NULL::"+sqltext.Type(c.Type)+" AS "+columnName(c))
	}
	return "SELECT " + strings.Join(nulls, ", ") + " WHERE false"
}

// names lists the columns that are read by their internal names.
func (p *scanPlan) names() string {
	names := make([]string, len(p.read))
	for i, c := range p.read {
		names[i] = columnName(c)
	}
	return strings.Join(names, ", ")
}

// renamed begins the outermost SELECT, which gives the columns their own names. DuckDB does
// not distinguish case: of several such columns the first, or time, keeps its name.
func (p *scanPlan) renamed() string {
	var items []string
	for i, name := range schema.ShownNames(p.columns) {
		items = append(items, columnName(p.columns[i])+" AS "+sqltext.Name(name))
	}
	return "SELECT " + strings.Join(items, ", ")
}

// haveTwins reports whether two columns differ in case only.
func haveTwins(columns []schema.Column) bool {
	seen := make(map[string]bool, len(columns))
	for _, c := range columns {
		seen[schema.FoldCase(c.Name)] = true
	}
	return len(seen) < len(columns)
}

// columnName is a column's name within a scan.
func columnName(c schema.Column) string {
	if c.ID == 0 {
		return "t"
	}
	return "c" + strconv.FormatUint(uint64(c.ID), 10)
}

// readParquet writes the table function that reads files. With an explicit schema DuckDB finds
// columns by field_id, fills those that a file lacks with null, and opens no file
// before it needs one.
func readParquet(files []engine.FileRef, columns []schema.Column) string {
	var b strings.Builder
	b.WriteString("read_parquet([")
	for i, f := range files {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(sqltext.Literal(f.Path))
	}
	b.WriteString("], schema = MAP {")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		id := uint64(c.ID)
		if id == 0 {
			id = timeFieldID
		}
		fmt.Fprintf(&b, "%d: {name: '%s', type: '%s', default_value: NULL}", id, columnName(c), sqltext.Type(c.Type))
	}
	b.WriteString("})")
	return b.String()
}

func readBuffer(handle string) string { return bufferFunction + "('" + handle + "')" }

// timeCondition writes that t lies in one of the ranges.
func timeCondition(ranges []schema.TimeRange) string {
	var any []string
	for _, w := range ranges {
		var both []string
		if w.Min != schema.MaxTimeRange.Min {
			both = append(both, fmt.Sprintf("t >= make_timestamp_ns(%d)", w.Min))
		}
		if w.Max != schema.MaxTimeRange.Max {
			both = append(both, fmt.Sprintf("t <= make_timestamp_ns(%d)", w.Max))
		}
		if len(both) == 0 {
			both = append(both, "true")
		}
		any = append(any, "("+strings.Join(both, " AND ")+")")
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// keptCondition writes that t is not before an instant.
func keptCondition(from int64) string {
	return timeCondition([]schema.TimeRange{{Min: min(max(from, minLiteral), maxLiteral), Max: schema.MaxTimeRange.Max}})
}

// absolute makes the path of a file absolute, as the allowed directory is.
func absolute(files []engine.FileRef) ([]engine.FileRef, error) {
	all := slices.Clone(files)
	for i := range all {
		path, err := filepath.Abs(all[i].Path)
		if err != nil {
			return nil, fmt.Errorf("query: path of file %d: %w", all[i].ID, err)
		}
		all[i].Path = path
	}
	return all, nil
}
