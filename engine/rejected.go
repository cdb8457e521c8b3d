package engine

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// Rejected points are rows of a table like any other: durable, bounded by the pool, kept
// as Parquet, queryable. No user can write there, because a database's name begins with
// a letter or digit.
const (
	InternalDatabase = "_internal"
	RejectedTable    = "rejected_points"
)

// The values of the field status of a rejected point.
const (
	StatusRejected = "rejected"
	StatusRetried  = "retried"
)

const (
	// maxRejectedRaw bounds what is kept of a rejected line: a string of line protocol,
	// escapes included, where each byte may need one.
	maxRejectedRaw     = lineprotocol.MaxStringBytes
	maxRejectedEscaped = maxRejectedRaw / 2
	// maxRejectedQuoted bounds it for a line that is no text: a byte becomes \\xff, and
	// there are two quotes around it all.
	maxRejectedQuoted = maxRejectedRaw/5 - 1
	// rejectedRecord is where the text for the log is cut into requests.
	rejectedRecord = 4 << 20
)

// rejectedLog collects the rejected lines of a request as line protocol.
type rejectedLog struct {
	isOn bool
	req  *WriteRequest
	head []byte // what is the same for each line, up to the line number
	body []byte
}

func (l *rejectedLog) begin(req *WriteRequest) {
	l.req, l.head, l.body = req, l.head[:0], nil
	if req.isRetry || req.Database == InternalDatabase {
		l.req = nil
	}
}

func (l *rejectedLog) end() { l.req, l.body = nil, nil }

// text returns the lines, nil if there are none. They are the caller's.
func (l *rejectedLog) text() []byte { return l.body }

// add adds a line. All of it is kept when it is not absurdly long.
func (l *rejectedLog) add(f *fault, raw []byte) {
	if !l.isOn || l.req == nil {
		return
	}
	text, isQuoted, isTruncated := keptText(raw)
	line := strconv.Itoa(f.line)
	b := append(l.body, RejectedTable+",database="...)
	b = append(b, l.req.Database...) // has nothing to escape
	b = appendTagText(append(b, ",id="...), rejectedID(l.req.RequestID, line))
	b = append(append(append(b, " line="...), line...), 'i')
	b = append(strconv.AppendInt(append(b, ",line_column="...), int64(f.column), 10), 'i')
	b = appendString(append(b, ",raw="...), text)
	b = strconv.AppendBool(append(b, ",quoted="...), isQuoted)
	b = strconv.AppendBool(append(b, ",truncated="...), isTruncated)
	b = appendString(append(b, ",reason="...), clean(f.message))
	b = appendString(append(b, ",hint="...), clean(f.hint))
	b = appendString(append(b, ",token="...), l.req.Token)
	b = appendString(append(b, ",precision="...), strings.ToLower(l.req.Precision.String()))
	b = appendString(append(b, ",status="...), StatusRejected)
	b = strconv.AppendInt(append(b, ' '), l.req.Now, 10)
	l.body = append(b, '\n')
}

// keptText makes a string of line protocol of a line that may be anything.
func keptText(raw []byte) (text string, isQuoted, isTruncated bool) {
	if isText(raw) {
		text = cut(raw, maxRejectedRaw)
		if len(text)+strings.Count(text, `"`)+strings.Count(text, `\`) > maxRejectedRaw {
			text = cut(raw, maxRejectedEscaped)
		}
		return text, false, len(text) < len(raw)
	}
	kept := raw[:min(len(raw), maxRejectedQuoted)]
	return strconv.Quote(string(kept)), true, len(kept) < len(raw)
}

func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// cut returns the first n bytes of a text at most, without half a character.
func cut(text []byte, n int) string {
	if len(text) <= n {
		return string(text)
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return string(text[:n])
}

// clean makes text of a message, which repeats parts of lines.
func clean(message string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(message, "\x00", "\uFFFD"), "\uFFFD")
}

func rejectedID(request, line string) string { return request + "-" + line }

// appendTagText escapes a tag's value.
func appendTagText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == ' ' || c == ',' || c == '=' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

// appendString quotes a string field's value.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// keepRejected makes the rejected points durable.
func (e *Engine) keepRejected(ctx context.Context, text []byte) error {
	for len(text) > 0 {
		n := len(text)
		if n > rejectedRecord {
			n = bytes.LastIndexByte(text[:rejectedRecord], '\n') + 1
		}
		if err := e.writeInternal(ctx, text[:n]); err != nil {
			return fmt.Errorf("keeping the rejected points: %w", err)
		}
		text = text[n:]
	}
	return nil
}

func (e *Engine) writeInternal(ctx context.Context, body []byte) error {
	req := WriteRequest{Database: InternalDatabase, Body: body, Precision: Nanosecond, Now: e.opts.Now().UnixNano()}
	result, _, err := e.write(ctx, &req)
	if err == nil && result.Rejected > 0 {
		err = fmt.Errorf("line %d: %s", result.Errors[0].Line, result.Errors[0].Message)
	}
	return err
}

// rejectedPoint names a point of the rejected-points log.
type rejectedPoint struct {
	id   string
	time int64 // nanoseconds; when it was rejected
}

// markRetried notes in the log that points of a database were written after all.
func (e *Engine) markRetried(ctx context.Context, database string, points []rejectedPoint) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	var b []byte
	for _, p := range points {
		b = append(append(b, RejectedTable+",database="...), database...)
		b = appendTagText(append(b, ",id="...), p.id)
		b = appendString(append(b, " status="...), StatusRetried)
		b = strconv.AppendInt(append(b, ' '), p.time, 10)
		b = append(b, '\n')
	}
	return e.keepRejected(ctx, b)
}

// trimRejected drops the files of rejected points that are older than their retention
// or beyond their size, the oldest first. The caller holds flusher.mu.
func (e *Engine) trimRejected() error {
	db, ok := e.catalog.Schema().Database(InternalDatabase)
	if !ok {
		return nil
	}
	def, ok := db.Table(RejectedTable)
	if !ok {
		return nil
	}
	t := e.tables.find(def.ID)
	if t == nil {
		return nil
	}
	files := t.allFiles()
	var total int64
	for _, f := range files {
		total += int64(f.Bytes)
	}
	oldest := e.opts.Now().Add(-e.opts.RejectedRetention).UnixNano()
	var gone []*schema.File
	for _, f := range files { // by Order, which is by age
		if f.Time.Max >= oldest && total <= e.opts.RejectedMaxBytes {
			continue
		}
		gone = append(gone, f)
		total -= int64(f.Bytes)
	}
	return e.dropFiles(t, gone)
}
