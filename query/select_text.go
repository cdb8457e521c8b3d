package query

import (
	"io"
	"sync"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// textFormat is what an answer is written as, row by row.
type textFormat uint8

const (
	jsonText  textFormat = iota // an array of objects
	jsonLines                   // an object a line
	csvText
)

func (f textFormat) style() style { return f != csvText }

// textBytes is the size of the pieces of text that are made by those who read the rows.
const textBytes = 256 << 10

var textPool = sync.Pool{New: func() any { return new([]byte) }}

// selectedText is the text of an answer, in pieces of whole rows. Those of an array have a comma in
// front of each row.
type selectedText struct {
	result *Result
	pieces *ordered[[]byte]
}

// textOf begins to write an answer whose rows are selected, or returns nil.
func textOf(r Rows, f textFormat) *selectedText {
	result, ok := r.(*Result)
	if !ok {
		return nil
	}
	s := result.selected
	if s == nil || s.records != nil || s.texts != nil || s.left >= 0 || s.skip > 0 {
		return nil
	}
	s.texts = newOrdered(s.run.ctx, s.run.querier.opts.Threads, len(s.items), s.text(f))
	return &selectedText{result, s.texts}
}

// text returns what makes text of items.
func (s *selected) text(f textFormat) func(worker, item int, emit func([]byte) error) error {
	for w := range s.workers {
		s.workers[w] = selectWorker{columns: newCells(NewRows(s.schema), f.style()), buffers: new(persist.SelectionBuffers)}
	}
	return func(worker, item int, emit func([]byte) error) error {
		columns := s.workers[worker].columns
		buf := textBuffer()
		forgetBlocks(columns)
		err := s.read(&s.items[item], &s.workers[worker], func(rows *partition.Snapshot, chunk *partition.Chunk) error {
			readChunk(columns, s.query.columns, rows, chunk)
			for row := range chunk.Rows {
				if buf = f.appendRow(buf, columns, row); len(buf) < textBytes {
					continue
				}
				if err := emit(buf); err != nil {
					return err
				}
				buf = textBuffer()
			}
			s.run.job.answered(int64(chunk.Rows), chunkBytes(s.query.columns, chunk))
			return nil
		})
		if err == nil && len(buf) > 0 {
			err = emit(buf)
		}
		return err
	}
}

// chunkBytes is the size of what columns of a chunk are answered with: numbers, codes of tags, and texts.
func chunkBytes(columns []schema.Column, chunk *partition.Chunk) (bytes int64) {
	for _, c := range columns {
		width := 8
		if c.Type == schema.Tag && c.ID != 0 {
			width = 4
		} else if k := fieldAt(chunk, c); k >= 0 {
			bytes += int64(len(chunk.Fields[k].Data))
		}
		bytes += int64(width * chunk.Rows)
	}
	return bytes
}

func textBuffer() []byte { return (*textPool.Get().(*[]byte))[:0] }

func (f textFormat) appendRow(buf []byte, columns []cells, row int) []byte {
	switch f {
	case jsonText:
		buf = appendObject(append(buf, ','), columns, row, ',')
		return buf[:len(buf)-1]
	case jsonLines:
		return appendObject(buf, columns, row, '\n')
	}
	return appendCSVRow(buf, columns, row)
}

// each calls do with the pieces of the text.
func (t *selectedText) each(do func([]byte) error) error {
	r := t.result
	for {
		piece, ok, err := t.pieces.next()
		if err != nil {
			r.err = r.run.job.explain(err)
			return r.err
		}
		if !ok {
			r.finished = true
			return nil
		}
		if err := do(piece); err != nil {
			return err
		}
		textPool.Put(&piece)
	}
}

// write writes the text, with a header in front of the first row.
func (t *selectedText) write(w io.Writer, header []byte) error {
	return t.each(func(piece []byte) error {
		if header != nil {
			if _, err := w.Write(header); err != nil {
				return err
			}
			header = nil
		}
		_, err := w.Write(piece)
		return err
	})
}

// writeArray writes the text as an array.
func (t *selectedText) writeArray(w io.Writer) error {
	end := []byte("[]")
	err := t.each(func(piece []byte) error {
		if len(end) == 2 {
			piece[0], end = '[', end[1:]
		}
		_, err := w.Write(piece)
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.Write(end)
	return err
}
