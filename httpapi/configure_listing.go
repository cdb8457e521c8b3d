package httpapi

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// listing is a table of configuration, small enough to be built in memory.
type listing struct {
	columns []string
	rows    [][]cell
}

// cell is a value of a listing: as text, and as JSON. The zero cell is null.
type cell struct{ text, json string }

func textCell(s string) cell { return cell{s, quoteJSON(s)} }

func boolCell(b bool) cell { return literalCell(strconv.FormatBool(b)) }

// literalCell is a value that JSON spells as it is.
func literalCell(s string) cell { return cell{s, s} }

// timeCell is a time in nanoseconds since the epoch; 0 is null.
func timeCell(ns int64) cell {
	if ns == 0 {
		return cell{}
	}
	return textCell(formatTime(ns))
}

// formatTime writes a time as InfluxDB 3 writes those of its configuration: UTC, to the
// millisecond, which is left out when it is zero.
func formatTime(ns int64) string {
	t := time.Unix(0, ns).UTC().Truncate(time.Millisecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always has a form
	return strings.TrimSuffix(b.String(), "\n")
}

// answer sends the listing in one of the formats of query results. Parquet is not among
// them.
func (l *listing) answer(w http.ResponseWriter, format string) error {
	var body []byte
	switch format {
	case "json":
		body = l.json()
	case "jsonl", "json_lines":
		body = l.jsonLines()
	case "csv":
		body = l.csv()
	case "pretty":
		body = l.pretty()
	default:
		return badRequest("unknown format `%s`, expected one of `json`, `jsonl`, `csv`, `pretty`", format)
	}
	w.Header().Set("Content-Type", formats[format].contentType)
	_, err := w.Write(body)
	return err
}

func (l *listing) json() []byte {
	b := []byte{'['}
	for i, row := range l.rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.appendObject(b, row)
	}
	return append(b, ']')
}

func (l *listing) jsonLines() []byte {
	var b []byte
	for _, row := range l.rows {
		b = append(l.appendObject(b, row), '\n')
	}
	return b
}

// appendObject writes a row as an object without its nulls, as query results have it.
func (l *listing) appendObject(b []byte, row []cell) []byte {
	b = append(b, '{')
	for i, c := range row {
		if c == (cell{}) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, quoteJSON(l.columns[i])...)
		b = append(b, ':')
		b = append(b, c.json...)
	}
	return append(b, '}')
}

func (l *listing) csv() []byte {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	for _, row := range l.texts() {
		_ = out.Write(row) // a buffer takes everything
	}
	out.Flush()
	return b.Bytes()
}

// pretty draws the table that command lines show.
func (l *listing) pretty() []byte {
	rows := l.texts()
	widths := make([]int, len(l.columns))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	var b, rule strings.Builder
	for _, width := range widths {
		rule.WriteString("+" + strings.Repeat("-", width+2))
	}
	rule.WriteString("+\n")
	b.WriteString(rule.String())
	for i, row := range rows {
		for j, text := range row {
			b.WriteString("| " + text + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(text)+1))
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(rule.String())
		}
	}
	b.WriteString(strings.TrimSuffix(rule.String(), "\n"))
	return []byte(b.String())
}

// texts returns the header and the rows.
func (l *listing) texts() [][]string {
	all := [][]string{l.columns}
	for _, row := range l.rows {
		texts := make([]string, len(row))
		for i, c := range row {
			texts[i] = c.text
		}
		all = append(all, texts)
	}
	return all
}
