package httpapi

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/query"
)

// v1Format is one way to write the answer to InfluxQL statements.
type v1Format struct {
	contentType string
	write       func(*output, epoch) v1Writer
}

// v1Writer writes the parts of an answer in the order in which they come: documents of
// results of series of rows. It keeps no error; output does.
type v1Writer interface {
	beginDocument()
	endDocument()
	beginResult(statement int)
	// endResult ends a result, which failed if there is an error's text, and which
	// goes on in the next document if it is partial.
	endResult(failure string, partial bool)
	beginSeries(v1Series)
	// endSeries likewise.
	endSeries(partial bool)
	// setRecord makes the values of a record's columns those that rows are made of, and
	// a place's zone that of times as text.
	setRecord(columns []arrow.Array, place *time.Location)
	row(row int)
	// refuse writes a document that has nothing but an error.
	refuse(text string)
}

// v1Series is what rows have in common.
type v1Series struct {
	name    string
	keys    []string // of the tags, in the order of GROUP BY
	values  []string // of the tags
	columns []string
	isTimed bool // the first column is a time
}

// output collects bytes on their way to a client.
type output struct {
	w   io.Writer
	buf []byte
	err error // the first that w answered
}

// outputBytes is the size from which a buffer is handed on.
const outputBytes = 32 << 10

func (o *output) flush() error {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
	return o.err
}

// v1Answer cuts the rows of results into series, and into documents where the answer is
// chunked.
type v1Answer struct {
	out       *output
	stream    *streamWriter
	writer    v1Writer
	chunkRows int // 0 is one document

	statement int
	inSeries  bool
	rowCount  int // of the current document's series
}

func newV1Answer(f v1Format, q v1Query, stream *streamWriter) *v1Answer {
	out := &output{w: stream}
	if q.pretty && f.contentType == "application/json" {
		out.w = &indenter{w: stream}
	}
	return &v1Answer{out: out, stream: stream, writer: f.write(out, q.epoch), chunkRows: q.chunkRows}
}

func (a *v1Answer) isChunked() bool { return a.chunkRows > 0 }

func (a *v1Answer) begin() {
	if !a.isChunked() {
		a.writer.beginDocument()
	}
}

func (a *v1Answer) end() error {
	if !a.isChunked() {
		a.writer.endDocument()
	}
	return a.out.flush()
}

func (a *v1Answer) beginStatement(i int) {
	a.statement = i
	if a.isChunked() {
		a.writer.beginDocument()
	}
	a.writer.beginResult(i)
}

// endStatement ends the result of a statement, with the text of its error if it failed.
func (a *v1Answer) endStatement(failure string) error {
	if a.inSeries {
		a.endSeries(false)
	}
	a.writer.endResult(failure, false)
	if a.isChunked() {
		return a.endChunk()
	}
	return a.out.err
}

// endChunk ends a document and sends it, however little it is.
func (a *v1Answer) endChunk() error {
	a.writer.endDocument()
	if err := a.out.flush(); err != nil {
		return err
	}
	return a.stream.flush()
}

func (a *v1Answer) endSeries(partial bool) {
	a.writer.endSeries(partial)
	a.inSeries = false
}

// rows writes the rows of a result. Its error is the result's or the connection's.
func (a *v1Answer) rows(res *query.InfluxQLResult) error {
	layout := layoutOf(res.Columns())
	var last seriesKey // nil before the first row
	for res.Next() {
		record := res.Record()
		a.writer.setRecord(layout.valuesOf(record), res.Location())
		keys := layout.keysOf(record)
		for row := range int(record.NumRows()) {
			isNew := last == nil || !last.is(keys, row)
			if isNew {
				last = keyOf(keys, row)
			}
			if err := a.row(row, isNew, func() v1Series { return layout.series(last) }); err != nil {
				return err
			}
		}
	}
	if err := res.Err(); err != nil {
		return err
	}
	if last == nil {
		return a.empty(layout, res.Empty())
	}
	return nil
}

