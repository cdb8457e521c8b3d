package httpapi

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/tinylib/msgp/msgp"
)

// v1MessagePack writes what v1JSON does as MessagePack, with times in its library's
// extension 5: seconds and nanoseconds. Lists begin with their length there, so a document
// is held until it is complete.
type v1MessagePack struct {
	out   *output
	epoch epoch
	cells []v1Cell
	nulls []arrow.Array

	rows, series, results packedList
	statement             int
	head                  v1Series
	isTooLarge            bool
}

// packedList is a list whose length is not known yet.
type packedList struct {
	bytes []byte
	count uint32
}

func (l *packedList) reset() { l.bytes, l.count = l.bytes[:0], 0 }

func (l *packedList) appendTo(buf []byte) []byte {
	return append(msgp.AppendArrayHeader(buf, l.count), l.bytes...)
}

// maxPackedBytes bounds a document; chunks of the usual size are far smaller.
const maxPackedBytes = 64 << 20

func newV1MessagePack(out *output, unit epoch) v1Writer {
	return &v1MessagePack{out: out, epoch: unit}
}

func (w *v1MessagePack) beginDocument() { w.results.reset() }

func (w *v1MessagePack) endDocument() {
	buf := msgp.AppendMapHeader(w.out.buf, 1)
	buf = msgp.AppendString(buf, "results")
	w.out.buf = w.results.appendTo(buf)
}

func (w *v1MessagePack) beginResult(statement int) {
	w.statement = statement
	w.isTooLarge = false
	w.series.reset()
}

func (w *v1MessagePack) endResult(failure string, partial bool) {
	if w.isTooLarge {
		w.series.reset()
		failure = fmt.Sprintf("the answer is larger than %d MiB, which MessagePack must hold as a whole; ask for it with chunked=true", maxPackedBytes>>20)
	}
	buf := msgp.AppendMapHeader(w.results.bytes, 2+count(partial)+count(failure != ""))
	buf = msgp.AppendInt(msgp.AppendString(buf, "statement_id"), w.statement)
	buf = w.series.appendTo(msgp.AppendString(buf, "series"))
	if failure != "" {
		buf = msgp.AppendString(msgp.AppendString(buf, "error"), failure)
	}
	w.results.bytes = appendPartial(buf, partial)
	w.results.count++
}

// count is 1 for a member that is there.
func count(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

func appendPartial(buf []byte, partial bool) []byte {
	if !partial {
		return buf
	}
	return msgp.AppendBool(msgp.AppendString(buf, "partial"), true)
}

func (w *v1MessagePack) beginSeries(s v1Series) {
	w.head = s
	w.rows.reset()
}

func (w *v1MessagePack) endSeries(partial bool) {
	s := &w.head
	members := 2 + count(s.name != "") + count(len(s.keys) > 0) + count(partial)
	buf := msgp.AppendMapHeader(w.series.bytes, members)
	if s.name != "" {
		buf = msgp.AppendString(msgp.AppendString(buf, "name"), s.name)
	}
	if len(s.keys) > 0 {
		buf = msgp.AppendMapHeader(msgp.AppendString(buf, "tags"), uint32(len(s.keys)))
		s.tagsInOrder(func(key, value string) {
			buf = msgp.AppendString(msgp.AppendString(buf, key), value)
		})
	}
	buf = msgp.AppendArrayHeader(msgp.AppendString(buf, "columns"), uint32(len(s.columns)))
	for _, name := range s.columns {
		buf = msgp.AppendString(buf, name)
	}
	buf = w.rows.appendTo(msgp.AppendString(buf, "values"))
	w.series.bytes = appendPartial(buf, partial)
	w.series.count++
}

func (w *v1MessagePack) setRecord(columns []arrow.Array, _ *time.Location) {
	w.nulls, w.cells = columns, w.cells[:0]
	for _, c := range columns {
		w.cells = append(w.cells, packedCell(c, w.epoch))
	}
}

func (w *v1MessagePack) row(row int) {
	if len(w.rows.bytes)+len(w.series.bytes)+len(w.results.bytes) > maxPackedBytes {
		w.isTooLarge = true
	}
	if w.isTooLarge {
		return
	}
	buf := msgp.AppendArrayHeader(w.rows.bytes, uint32(len(w.cells)))
	for i, cell := range w.cells {
		if w.nulls[i].IsNull(row) {
			buf = msgp.AppendNil(buf)
			continue
		}
		buf = cell(buf, row)
	}
	w.rows.bytes = buf
	w.rows.count++
}

func (w *v1MessagePack) refuse(text string) {
	buf := msgp.AppendMapHeader(w.out.buf, 1)
	w.out.buf = msgp.AppendString(msgp.AppendString(buf, "error"), text)
}

// packedCell writes values of a column.
func packedCell(column arrow.Array, unit epoch) v1Cell {
	switch a := column.(type) {
	case *array.Float64:
		return func(buf []byte, row int) []byte {
			if v := a.Value(row); isFinite(v) {
				return msgp.AppendFloat64(buf, v)
			}
			return msgp.AppendNil(buf) // as in JSON
		}
	case *array.Timestamp:
		at := instants(a)
		if unit != 0 {
			return func(buf []byte, row int) []byte { return msgp.AppendInt64(buf, at(row)/int64(unit)) }
		}
		return func(buf []byte, row int) []byte { return msgp.AppendTime(buf, time.Unix(0, at(row))) }
	case *array.Int64:
		return func(buf []byte, row int) []byte { return msgp.AppendInt64(buf, a.Value(row)) }
	case *array.Uint64:
		return func(buf []byte, row int) []byte { return msgp.AppendUint64(buf, a.Value(row)) }
	case *array.Boolean:
		return func(buf []byte, row int) []byte { return msgp.AppendBool(buf, a.Value(row)) }
	}
	text := textsOf(column)
	return func(buf []byte, row int) []byte { return msgp.AppendString(buf, text(row)) }
}
