package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/engine"
)

// Headers of answered writes. AcceptedHeader and RejectedHeader count the points;
// FirstRejectedHeader and ErrorHeader come with a 204 that cannot have a body, and hold
// the number of the first rejected line and what a body's message would.
const (
	AcceptedHeader      = "X-Siltstone-Points-Accepted"
	RejectedHeader      = "X-Siltstone-Points-Rejected"
	FirstRejectedHeader = "X-Siltstone-First-Rejected-Line"
	ErrorHeader         = "X-Influx-Error"
)

// written is a write that the engine has answered.
type written struct {
	engine.WriteResult
	partial bool // accept_partial
}

// outcome says what became of the points. Beyond engine.MaxReportedErrors of them it
// judges by the first.
func (res *written) outcome() outcome {
	switch {
	case res.Rejected == 0:
		return allAccepted
	case all(res.Errors, func(e *engine.LineError) bool { return e.Limit }):
		if res.Accepted > 0 {
			return someBeyondLimit
		}
		return beyondLimit
	case res.Accepted > 0:
		return someAccepted
	case res.Expired == res.Rejected:
		return expired
	case all(res.Errors, func(e *engine.LineError) bool { return e.Syntax }):
		return malformed
	}
	return noneAccepted
}

func all(errs []engine.LineError, is func(*engine.LineError) bool) bool {
	for i := range errs {
		if !is(&errs[i]) {
			return false
		}
	}
	return true
}

// answerWrite tells the client what became of its points.
func (s *Server) answerWrite(d *dialect, w http.ResponseWriter, r *http.Request, res *written) {
	counts := []string{strconv.Itoa(res.Accepted), strconv.Itoa(res.Rejected)} // one allocation for both
	w.Header()[AcceptedHeader], w.Header()[RejectedHeader] = counts[:1:1], counts[1:]
	contract := s.opts.WriteContract
	out := res.outcome()
	reply := contract.reply(out)
	if reply.form == pointsHeaders && prefersBody(r.Header) {
		w.Header().Set("Preference-Applied", "return=representation")
		reply.status, reply.form = http.StatusCreated, pointsBody
	}
	switch reply.form {
	case pointsBody:
		writeJSON(w, reply.status, d.rejectedBody(contract, out, reply.status, res))
	case pointsHeaders:
		w.Header().Set(FirstRejectedHeader, strconv.Itoa(res.Errors[0].Line))
		w.Header().Set(ErrorHeader, headerText(res.message(contract, out)))
		w.WriteHeader(reply.status)
	default:
		w.WriteHeader(reply.status)
	}
}

// prefersBody reports whether a client asks for a body where there need not be one
// (RFC 7240).
func prefersBody(h http.Header) bool {
	for _, header := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			token, _, _ := strings.Cut(preference, ";")
			name, value, _ := strings.Cut(token, "=")
			if strings.EqualFold(strings.TrimSpace(name), "return") {
				// Of several the first counts.
				return strings.Trim(strings.TrimSpace(value), `"`) == "representation"
			}
		}
	}
	return false
}

// writeErrorBody is the body of errors on the routes of v1 and v2. Clients of InfluxDB 2
// read code, message and line, those of InfluxDB 1 and 3 error and data; nobody minds the
// others.
type writeErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"` // the first rejected one
	errorBody
}

// rejectedLine describes one rejected line in InfluxDB 3's words.
type rejectedLine struct {
	Message  string `json:"error_message"`
	Line     int    `json:"line_number"`
	Original string `json:"original_line"`
}

// rejectedBody describes rejected points.
func (d *dialect) rejectedBody(c Contract, o outcome, status int, res *written) any {
	if d.core {
		return res.coreBody(coreOriginalBytes)
	}
	body := writeErrorBody{
		Code:      errorCode(status),
		Message:   res.message(c, o),
		Line:      res.Errors[0].Line,
		errorBody: res.coreBody(engine.MaxOriginalBytes),
	}
	if d.reasons {
		body.Error += ": " + res.firstReason()
	}
	return body
}

// coreOriginalBytes is where InfluxDB 3 Core cuts the line that it repeats.
const coreOriginalBytes = 20

// coreBody describes rejected points as InfluxDB 3 Core does: some of them, or, when
// partial writes were not accepted, the first, which is why all were rejected. Lines are
// cut after maxOriginal bytes.
func (res *written) coreBody(maxOriginal int) errorBody {
	lines := make([]rejectedLine, len(res.Errors))
	for i, e := range res.Errors {
		lines[i] = rejectedLine{e.Message, e.Line, firstBytes(e.Original, maxOriginal)}
	}
	if res.partial {
		return errorBody{Error: "partial write of line protocol occurred", Data: lines}
	}
	return errorBody{Error: "parsing failed for write_lp endpoint", Data: lines[0]}
}

