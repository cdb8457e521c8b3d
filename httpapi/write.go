package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/engine"
)

// AcceptedHeader and RejectedHeader count the points of an answered write. They are
// ours: InfluxDB 3's body lists rejected lines, and here no more than
// engine.MaxReportedErrors of them.
const (
	AcceptedHeader = "X-Siltstone-Points-Accepted"
	RejectedHeader = "X-Siltstone-Points-Rejected"
)

// writeLP stores a body of line protocol. It is answered 204 when every point was
// stored, durably (H2).
func (s *Server) writeLP(b *backend, w http.ResponseWriter, r *http.Request) error {
	req, err := writeParams(r.URL.RawQuery)
	if err != nil {
		return err
	}
	body, err := s.bodies.read(w, r)
	if err != nil {
		return err
	}
	defer body.Release()
	s.metrics.body.Add(float64(len(body.Bytes)))
	req.Body = body.Bytes
	res, err := b.engine.Write(r.Context(), req)
	if err != nil {
		return err
	}
	w.Header().Set(AcceptedHeader, strconv.Itoa(res.Accepted))
	w.Header().Set(RejectedHeader, strconv.Itoa(res.Rejected))
	if len(res.Errors) > 0 {
		answerRejected(w, res, req.AcceptPartial)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// flush persists every buffered row as Parquet before it answers.
func (s *Server) flush(b *backend, w http.ResponseWriter, r *http.Request) error {
	if err := b.engine.Flush(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// precisions are the spellings of the precision parameter.
var precisions = map[string]engine.Precision{
	"": engine.Auto, "auto": engine.Auto,
	"s": engine.Second, "second": engine.Second,
	"ms": engine.Millisecond, "millisecond": engine.Millisecond,
	"us": engine.Microsecond, "u": engine.Microsecond, "microsecond": engine.Microsecond,
	"ns": engine.Nanosecond, "n": engine.Nanosecond, "nanosecond": engine.Nanosecond,
}

// writeParams reads the query string of a write. no_sync is checked and then has no
// effect: every write is durable when it is answered.
func writeParams(rawQuery string) (engine.WriteRequest, error) {
	var req engine.WriteRequest
	if rawQuery == "" {
		return req, badRequest("missing query parameter 'db'")
	}
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return req, badRequest("malformed query string: %v", err)
	}
	if !q.Has("db") {
		return req, badRequest("serde error: missing field `db`")
	}
	req.Database = q.Get("db")
	precision, ok := precisions[q.Get("precision")]
	if !ok {
		return req, badRequest("serde error: unknown variant `%s`, expected one of `auto`, `second`, `millisecond`, `microsecond`, `nanosecond`",
			q.Get("precision"))
	}
	req.Precision = precision
	if req.AcceptPartial, err = boolParam(q, "accept_partial", true); err != nil {
		return req, err
	}
	_, err = boolParam(q, "no_sync", false)
	return req, err
}

// boolParam reads a parameter that is spelled true or false and nothing else.
func boolParam(q url.Values, name string, absent bool) (bool, error) {
	switch v := q.Get(name); {
	case !q.Has(name):
		return absent, nil
	case v == "true":
		return true, nil
	case v == "false":
		return false, nil
	default:
		return false, badRequest("serde error: provided string was not `true` or `false`: %s=%s", name, v)
	}
}

// rejectedLine describes one rejected line in InfluxDB 3's words.
type rejectedLine struct {
	Message  string `json:"error_message"`
	Line     int    `json:"line_number"`
	Original string `json:"original_line"`
}

// answerRejected answers a write of which points were rejected: some of them, or,
// when partial writes were not accepted, all because of the first.
func answerRejected(w http.ResponseWriter, res engine.WriteResult, partial bool) {
	status := http.StatusBadRequest
	lines := make([]rejectedLine, len(res.Errors))
	for i, e := range res.Errors {
		lines[i] = rejectedLine{e.Message, e.Line, cutLine(e.Original)}
		if e.Limit {
			status = http.StatusUnprocessableEntity
		}
	}
	if partial {
		writeJSON(w, status, errorBody{Error: "partial write of line protocol occurred", Data: lines})
		return
	}
	writeJSON(w, status, errorBody{Error: "parsing failed for write_lp endpoint", Data: lines[0]})
}

// maxEchoBytes is how much of a rejected line InfluxDB 3 repeats.
const maxEchoBytes = 20

// cutLine shortens a line without cutting through a character.
func cutLine(line string) string {
	if len(line) <= maxEchoBytes {
		return line
	}
	end := maxEchoBytes
	for end > 0 && !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end]
}
