package httpapi

import (
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/query"
)

// v1JSON writes InfluxDB 1's JSON. It needs to know nothing in advance: members that may
// be missing are begun when their first element comes.
type v1JSON struct {
	out   *output
	epoch epoch
	cells []v1Cell
	nulls []arrow.Array

	results, series, values int // what was written of the current one
}

func newV1JSON(out *output, unit epoch) v1Writer { return &v1JSON{out: out, epoch: unit} }

func (w *v1JSON) text(s string) { w.out.buf = append(w.out.buf, s...) }

func (w *v1JSON) quote(s string) { w.out.buf = query.AppendJSONString(w.out.buf, s) }

// next begins an element of a list.
func (w *v1JSON) next(count *int, first, others string) {
	if *count == 0 {
		w.text(first)
	} else {
		w.text(others)
	}
	*count++
}

func (w *v1JSON) beginDocument() {
	w.results = 0
	w.text(`{"results":[`)
}

func (w *v1JSON) endDocument() { w.text("]}\n") }

func (w *v1JSON) beginResult(statement int) {
	w.next(&w.results, `{"statement_id":`, `,{"statement_id":`)
	w.out.buf = strconv.AppendInt(w.out.buf, int64(statement), 10)
	w.series = 0
}

func (w *v1JSON) endResult(failure string, partial bool) {
	if w.series > 0 {
		w.text("]")
	}
	if partial {
		w.text(`,"partial":true`)
	}
	if failure != "" {
		w.text(`,"error":`)
		w.quote(failure)
	}
	w.text("}")
}

func (w *v1JSON) beginSeries(s v1Series) {
	w.next(&w.series, `,"series":[{`, `,{`)
	if s.name != "" {
		w.text(`"name":`)
		w.quote(s.name)
		w.text(",")
	}
	if len(s.keys) > 0 {
		tags := 0
		s.tagsInOrder(func(key, value string) {
			w.next(&tags, `"tags":{`, `,`)
			w.quote(key)
			w.text(":")
			w.quote(value)
		})
		w.text(`},`)
	}
	columns := 0
	for _, name := range s.columns {
		w.next(&columns, `"columns":[`, `,`)
		w.quote(name)
	}
	w.text("]")
	w.values = 0
}

func (w *v1JSON) endSeries(partial bool) {
	if w.values > 0 {
		w.text("]")
	}
	if partial {
		w.text(`,"partial":true`)
	}
	w.text("}")
}

func (w *v1JSON) setRecord(columns []arrow.Array, place *time.Location) {
	w.nulls, w.cells = columns, w.cells[:0]
	for _, c := range columns {
		w.cells = append(w.cells, jsonCell(c, w.epoch, place))
	}
}

func (w *v1JSON) row(row int) {
	w.next(&w.values, `,"values":[[`, `,[`)
	for i, cell := range w.cells {
		if i > 0 {
			w.text(",")
		}
		if w.nulls[i].IsNull(row) {
			w.text("null")
			continue
		}
		w.out.buf = cell(w.out.buf, row)
	}
	w.text("]")
}

func (w *v1JSON) refuse(text string) {
	w.text(`{"error":`)
	w.quote(text)
	w.text("}\n")
}

// jsonCell writes values of a column; times as text are in the place's zone.
func jsonCell(column arrow.Array, unit epoch, place *time.Location) v1Cell {
	switch a := column.(type) {
	case *array.Float64:
		return func(buf []byte, row int) []byte {
			if v := a.Value(row); isFinite(v) {
				return appendGoFloat(buf, v)
			}
			return append(buf, "null"...)
		}
	case *array.Timestamp:
		at := instants(a)
		if unit != 0 {
			return func(buf []byte, row int) []byte { return strconv.AppendInt(buf, at(row)/int64(unit), 10) }
		}
		return func(buf []byte, row int) []byte {
			return append(appendTime(append(buf, '"'), at(row), place), '"')
		}
	case *array.Int64:
		return func(buf []byte, row int) []byte { return strconv.AppendInt(buf, a.Value(row), 10) }
	case *array.Uint64:
		return func(buf []byte, row int) []byte { return strconv.AppendUint(buf, a.Value(row), 10) }
	case *array.Boolean:
		return func(buf []byte, row int) []byte { return strconv.AppendBool(buf, a.Value(row)) }
	}
	text := textsOf(column)
	return func(buf []byte, row int) []byte { return query.AppendJSONString(buf, text(row)) }
}
