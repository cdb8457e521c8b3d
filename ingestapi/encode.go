package ingestapi

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// lines writes points as line protocol, and remembers which part of the text came from
// which field of which item, so that what the engine says of a line can be said of an item.
//
// Its callers pass only what line protocol can carry: tags and names that checkPlain lets
// through, texts that readText does.
type lines struct {
	text   []byte
	line   int // physical lines so far
	points []point
}

// point is where an item's line lies in the text.
type point struct {
	item   int
	begin  int // offset of its first byte
	line   int // the physical line on which it begins, 1-based
	fields []fieldEnd
}

// fieldEnd is the offset behind a field, from the beginning of its line.
type fieldEnd struct {
	member string // of the item
	end    int
}

// begin starts the line of an item.
func (l *lines) begin(item int, table string) {
	l.points = append(l.points, point{item: item, begin: len(l.text), line: l.line + 1})
	l.text = append(l.text, table...) // our tables' names need no escapes
}

// tag adds a tag; all tags come before the fields.
func (l *lines) tag(name, value string) {
	l.text = append(l.text, ',')
	l.text = lineprotocol.AppendKey(l.text, name)
	l.text = append(l.text, '=')
	l.text = lineprotocol.AppendKey(l.text, value)
}

// field adds a field, which comes from the given member of the item.
func (l *lines) field(member, name string, v value) {
	p := &l.points[len(l.points)-1]
	separator := byte(',')
	if len(p.fields) == 0 {
		separator = ' '
	}
	l.text = append(l.text, separator)
	l.text = lineprotocol.AppendKey(l.text, name)
	l.text = append(l.text, '=')
	l.text = appendValue(l.text, v)
	p.fields = append(p.fields, fieldEnd{member, len(l.text) - p.begin})
}

// end finishes the line.
func (l *lines) end(ns int64) {
	l.text = append(l.text, ' ')
	l.text = strconv.AppendInt(l.text, ns, 10)
	l.text = append(l.text, '\n')
	p := l.points[len(l.points)-1]
	l.line = p.line - 1 + strings.Count(string(l.text[p.begin:]), "\n")
}

// locate finds the item and its member of which the engine speaks; the member is wholeItem
// when it speaks of the line. An item's text may span several physical lines, because nothing
// escapes a newline in a string. Columns count from the first of them.
func (l *lines) locate(e engine.LineError) (item int, member string) {
	i, found := slices.BinarySearchFunc(l.points, e.Line, func(p point, line int) int { return p.line - line })
	if !found {
		i--
	}
	p := l.points[i]
	for _, f := range p.fields {
		if e.Column-1 <= f.end {
			return p.item, f.member
		}
	}
	return p.item, wholeItem
}

func appendValue(b []byte, v value) []byte {
	switch v.kind {
	case schema.Float64:
		return strconv.AppendFloat(b, math.Float64frombits(v.bits), 'g', -1, 64)
	case schema.Int64:
		return append(strconv.AppendInt(b, int64(v.bits), 10), 'i')
	case schema.Uint64:
		return append(strconv.AppendUint(b, v.bits, 10), 'u')
	case schema.Bool:
		return strconv.AppendBool(b, v.bits == 1)
	}
	return lineprotocol.AppendString(b, v.text)
}
