package query

import (
	"bytes"
	"fmt"
	"io"

	"github.com/rivo/uniseg"
)

// table collects the text of all cells, row by row.
type table struct {
	columns int
	text    []byte
	ends    []int // by cell: where its text ends
}

func (t *table) add(text []byte) { t.text = append(t.text, text...); t.end() }

func (t *table) end() { t.ends = append(t.ends, len(t.text)) }

func (t *table) cell(i int) []byte {
	begin := 0
	if i > 0 {
		begin = t.ends[i-1]
	}
	return t.text[begin:t.ends[i]]
}

// maxTableBytes bounds the text of a table, which is held in memory: the width of a column
// depends on every row. It is far more than anybody reads.
const maxTableBytes = 16 << 20

// cellBytes is what a cell costs besides its text.
const cellBytes = 8

// errTableTooLarge is a fault of the request, which asks for the wrong format.
var errTableTooLarge = &UserError{Message: fmt.Sprintf("the answer is too large for a table (more than %d MiB): "+
	"ask for the format csv or jsonl, which are sent while they are made, or add LIMIT", maxTableBytes>>20)}

// WritePretty writes a table drawn in ASCII, without a line end after its last line. The
// error for one of more than maxTableBytes is a *UserError, and nothing is written then.
func WritePretty(w io.Writer, r Rows) error {
	t := table{columns: len(r.Schema().Fields())}
	for _, f := range r.Schema().Fields() {
		t.add([]byte(f.Name))
	}
	for r.Next() {
		batch := r.Record()
		encoders := newEncoders(batch, plainStyle)
		for row := range int(batch.NumRows()) {
			for k, column := range batch.Columns() {
				if column.IsValid(row) {
					t.text = encoders[k](t.text, row)
				}
				t.end()
			}
			if len(t.text)+cellBytes*len(t.ends) > maxTableBytes {
				return errTableTooLarge
			}
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if len(t.ends) == t.columns { // no row: a table without columns, as arrow draws it
		t = table{}
	}
	return t.write(w)
}

func (t *table) write(w io.Writer) error {
	widths := make([]int, t.columns)
	for i := range t.ends {
		for line := range bytes.Lines(t.cell(i)) {
			widths[i%t.columns] = max(widths[i%t.columns], displayWidth(line))
		}
	}
	rule := []byte("+")
	for _, width := range widths {
		rule = append(rule, bytes.Repeat([]byte{'-'}, width+2)...)
		rule = append(rule, '+')
	}
	if t.columns == 0 {
		rule = []byte("++")
	}
	out := output{w: w, buf: append(bytes.Clone(rule), '\n')}
	for begin := 0; begin < len(t.ends); begin += t.columns {
		out.buf = t.appendRow(out.buf, begin, widths)
		if begin == 0 {
			out.buf = append(append(out.buf, rule...), '\n')
		}
		if err := out.flushFull(); err != nil {
			return err
		}
	}
	out.buf = append(out.buf, rule...)
	return out.flush()
}

// appendRow draws the row whose first cell is given, with as many lines as its tallest
// cell needs.
func (t *table) appendRow(buf []byte, begin int, widths []int) []byte {
	height := 1
	cells := make([][][]byte, t.columns)
	for k := range cells {
		cells[k] = bytes.Split(t.cell(begin+k), []byte{'\n'})
		height = max(height, len(cells[k]))
	}
	for line := range height {
		buf = append(buf, '|')
		for k, lines := range cells {
			var text []byte
			if line < len(lines) {
				text = lines[line]
			}
			buf = append(append(buf, ' '), text...)
			buf = append(buf, bytes.Repeat([]byte{' '}, widths[k]-displayWidth(text))...)
			buf = append(buf, " |"...)
		}
		buf = append(buf, '\n')
	}
	return buf
}

// displayWidth is the number of columns of a terminal that a line takes.
func displayWidth(line []byte) int {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	for _, c := range line {
		if c < ' ' || c >= 0x7f {
			return uniseg.StringWidth(string(line))
		}
	}
	return len(line)
}
