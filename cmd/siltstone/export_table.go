package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/transfer"
)

// tables lists the tables of the database.
func (c *exportCmd) tables(ctx context.Context) ([]string, error) {
	var rows []struct {
		Name string `json:"table_name"`
	}
	if err := c.ask(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY 1", &rows); err != nil {
		return nil, err
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("database %q has no tables", c.Database)
	}
	return names, nil
}

// send sends a query, and again while the server is busy.
func (c *exportCmd) send(ctx context.Context, sql, format string) (resp *http.Response, err error) {
	err = patiently(ctx, time.Duration(c.RetryFor), func() (err error) {
		resp, err = sendSQL(ctx, c.hostFlag, sqlQuery{Database: c.Database, SQL: sql, Format: format})
		return err
	})
	var refused *serverError
	if errors.As(err, &refused) {
		err = errors.New(refused.advised())
	}
	return resp, err
}

// ask decodes the rows of an answer.
func (c *exportCmd) ask(ctx context.Context, sql string, rows any) error {
	resp, err := c.send(ctx, sql, "json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(rows); err != nil {
		return cutOff(ctx, err)
	}
	return nil
}

// tableExport writes one table.
type tableExport struct {
	*exportCmd
	env      environment
	name     string
	first    bool // of the output
	progress *progress

	rows, left int
	reasons    []string // why rows were left out, of the first ones
}

// mostReasons is how many rows that were left out are described.
const mostReasons = 10

// columnTypes are the types of columns as InfluxDB 3 names them.
var columnTypes = map[string]schema.ColumnType{
	"Dictionary(Int32, Utf8)": schema.Tag, "Float64": schema.Float64, "Int64": schema.Int64, "UInt64": schema.Uint64,
	"Utf8": schema.String, "Boolean": schema.Bool, "Timestamp(Nanosecond, None)": 0,
}

// table asks for the table's columns.
func (e *tableExport) table(ctx context.Context) (transfer.Table, error) {
	var columns []struct {
		Name string `json:"column_name"`
		Type string `json:"data_type"`
	}
	sql := "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' AND table_name = " + sqltext.Literal(e.name)
	if err := e.ask(ctx, sql, &columns); err != nil {
		return transfer.Table{}, err
	}
	if len(columns) == 0 {
		return transfer.Table{}, fmt.Errorf("there is none in database %q", e.Database)
	}
	table := transfer.Table{Name: e.name}
	for _, c := range columns {
		typ, ok := columnTypes[c.Type]
		if !ok {
			return transfer.Table{}, fmt.Errorf("column %q has the type %s, which this version does not know", c.Name, c.Type)
		}
		table.Columns = append(table.Columns, transfer.Column{Name: c.Name, Type: typ})
	}
	return table, nil
}

// run writes the table.
func (e *tableExport) run(ctx context.Context, out io.Writer) error {
	table, err := e.table(ctx)
	if err != nil {
		return err
	}
	if !e.Quiet && e.Format != "parquet" {
		total := int64(-1)
		if e.env.stderrTTY { // a line now and then is not worth the query
			if total, err = e.count(ctx); err != nil {
				return err
			}
		}
		e.progress = e.env.progress(false, e.name, total, byRows)
		defer e.progress.clear()
	}
	if e.Format == "parquet" {
		return e.copyParquet(ctx, table, out)
	}
	resp, err := e.send(ctx, e.sql(table), "arrow")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	records, err := ipc.NewReader(resp.Body)
	if err != nil {
		return cutOff(ctx, err)
	}
	defer records.Release()
	return e.write(ctx, out, table, records)
}

// sql asks for all columns by name: * gives some that differ in case only another one.
func (e *tableExport) sql(table transfer.Table) string {
	var names []string
	for _, c := range table.Columns {
		names = append(names, c.Name)
	}
	return "SELECT " + sqltext.Names(names) + e.from()
}

