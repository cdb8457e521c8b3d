package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// csvScanner reads the records of CSV. Package encoding/csv would turn CRLF in text into LF,
// and does not tell an empty text in quotes from nothing at all, which is null.
type csvScanner struct {
	src       *bufio.Reader
	delimiter byte
	line      int    // physical lines read
	raw       []byte // the record
	cells     []csvCell
	text      []byte // of fields in which quotes were doubled
}

// csvCell is one field of a record.
type csvCell struct {
	text   []byte
	quoted bool
}

// isNull reports whether there is nothing, not even an empty text.
func (c csvCell) isNull() bool { return len(c.text) == 0 && !c.quoted }

// mostRecordBytes bounds a record. A quote that is not closed would take the rest of the file.
const mostRecordBytes = 8 << 20

func newCSVScanner(src io.Reader, delimiter byte) *csvScanner {
	if delimiter == 0 {
		delimiter = ','
	}
	return &csvScanner{src: bufio.NewReaderSize(src, 256<<10), delimiter: delimiter}
}

// errQuote is the reason why a record is malformed.
var errQuote = errors.New("a quote in the middle of a field: put the field into quotes and double those in it")

// next returns the next record, which is valid until the call after, and the line on which it
// begins. io.EOF is the end. errQuote is for this record only: the next may be good.
func (s *csvScanner) next() (cells []csvCell, line int, err error) {
	line = s.line + 1
	if line == 1 {
		if mark, _ := s.src.Peek(3); string(mark) == "\xef\xbb\xbf" { // as spreadsheets write it
			_, _ = s.src.Discard(len(mark)) // they are there
		}
	}
	s.raw = s.raw[:0]
	for quoted := false; ; {
		begin := len(s.raw)
		part, err := s.src.ReadSlice('\n')
		s.raw = append(s.raw, part...)
		quoted = s.staysOpen(part, quoted, begin == 0 || s.raw[begin-1] == s.delimiter || s.raw[begin-1] == '"')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, line, err
		case err != nil && len(s.raw) == 0:
			return nil, line, io.EOF
		case err != nil && quoted:
			return nil, line, fmt.Errorf("line %d: a quote that begins here is not closed", line)
		case err != nil || !quoted:
			s.line++
			cells, err := s.split()
			return cells, line, err
		default:
			s.line++
		}
		if len(s.raw) > mostRecordBytes {
			return nil, line, fmt.Errorf("line %d: the record that begins here is longer than %d bytes; is a quote not closed?", line, mostRecordBytes)
		}
	}
}

// staysOpen reports whether part of a record ends within quotes, which it begins in if quoted
// is true. Quotes that do not begin a field open nothing: one such must not swallow lines.
func (s *csvScanner) staysOpen(part []byte, quoted, atStart bool) bool {
	if bytes.IndexByte(part, '"') < 0 {
		return quoted
	}
	for _, b := range part {
		switch {
		case b != '"':
			atStart = b == s.delimiter
		case quoted:
			quoted, atStart = false, true // where the next is the second of a pair it opens again
		case atStart:
			quoted = true
		}
	}
	return quoted
}

// split cuts the record into its fields.
func (s *csvScanner) split() ([]csvCell, error) {
	s.cells, s.text = s.cells[:0], s.text[:0]
	rest := bytes.TrimSuffix(bytes.TrimSuffix(s.raw, []byte{'\n'}), []byte{'\r'})
	for {
		cell, n, err := s.cell(rest)
		if err != nil {
			return nil, err
		}
		s.cells = append(s.cells, cell)
		if n == len(rest) {
			return s.cells, nil
		}
		rest = rest[n+1:]
	}
}

// cell reads the first field of rest and returns how many bytes it takes.
func (s *csvScanner) cell(rest []byte) (csvCell, int, error) {
	if len(rest) == 0 || rest[0] != '"' {
		n := bytes.IndexByte(rest, s.delimiter)
		if n < 0 {
			n = len(rest)
		}
		if bytes.IndexByte(rest[:n], '"') >= 0 {
			return csvCell{}, 0, errQuote
		}
		return csvCell{text: rest[:n]}, n, nil
	}
	begin := len(s.text)
	for i := 1; ; {
		n := bytes.IndexByte(rest[i:], '"')
		if n < 0 {
			return csvCell{}, 0, errQuote
		}
		s.text = append(s.text, rest[i:i+n]...)
		i += n + 1
		switch {
		case i == len(rest) || rest[i] == s.delimiter:
			return csvCell{s.text[begin:len(s.text):len(s.text)], true}, i, nil
		case rest[i] != '"':
			return csvCell{}, 0, errQuote
		}
		s.text = append(s.text, '"')
		i++
	}
}
