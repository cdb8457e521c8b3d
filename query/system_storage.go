package query

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// filesTable lists the Parquet files. The first columns are InfluxDB 3's; min_time and max_time
// are nanoseconds, as there. Of two files with the same point, the fields of the one with the
// higher file_order win.
var filesTable = &systemTable{
	schema: "system", name: "parquet_files", rows: systemFiles,
	columns: []schema.Column{
		{Name: "table_name", Type: schema.String},
		{Name: "path", Type: schema.String}, // relative to the data directory
		{Name: "size_bytes", Type: schema.Uint64},
		{Name: "row_count", Type: schema.Uint64},
		{Name: "min_time", Type: schema.Int64},
		{Name: "max_time", Type: schema.Int64},
		{Name: databaseTag, Type: schema.String},
		{Name: "first_day", Type: schema.String}, // UTC
		{Name: "last_day", Type: schema.String},
		{Name: "column_count", Type: schema.Int64}, // time included
		{Name: "file_order", Type: schema.Uint64},
		{Name: "first_sequence", Type: schema.Uint64}, // of the log records whose rows it has
		{Name: "last_sequence", Type: schema.Uint64},
	},
}

// partitionsTable shows how the rows of a table lie: one row for each range of days that
// files or buffers have. Where sources overlap in time, queries merge rows.
var partitionsTable = &systemTable{
	schema: "system", name: "partitions", rows: systemPartitions,
	columns: []schema.Column{
		{Name: databaseTag, Type: schema.String},
		{Name: "table_name", Type: schema.String},
		{Name: "first_day", Type: schema.String}, // UTC
		{Name: "last_day", Type: schema.String},
		{Name: "file_count", Type: schema.Int64},
		{Name: "file_bytes", Type: schema.Int64},
		{Name: "file_rows", Type: schema.Int64},
		{Name: "buffered_rows", Type: schema.Int64},
		{Name: "overlapping", Type: schema.Int64}, // files and buffers that overlap with another one of the table
	},
}

// logTable describes the write-ahead log, which all databases share. A log with an error takes
// no more writes until the server is restarted.
var logTable = &systemTable{
	schema: "system", name: "wal", rows: systemLog, internalOnly: true,
	columns: []schema.Column{
		{Name: "segments", Type: schema.Int64},
		{Name: "spare_segments", Type: schema.Int64}, // trimmed, to be overwritten
		{Name: "bytes", Type: schema.Int64},
		{Name: "first_sequence", Type: schema.Uint64}, // oldest record that some buffer still needs
		{Name: "last_sequence", Type: schema.Uint64},
		{Name: "durable_sequence", Type: schema.Uint64},
		{Name: "applied_sequence", Type: schema.Uint64},
		{Name: "buffered_rows", Type: schema.Int64},
		{Name: "buffered_bytes", Type: schema.Int64},
		{Name: "error", Type: schema.String},
	},
}

// generationsTable is InfluxDB 3's. There is one generation: how long rows stay buffered.
var generationsTable = &systemTable{
	schema: "system", name: "generation_durations", rows: systemGenerations, internalOnly: true,
	columns: []schema.Column{
		{Name: "level", Type: schema.Uint64},
		{Name: "duration_seconds", Type: schema.Uint64},
	},
}

// emptyTables are tables of InfluxDB 3 about what Siltstone does not have. Clients that list
// them find them empty.
var emptyTables = []*systemTable{
	emptyTable("processing_engine_triggers", "trigger_name", "plugin_filename", "trigger_specification", "disabled"),
	emptyTable("processing_engine_trigger_arguments", "trigger_name", "argument_key", "argument_value"),
	emptyTable("processing_engine_logs", "event_time", "trigger_name", "log_level", "log_text"),
}

func emptyTable(name string, columns ...string) *systemTable {
	t := &systemTable{schema: "system", name: name, rows: func(*running) ([][]string, error) { return nil, nil }}
	for _, c := range columns {
		t.columns = append(t.columns, schema.Column{Name: c, Type: schema.String})
	}
	return t
}