// row writes a row, in a new series if it is the first of one, and in a new chunk if the
// last one is full.
func (a *v1Answer) row(row int, isNew bool, series func() v1Series) error {
	switch {
	case isNew:
		if err := a.beginSeries(series()); err != nil {
			return err
		}
	case a.isChunked() && a.rowCount == a.chunkRows:
		if err := a.nextChunk(true); err != nil {
			return err
		}
		a.startSeries(series())
	}
	a.rowCount++
	a.writer.row(row)
	if len(a.out.buf) < outputBytes {
		return nil
	}
	return a.out.flush()
}

// beginSeries ends the series before it, if there is one. In a chunked answer each
// series begins a document.
func (a *v1Answer) beginSeries(s v1Series) error {
	if a.inSeries {
		if !a.isChunked() {
			a.endSeries(false)
		} else if err := a.nextChunk(false); err != nil {
			return err
		}
	}
	a.startSeries(s)
	return nil
}

func (a *v1Answer) startSeries(s v1Series) {
	a.writer.beginSeries(s)
	a.inSeries, a.rowCount = true, 0
}

// nextChunk ends a document in the middle of a result, or even of a series.
func (a *v1Answer) nextChunk(sameSeries bool) error {
	a.endSeries(sameSeries)
	a.writer.endResult("", true)
	if err := a.endChunk(); err != nil {
		return err
	}
	a.writer.beginDocument()
	a.writer.beginResult(a.statement)
	return nil
}

// empty writes the series that are shown without rows.
func (a *v1Answer) empty(layout v1Layout, names []string) error {
	for _, name := range names {
		if err := a.beginSeries(v1Series{name: name, columns: layout.columns}); err != nil {
			return err
		}
	}
	return nil
}

// v1Layout says which columns of a record are what.
type v1Layout struct {
	measurement int // -1 where there is none
	groups      []int
	values      []int
	tags        []string // the names of groups
	columns     []string // the names of values
	isTimed     bool
}

func layoutOf(columns []influxql.Column) v1Layout {
	l := v1Layout{measurement: -1}
	for i, c := range columns {
		switch c.Role {
		case influxql.MeasurementColumn:
			l.measurement = i
		case influxql.GroupColumn:
			l.groups = append(l.groups, i)
			l.tags = append(l.tags, c.Name)
		case influxql.TimeColumn:
			l.isTimed = true
			fallthrough
		case influxql.ValueColumn:
			l.values = append(l.values, i)
			l.columns = append(l.columns, c.Name)
		}
	}
	return l
}

func (l *v1Layout) valuesOf(record arrow.RecordBatch) []arrow.Array {
	columns := make([]arrow.Array, len(l.values))
	for i, at := range l.values {
		columns[i] = record.Column(at)
	}
	return columns
}

// keysOf returns how to read what tells series apart.
func (l *v1Layout) keysOf(record arrow.RecordBatch) []textOf {
	var keys []textOf
	if l.measurement >= 0 {
		keys = append(keys, textsOf(record.Column(l.measurement)))
	}
	for _, at := range l.groups {
		keys = append(keys, textsOf(record.Column(at)))
	}
	return keys
}

func (l *v1Layout) series(key seriesKey) v1Series {
	s := v1Series{keys: l.tags, columns: l.columns, isTimed: l.isTimed}
	if l.measurement >= 0 {
		s.name, key = key[0], key[1:]
	}
	s.values = key
	return s
}

// seriesKey is the name and the tag values of a series, as they are in keysOf.
type seriesKey []string

func (k seriesKey) is(keys []textOf, row int) bool {
	for i, key := range keys {
		if k[i] != key(row) {
			return false
		}
	}
	return true
}

// keyOf copies the values, which are the record's.
func keyOf(keys []textOf, row int) seriesKey {
	key := make(seriesKey, len(keys))
	for i, read := range keys {
		key[i] = strings.Clone(read(row))
	}
	return key
}

// tagsInOrder calls f with each tag, in the order of their keys.
func (s *v1Series) tagsInOrder(f func(key, value string)) {
	order := make([]int, len(s.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(s.keys[a], s.keys[b]) })
	for _, i := range order {
		f(s.keys[i], s.values[i])
	}
}