// from is the rest of a query for rows.
func (e *tableExport) from() string {
	sql, word := " FROM "+sqltext.Name(e.name), " WHERE "
	bound := func(t exportTime, operator string) {
		if !t.IsZero() {
			sql += word + "time " + operator + " " + sqltext.Literal(t.UTC().Format(time.RFC3339Nano))
			word = " AND "
		}
	}
	bound(e.Start, ">=")
	bound(e.Stop, "<")
	return sql
}

func (e *tableExport) count(ctx context.Context) (int64, error) {
	var counted []struct {
		Rows int64 `json:"n"`
	}
	if err := e.ask(ctx, "SELECT count(*) AS n"+e.from(), &counted); err != nil {
		return 0, err
	}
	return counted[0].Rows, nil
}

// copyParquet passes on what the server writes.
func (e *tableExport) copyParquet(ctx context.Context, table transfer.Table, out io.Writer) error {
	resp, err := e.send(ctx, e.sql(table), e.Format)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if p := e.env.progress(e.Quiet, e.name, -1, byBytes); p != nil {
		defer p.clear()
		out = io.MultiWriter(out, p)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return cutOff(ctx, err)
	}
	return nil
}

// textRows writes rows as text.
type textRows interface {
	Read(arrow.RecordBatch) error
	Append(dst []byte, row int) ([]byte, error)
}

// write writes the records as text.
func (e *tableExport) write(ctx context.Context, out io.Writer, table transfer.Table, records *ipc.Reader) error {
	var rows textRows
	var buf []byte
	if e.Format == "csv" {
		csv := transfer.NewCSVRows(table)
		if !e.first {
			buf = append(buf, '\n') // as InfluxDB 2 separates tables
		}
		rows, buf = csv, csv.AppendHeader(buf)
	} else {
		lines, err := transfer.NewLines(table, lineprotocol.Nanosecond)
		if err != nil {
			return err
		}
		rows = lines
	}
	for records.Next() {
		batch := records.RecordBatch()
		if err := rows.Read(batch); err != nil {
			return err
		}
		var err error
		if buf, err = e.writeBatch(out, rows, int(batch.NumRows()), buf); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil {
		return cutOff(ctx, err)
	}
	_, err := out.Write(buf)
	return err
}

// writeBatch writes the rows of a record and returns what is not written yet.
func (e *tableExport) writeBatch(out io.Writer, rows textRows, n int, buf []byte) ([]byte, error) {
	const enough = 256 << 10
	for row := range n {
		begin := len(buf)
		var err error
		if buf, err = rows.Append(buf, row); err != nil {
			e.leaveOut(e.rows+row+1, err)
			buf = buf[:begin]
		}
		if len(buf) > enough {
			if _, err := out.Write(buf); err != nil {
				return nil, err
			}
			buf = buf[:0]
		}
	}
	e.rows += n
	e.progress.at(int64(e.rows), n)
	return buf, nil
}

// leaveOut notes a row that the format cannot hold.
func (e *tableExport) leaveOut(row int, err error) {
	e.left++
	if len(e.reasons) < mostReasons {
		e.reasons = append(e.reasons, "row "+strconv.Itoa(row)+": "+err.Error())
	}
}

// report tells what was written, and always what was not.
func (e *tableExport) report(start time.Time) {
	for _, reason := range e.reasons {
		fmt.Fprintf(e.env.stderr, "%s: %s\n", e.name, reason)
	}
	if e.left > 0 {
		fmt.Fprintf(e.env.stderr, "%s: %s rows were left out\n", e.name, formatCount(e.left))
	}
	took := time.Since(start).Round(time.Millisecond)
	switch {
	case e.Quiet:
	case e.Format == "parquet":
		fmt.Fprintf(e.env.stderr, "%s: written in %s\n", e.name, took)
	default:
		fmt.Fprintf(e.env.stderr, "%s: %s rows in %s\n", e.name, formatCount(e.rows-e.left), took)
	}
}