// eachTable pins the tables of one database after the other that the query is told about, for as
// long as it takes to look at them.
func (r *running) eachTable(look func(database string, t *engine.TableView) error) error {
	for _, d := range r.databases() {
		view, err := r.querier.opts.View(r.ctx, d.Name, nil)
		if isMissing(err) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		for _, t := range view.Tables {
			if err = look(d.Name, t); err != nil {
				break
			}
		}
		view.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func systemFiles(r *running) (rows [][]string, err error) {
	dir, err := filepath.Abs(r.querier.opts.DataDir)
	if err != nil {
		return nil, fmt.Errorf("query: data directory: %w", err)
	}
	err = r.eachTable(func(database string, t *engine.TableView) error {
		files, err := absolute(t.Files)
		if err != nil {
			return err
		}
		for _, f := range files {
			path, err := filepath.Rel(dir, f.Path)
			if err != nil {
				return fmt.Errorf("query: path of file %d: %w", f.ID, err)
			}
			rows = append(rows, []string{
				textValue(t.Table.Name), textValue(path), uintValue(f.Bytes), uintValue(f.Rows),
				strconv.FormatInt(f.Time.Min, 10), strconv.FormatInt(f.Time.Max, 10), textValue(database),
				textValue(f.DayMin.String()), textValue(f.DayMax.String()), countValue(len(f.Columns) + 1),
				uintValue(f.Order), uintValue(uint64(f.Seq.Min)), uintValue(uint64(f.Seq.Max)),
			})
		}
		return nil
	})
	return rows, err
}

// days is a range of days that files or buffers of a table share.
type days struct{ first, last schema.Day }

// occupation is what lies in a range of days.
type occupation struct{ files, bytes, rows, buffered, overlapping int }

func systemPartitions(r *running) (rows [][]string, err error) {
	err = r.eachTable(func(database string, t *engine.TableView) error {
		found := occupations(t)
		all := make([]days, 0, len(found))
		for d := range found {
			all = append(all, d)
		}
		slices.SortFunc(all, func(a, b days) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
		for _, d := range all {
			o := found[d]
			rows = append(rows, []string{
				textValue(database), textValue(t.Table.Name), textValue(d.first.String()), textValue(d.last.String()),
				countValue(o.files), countValue(o.bytes), countValue(o.rows), countValue(o.buffered), countValue(o.overlapping),
			})
		}
		return nil
	})
	return rows, err
}

func occupations(t *engine.TableView) map[days]*occupation {
	found := make(map[days]*occupation)
	at := func(first, last schema.Day) *occupation {
		d := days{first, last}
		if found[d] == nil {
			found[d] = &occupation{}
		}
		return found[d]
	}
	var sources [][]schema.TimeRange
	for _, f := range t.Files {
		sources = append(sources, []schema.TimeRange{f.Time})
	}
	for _, b := range t.Buffers {
		sources = append(sources, []schema.TimeRange{b.Time})
	}
	windows := overlapWindows(sources)
	overlaps := func(r schema.TimeRange) int {
		if cover(windows, r) == outside {
			return 0
		}
		return 1
	}
	for _, f := range t.Files {
		o := at(f.DayMin, f.DayMax)
		o.files++
		o.bytes += int(f.Bytes)
		o.rows += int(f.Rows)
		o.overlapping += overlaps(f.Time)
	}
	for _, b := range t.Buffers {
		if b.Rows == 0 {
			continue
		}
		o := at(schema.DayOf(b.Time.Min), schema.DayOf(b.Time.Max))
		o.buffered += b.Rows
		o.overlapping += overlaps(b.Time)
	}
	return found
}

func systemLog(r *running) ([][]string, error) {
	if r.querier.opts.Stats == nil {
		return nil, nil
	}
	s := r.querier.opts.Stats()
	fault := "NULL"
	if s.LogError != nil {
		fault = textValue(s.LogError.Error())
	}
	return [][]string{{
		countValue(s.WAL.Segments), countValue(s.WAL.Spares), strconv.FormatInt(s.WAL.Bytes, 10),
		uintValue(uint64(s.WAL.FirstSeq)), uintValue(uint64(s.WAL.LastSeq)), uintValue(uint64(s.WAL.DurableSeq)),
		uintValue(uint64(s.WAL.AppliedSeq)), countValue(s.BufferedRows), strconv.FormatInt(s.BufferBytes, 10), fault,
	}}, nil
}

func systemGenerations(r *running) ([][]string, error) {
	if r.querier.opts.Stats == nil {
		return nil, nil
	}
	return [][]string{{"1", strconv.FormatInt(int64(r.querier.opts.Stats().Gen1Duration/time.Second), 10)}}, nil
}

func uintValue(n uint64) string { return strconv.FormatUint(n, 10) }
