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
	// maxRejectedSingly is how many lines of a request are rows of their own. A row takes
	// some 400 bytes beside the line, so that a body of bad lines of two bytes each would
	// become 200 times as large. The lines behind share rows, see rejectedBundle.
	maxRejectedSingly = 1000
	// copiesOfARejected are how often the text of a rejected line is held: here, with room
	// to grow. Its rows ask for room of their own.
	copiesOfARejected = 2
	// rejectedRecord is where the text for the log is cut into records.
	rejectedRecord = 4 << 20
)

// rejectedText is line protocol for the rejected-points log, in parts of about
// rejectedRecord bytes.
type rejectedText [][]byte

// memoryBytes estimates what the text takes, and what its rows will take in the buffers.
func (t rejectedText) memoryBytes() int64 {
	n := int64(0)
	for _, part := range t {
		n += 2 * int64(len(part))
	}
	return n
}

// rejectedLog collects the rejected lines of a request.
type rejectedLog struct {
	isOn  bool
	req   *WriteRequest // nil while nothing is collected
	parts rejectedText
	lines int
	held  int64 // estimated bytes of it all, and of what they will take until they are logged
	// closed collects lines that end where they end when others follow, and open those that
	// may not: they are kept, but cannot be retried.
	closed, open rejectedBundle

	reader  lineprotocol.Reader
	scratch []byte
}

// rejectedBundle is a row in the making that stands for several lines, whatever their
// reasons are: it has the first one's.
type rejectedBundle struct {
	fault *fault
	raw   []byte // with line breaks between the lines
	lines int
}

func (l *rejectedLog) begin(req *WriteRequest) {
	*l = rejectedLog{isOn: l.isOn}
	if l.isOn && !req.isRetry && req.Database != InternalDatabase {
		l.req = req
	}
}

func (l *rejectedLog) end() { *l = rejectedLog{isOn: l.isOn} }

// text returns what was collected. It is the caller's.
func (l *rejectedLog) text() rejectedText {
	l.flush(&l.closed)
	l.flush(&l.open)
	return l.parts
}

// add adds a line. All of it is kept when it is not absurdly long.
func (l *rejectedLog) add(f *fault, raw []byte) {
	if l.req == nil {
		return
	}
	l.lines++
	if l.lines <= maxRejectedSingly || len(raw) > maxRejectedQuoted {
		l.addRow(f, raw, 1, false)
		return
	}
	b := &l.closed
	if l.leavesStringOpen(raw) {
		b = &l.open
	}
	if len(b.raw)+1+len(raw) > maxRejectedQuoted {
		l.flush(b)
	}
	if b.lines == 0 {
		b.fault = f
	} else {
		b.raw = append(b.raw, '\n')
	}
	b.raw = append(b.raw, raw...)
	b.lines++
}

func (l *rejectedLog) flush(b *rejectedBundle) {
	if b.lines > 0 {
		l.addRow(b.fault, b.raw, b.lines, b == &l.open)
		*b = rejectedBundle{raw: b.raw[:0]}
	}
}

// leavesStringOpen reports whether a line could swallow the one behind it, because a
// string in it has no end. It is read with a line behind it that would be the end.
func (l *rejectedLog) leavesStringOpen(line []byte) bool {
	const end = `"`
	l.scratch = append(append(append(l.scratch[:0], line...), '\n'), end...)
	l.reader.Reset(l.scratch)
	l.reader.Next()
	l.reader.Skip()
	return !l.reader.Next() || string(l.reader.Raw()) != end
}

// addRow writes a row for one line or several. One that cannot be retried is marked as
// truncated.
func (l *rejectedLog) addRow(f *fault, raw []byte, points int, isOpen bool) {
	text, isQuoted, isTruncated := keptText(raw)
	isTruncated = isTruncated || isOpen
	line := strconv.Itoa(f.line)
	n := len(l.parts)
	if n == 0 || len(l.parts[n-1]) > rejectedRecord {
		l.parts = append(l.parts, nil)
		n++
	}
	b := append(l.parts[n-1], RejectedTable+",database="...)
	b = append(b, l.req.Database...) // has nothing to escape
	b = lineprotocol.AppendKey(append(b, ",id="...), l.req.RequestID+"-"+line)
	b = append(append(append(b, " line="...), line...), 'i')
	b = append(strconv.AppendInt(append(b, ",line_column="...), int64(f.column), 10), 'i')
	b = append(strconv.AppendInt(append(b, ",points="...), int64(points), 10), 'i')
	b = lineprotocol.AppendString(append(b, ",raw="...), text)
	b = strconv.AppendBool(append(b, ",quoted="...), isQuoted)
	b = strconv.AppendBool(append(b, ",truncated="...), isTruncated)
	b = lineprotocol.AppendString(append(b, ",reason="...), clean(f.message))
	b = lineprotocol.AppendString(append(b, ",hint="...), clean(f.hint))
	b = lineprotocol.AppendString(append(b, ",token="...), l.req.Token)
	b = lineprotocol.AppendString(append(b, ",precision="...), strings.ToLower(l.req.Precision.String()))
	b = lineprotocol.AppendString(append(b, ",status="...), StatusRejected)
	b = strconv.AppendInt(append(b, ' '), min(max(l.req.Now, lineprotocol.MinTime), lineprotocol.MaxTime), 10)
	l.held += copiesOfARejected * int64(len(b)-len(l.parts[n-1]))
	l.parts[n-1] = append(b, '\n')
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

// keepRejected makes rejected points durable. The caller has reserved the memory, or has a
// few short rows, so that only a log that failed can refuse them.
func (e *Engine) keepRejected(ctx context.Context, text rejectedText) error {
	for _, part := range text {
		now := e.clock.now()
		req := WriteRequest{Database: InternalDatabase, Body: part, Precision: Nanosecond, Now: now, isReserved: true}
		result, err := e.write(context.WithoutCancel(ctx), &req)
		if err != nil {
			return fmt.Errorf("keeping the rejected points: %w", err)
		}
		if result.Rejected > 0 { // the request is stored; the fault is ours alone
			e.opts.Logger.Error("rejected points were not kept", "points", result.Rejected, "reason", result.Errors[0].Message)
		}
	}
	return nil
}

// rejectedPoint names a point of the rejected-points log.
type rejectedPoint struct {
	id   string
	time int64 // nanoseconds; when it was rejected
}

// markRetried notes in the log that points of a database were written after all.
func (e *Engine) markRetried(ctx context.Context, database string, points []rejectedPoint) error {
	if len(points) == 0 {
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	var b []byte
	for _, p := range points {
		b = append(append(b, RejectedTable+",database="...), database...)
		b = lineprotocol.AppendKey(append(b, ",id="...), p.id)
		b = lineprotocol.AppendString(append(b, " status="...), StatusRetried)
		b = strconv.AppendInt(append(b, ' '), p.time, 10)
		b = append(b, '\n')
	}
	return e.keepRejected(ctx, rejectedText{b})
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
	oldest := minus(e.clock.look(), int64(e.opts.RejectedRetention))
	var gone []*schema.File
	for _, f := range files { // by Order: what marks a point goes no earlier than the point
		if f.Time.Max >= oldest && total <= e.opts.RejectedMaxBytes {
			break
		}
		gone = append(gone, f)
		total -= int64(f.Bytes)
	}
	return e.dropFiles(t, gone)
}
