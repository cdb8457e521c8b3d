package httpapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// v1CSV writes InfluxDB 1's CSV: for each statement a header and the rows of all series,
// with a blank line between statements. Documents leave no trace in it. InfluxDB 1 says
// nothing of errors; here they are a table of their own.
type v1CSV struct {
	out   *output
	epoch epoch
	cells []v1Cell
	nulls []arrow.Array

	statement int  // the last that was begun, -1 before the first
	headed    bool // it has a header
	any       bool // something was written
	prefix    []byte
}

func newV1CSV(out *output, unit epoch) v1Writer {
	return &v1CSV{out: out, epoch: max(unit, 1), statement: -1}
}

func (w *v1CSV) beginDocument() {}
func (w *v1CSV) endDocument()   {}

func (w *v1CSV) beginResult(statement int) {
	if statement != w.statement {
		w.statement, w.headed = statement, false
	}
}

func (w *v1CSV) endResult(failure string, _ bool) {
	if failure == "" {
		return
	}
	w.separate()
	w.refuse(failure)
}

// separate puts a blank line between what was written and a new header.
func (w *v1CSV) separate() {
	if w.any {
		w.out.buf = append(w.out.buf, '\n')
	}
	w.any = true
}

func (w *v1CSV) beginSeries(s v1Series) {
	if !w.headed {
		w.headed = true
		w.separate()
		w.out.buf = append(w.out.buf, "name,tags"...)
		for _, c := range s.columns {
			w.out.buf = appendCSVText(append(w.out.buf, ','), c)
		}
		w.out.buf = append(w.out.buf, '\n')
	}
	w.prefix = appendCSVText(w.prefix[:0], s.name)
	w.prefix = appendCSVText(append(w.prefix, ','), tagText(&s))
}

// tagEscapes are line protocol's.
var tagEscapes = strings.NewReplacer(",", `\,`, "=", `\=`, " ", `\ `)

// tagText writes tags as line protocol does.
func tagText(s *v1Series) string {
	var tags []string
	s.tagsInOrder(func(key, value string) {
		tags = append(tags, tagEscapes.Replace(key)+"="+tagEscapes.Replace(value))
	})
	return strings.Join(tags, ",")
}

func (w *v1CSV) endSeries(bool) {}

func (w *v1CSV) setRecord(columns []arrow.Array, _ *time.Location) {
	w.nulls, w.cells = columns, w.cells[:0]
	for _, c := range columns {
		w.cells = append(w.cells, csvCell(c, w.epoch))
	}
}

func (w *v1CSV) row(row int) {
	buf := append(w.out.buf, w.prefix...)
	for i, cell := range w.cells {
		buf = append(buf, ',')
		if !w.nulls[i].IsNull(row) {
			buf = cell(buf, row)
		}
	}
	w.out.buf = append(buf, '\n')
}

func (w *v1CSV) refuse(text string) {
	w.out.buf = append(w.out.buf, "error\n"...)
	w.out.buf = append(appendCSVText(w.out.buf, text), '\n')
}

// csvCell writes values of a column. Times are always numbers.
func csvCell(column arrow.Array, unit epoch) v1Cell {
	switch a := column.(type) {
	case *array.Float64:
		return func(buf []byte, row int) []byte {
			if v := a.Value(row); isFinite(v) {
				return strconv.AppendFloat(buf, v, 'f', -1, 64)
			}
			return buf
		}
	case *array.Timestamp, *array.Int64, *array.Uint64, *array.Boolean:
		return jsonCell(a, unit, time.UTC)
	}
	text := textsOf(column)
	return func(buf []byte, row int) []byte { return appendCSVText(buf, text(row)) }
}

// appendCSVText quotes what a reader would take for more than one field, or would trim.
func appendCSVText(buf []byte, text string) []byte {
	if text == "" || !strings.ContainsAny(text, ",\"\r\n") && text[0] != ' ' && text[0] != '\t' && text != `\.` {
		return append(buf, text...)
	}
	buf = append(buf, '"')
	buf = append(buf, strings.ReplaceAll(text, `"`, `""`)...)
	return append(buf, '"')
}
