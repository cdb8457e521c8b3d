package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// Influx3 asks a running InfluxDB 3.
type Influx3 struct {
	// Ask sends a query in SQL about a database and returns the body of the answer in a format, json
	// or parquet. The caller closes it.
	Ask func(ctx context.Context, database, sql, format string) (io.ReadCloser, error)
}

// Influx3Table is a table of a database.
type Influx3Table struct {
	Database, Name string
	Columns        []string
	Tags           []string // of the columns
}

// String names the table for people.
func (t Influx3Table) String() string { return t.Database + "." + t.Name }

// rows reads an answer in JSON.
func (f Influx3) rows(ctx context.Context, database, sql string, rows any) error {
	body, err := f.Ask(ctx, database, sql, "json")
	if err != nil {
		return err
	}
	if err = errors.Join(json.NewDecoder(body).Decode(rows), body.Close()); err != nil {
		return fmt.Errorf("the answer of InfluxDB to %s ends early or is unreadable: %w", sql, err)
	}
	return nil
}

// Tables lists the tables of a database.
func (f Influx3) Tables(ctx context.Context, database string) (all []Influx3Table, err error) {
	var columns []struct {
		Table string `json:"table_name"`
		Name  string `json:"column_name"`
		Type  string `json:"data_type"`
	}
	err = f.rows(ctx, database, "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' ORDER BY table_name, column_name", &columns)
	for _, c := range columns {
		if len(all) == 0 || all[len(all)-1].Name != c.Table {
			all = append(all, Influx3Table{Database: database, Name: c.Table})
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, c.Name)
		if strings.HasPrefix(c.Type, "Dictionary(") {
			t.Tags = append(t.Tags, c.Name)
		}
	}
	return all, err
}

// Influx3Copy reads the rows of a table, a slice of time after the other.
type Influx3Copy struct {
	timeSlices

	from    Influx3
	table   Influx3Table
	options Options

	slice  *Parquet // the current one, nil between two
	file   *os.File // its answer, nil between two
	before int      // rows of the slices that are done
}

// Copy prepares to read the rows of a table that are in a range of time. Answers are kept
// in files of tempDir, one at a time; empty is the system's.
func (f Influx3) Copy(ctx context.Context, t Influx3Table, times schema.TimeRange, limits Limits, tempDir string) (*Influx3Copy, error) {
	if err := checkTable(t.Name); err != nil {
		return nil, err
	}
	c := &Influx3Copy{timeSlices: newTimeSlices(times), from: f, table: t, options: Options{Table: t.Name, TagColumns: t.Tags, NoTags: len(t.Tags) == 0, Limits: limits}}
	if c.times.IsEmpty() {
		return c, nil
	}
	first, last, found, err := c.edges(ctx)
	if err != nil {
		return nil, err
	}
	if c.times = (schema.TimeRange{Min: first, Max: last}); !found {
		c.times = schema.EmptyTimeRange
		return c, nil
	}
	c.file, err = os.CreateTemp(tempDir, "siltstone-copy-")
	return c, err
}

// where is the rest of a query for rows in a range of time.
func (c *Influx3Copy) where(times schema.TimeRange) string {
	instant := func(ns int64) string { return sqltext.Literal(time.Unix(0, ns).UTC().Format(time.RFC3339Nano)) }
	return " FROM " + sqltext.Name(c.table.Name) + " WHERE time >= " + instant(times.Min) + " AND time <= " + instant(times.Max)
}

// edges returns the times of the first and the last row that are left.
func (c *Influx3Copy) edges(ctx context.Context) (first, last int64, found bool, err error) {
	var rows []struct{ First, Last string }
	if err := c.from.rows(ctx, c.table.Database, "SELECT min(time) AS first, max(time) AS last"+c.where(c.times), &rows); err != nil {
		return 0, 0, false, err
	}
	if len(rows) == 0 || rows[0].First == "" {
		return 0, 0, false, nil
	}
	first, err1 := parseInstant(rows[0].First)
	last, err2 := parseInstant(rows[0].Last)
	return first, last, true, errors.Join(err1, err2)
}

// parseInstant reads a time of an answer, which is in UTC where it says nothing else.
func parseInstant(text string) (int64, error) {
	t, err := time.Parse("2006-01-02T15:04:05.999999999", strings.TrimSuffix(text, "Z"))
	return schema.Nanoseconds(t), err
}

// Next returns the next chunk, or io.EOF. A chunk ends with its slice at the latest. Places
// are numbers of rows, in the order in which InfluxDB gives them.
func (c *Influx3Copy) Next(ctx context.Context) (*Chunk, error) {
	for {
		if c.slice != nil {
			chunk, err := c.slice.Next()
			if !errors.Is(err, io.EOF) {
				return c.placed(chunk), err
			}
			c.rows = int(c.slice.Rows)
			c.before += c.rows
			err = c.slice.Close()
			c.slice = nil
			if err != nil {
				return nil, err
			}
		}
		if c.end != 0 { // the chunks of the slice have been taken
			err := c.done(func() (int64, bool, error) {
				first, _, found, err := c.edges(ctx)
				return first, found, err
			})
			if err != nil {
				return nil, err
			}
		}
		if c.times.IsEmpty() {
			return nil, io.EOF
		}
		if err := c.begin(ctx); err != nil {
			return nil, err
		}
	}
}

// placed counts the rows of a chunk through all slices.
func (c *Influx3Copy) placed(chunk *Chunk) *Chunk {
	if chunk == nil {
		return nil
	}
	for i := range chunk.Places {
		chunk.Places[i] += c.before
	}
	for i := range chunk.Refused {
		chunk.Refused[i].Place += c.before
	}
	return chunk
}

// begin asks for the next slice. The whole answer is taken first: Parquet is read from its end.
func (c *Influx3Copy) begin(ctx context.Context) error {
	body, err := c.from.Ask(ctx, c.table.Database, "SELECT "+sqltext.Names(c.table.Columns)+c.where(c.next()), "parquet")
	if err != nil {
		return err
	}
	_, err = c.file.Seek(0, io.SeekStart)
	n := int64(0)
	if err = errors.Join(err, c.file.Truncate(0)); err == nil {
		n, err = io.Copy(c.file, body)
	}
	if err = errors.Join(err, body.Close()); err != nil || n == 0 { // which is how no rows may look
		return err
	}
	// A section: who reads Parquet closes what can be closed.
	c.slice, err = OpenParquet(ctx, io.NewSectionReader(c.file, 0, n), c.table.Name, c.options)
	return err
}

// Close ends a copy, and removes its file.
func (c *Influx3Copy) Close() {
	if c.slice != nil {
		_ = c.slice.Close() // it is read, or not wanted
		c.slice = nil
	}
	if c.file != nil {
		_ = errors.Join(c.file.Close(), os.Remove(c.file.Name())) // the system's directory is cleaned by others
		c.file = nil
	}
}