// firstBytes cuts a line, which the engine may have cut already, after n bytes at most,
// and drops the part of a character that is left at the end.
func firstBytes(line string, n int) string {
	if len(line) < n {
		return line
	}
	line = line[:n]
	for end := len(line) - 1; end >= 0 && end > len(line)-utf8.UTFMax; end-- {
		if utf8.RuneStart(line[end]) && !utf8.FullRuneInString(line[end:]) {
			return line[:end]
		}
	}
	return line
}

// message describes rejected points one by one, each in a line of its own, after a line
// that sums up.
func (res *written) message(c Contract, o outcome) string {
	var b strings.Builder
	b.WriteString(c.summary(res.Accepted))
	for i := range res.Errors {
		e := &res.Errors[i]
		fmt.Fprintf(&b, "\nerror parsing line %d (1-based): %s", e.Line, oneLine(e.PlainMessage()))
		if i == 0 && o == malformed {
			fmt.Fprintf(&b, ", the line is '%s'", oneLine(firstBytes(e.Original, engine.MaxOriginalBytes)))
		}
		if e.Hint != "" {
			fmt.Fprintf(&b, " (%s)", oneLine(e.Hint))
		}
	}
	switch more := res.Rejected - len(res.Errors); {
	case more > 0 && res.partial:
		fmt.Fprintf(&b, "\n… and %d more", more)
	case more > 0:
		fmt.Fprintf(&b, "\n… and %d more with them, because accept_partial is false", more)
	}
	return b.String()
}

// firstReason describes the first rejected point, and says how many more there are.
func (res *written) firstReason() string {
	first := &res.Errors[0]
	reason := fmt.Sprintf("line %d: %s", first.Line, oneLine(first.PlainMessage()))
	if more := res.Rejected - 1; more > 0 && res.partial {
		reason += fmt.Sprintf(" (and %d more)", more)
	}
	return reason
}

// oneLine escapes line breaks and other control characters.
func oneLine(text string) string { return escape(text, isControl) }

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// escape writes the characters that are not fit for something as Go's string literals do.
func escape(text string, isUnfit func(rune) bool) string {
	if !strings.ContainsFunc(text, isUnfit) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if !isUnfit(c) {
			b.WriteRune(c)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(c)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// maxHeaderText leaves room for other headers in the 4 KiB that proxies commonly have for
// all of an answer's.
const maxHeaderText = 1024

// headerText makes a message fit a header: one line of printable ASCII, not too long.
func headerText(message string) string {
	summary, points, _ := strings.Cut(message, "\n")
	text := summary + " " + strings.ReplaceAll(points, "\n", "; ")
	text = escape(text, func(c rune) bool { return isControl(c) || c > 0x7f })
	if len(text) > maxHeaderText {
		return text[:maxHeaderText-len("...")] + "..."
	}
	return text
}

// refuseWrite returns what answers a write request that failed as a whole.
func (s *Server) refuseWrite(d *dialect) errorWriter {
	return func(w http.ResponseWriter, _ *http.Request, status int, text string, err error) {
		reply := s.opts.WriteContract.failure(status)
		if reply.header == "Retry-After" {
			w.Header().Set("Retry-After", retryAfter(err))
		}
		if d.core {
			writeJSON(w, reply.status, errorBody{Error: text})
			return
		}
		if reply.text != "" {
			text = reply.text
		}
		body := writeErrorBody{Code: errorCode(reply.status), Message: text, errorBody: errorBody{Error: text}}
		d.reword(&body, err)
		writeJSON(w, reply.status, body)
	}
}

// reword says a failure in the words that clients look for: those of InfluxDB 1 create
// the database when error has `database not found`.
func (d *dialect) reword(body *writeErrorBody, err error) {
	var missing *noDatabaseError
	switch {
	case errors.Is(err, errUnauthenticated):
		body.Message = "unauthorized access"
	case body.Code == errorCodes[http.StatusUnauthorized]:
		body.Message = "unauthorized access: " + body.Message
	case errors.As(err, &missing):
		body.Message = fmt.Sprintf("%s %q not found", d.resource, missing.name)
		body.Error = fmt.Sprintf("database not found: %q", missing.name)
	}
}

// retryAfter is when to try again, in whole seconds.
func retryAfter(err error) string {
	var quota *quotaError
	if errors.As(err, &quota) {
		return strconv.Itoa(quota.retryAfter())
	}
	return retryAfterSeconds
}
