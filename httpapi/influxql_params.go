package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/query"
)

// v1Query is what a request to InfluxDB 1's /query asks for.
type v1Query struct {
	text             string // the statements
	database, policy string
	params           map[string]any
	epoch            epoch
	chunkRows        int // 0 is one document for all
	pretty           bool
	mayChange        bool // statements may change something, not only read
}

// epoch is the unit of times in an answer, in nanoseconds; 0 is RFC 3339 text.
type epoch int64

// epochs are the units by InfluxDB 1's names, and by the longer ones that people use.
var epochs = map[string]epoch{
	"":        0,
	"rfc3339": 0,
	"n":       1,
	"ns":      1,
	"u":       epoch(time.Microsecond),
	"us":      epoch(time.Microsecond),
	"µ":       epoch(time.Microsecond),
	"µs":      epoch(time.Microsecond),
	"ms":      epoch(time.Millisecond),
	"s":       epoch(time.Second),
	"m":       epoch(time.Minute),
	"h":       epoch(time.Hour),
	"d":       epoch(24 * time.Hour),
	"w":       epoch(7 * 24 * time.Hour),
}

// defaultChunkRows is the size of a chunk that names none, InfluxDB 1's.
const defaultChunkRows = 10_000

// v1Query reads the parameters of a request, in the query string and in the form that a
// POST may carry, whose values go first.
func (s *Server) v1Query(w http.ResponseWriter, r *http.Request) (v1Query, error) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return v1Query{}, badRequest("malformed query string: %v", err)
	}
	if r.Method == http.MethodPost {
		if err := s.addForm(w, r, form); err != nil {
			return v1Query{}, err
		}
	}
	q := v1Query{
		text:      strings.TrimSpace(form.Get("q")),
		database:  form.Get("db"),
		policy:    form.Get("rp"),
		pretty:    isTrue(form.Get("pretty")),
		mayChange: r.Method == http.MethodPost,
	}
	if q.text == "" {
		return q, badRequest(`missing required parameter "q"`)
	}
	unit, ok := epochs[form.Get("epoch")]
	if !ok {
		return q, badRequest("unknown epoch %q, expected one of ns, u, ms, s, m, h, d, w", form.Get("epoch"))
	}
	q.epoch = unit
	if isTrue(form.Get("chunked")) {
		q.chunkRows = chunkRows(form.Get("chunk_size"))
	}
	q.params, err = v1Params(form.Get("params"))
	return q, err
}

// isTrue reads a switch as InfluxDB 1 does: anything but true is false.
func isTrue(value string) bool { return value == "true" }

// chunkRows reads the size of a chunk as InfluxDB 1 does: what is no positive number is
// the default.
func chunkRows(value string) int {
	if n, err := strconv.ParseInt(value, 10, 32); err == nil && n > 0 {
		return int(n)
	}
	return defaultChunkRows
}

// v1Params reads the values of $names: what bindParams takes, and the objects with which
// InfluxDB 1 names a literal's type, such as {"duration":"1h"}.
func v1Params(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var params map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&params); err != nil {
		return nil, badRequest("error parsing query parameters: %v", err)
	}
	for name, v := range params {
		n, ok := v.(json.Number)
		if !ok {
			continue
		}
		bound, err := query.Number(n)
		if err != nil {
			return nil, badRequest("error parsing query parameters: %s: %v", name, err)
		}
		params[name] = bound
	}
	return params, nil
}

// addForm adds what the body of a POST says to the parameters. A body that is no form is
// the query itself, where the query string has none.
func (s *Server) addForm(w http.ResponseWriter, r *http.Request, form url.Values) error {
	body, err := s.bodies.read(w, r)
	if err != nil {
		return err
	}
	defer body.Release()
	kind, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil { // none, or one that nobody understands
		kind = ""
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		return addFields(form, body.Bytes)
	case "multipart/form-data":
		return addParts(form, body.Bytes, options["boundary"])
	case "", "application/vnd.influxql", "text/plain":
		if !form.Has("q") {
			form.Set("q", string(body.Bytes))
		}
	default:
		if !form.Has("q") && len(body.Bytes) > 0 {
			return badRequest("no query in a body of type %q; use application/x-www-form-urlencoded, multipart/form-data or application/vnd.influxql", kind)
		}
	}
	return nil
}

func addFields(form url.Values, body []byte) error {
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return badRequest("malformed form in the request body: %v", err)
	}
	for name, values := range fields {
		form[name] = values
	}
	return nil
}

// addParts reads a multipart form. A part may be a file: the 1.x documentation sends
// scripts so.
func addParts(form url.Values, body []byte, boundary string) error {
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badRequest("malformed form in the request body: %v", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return badRequest("malformed form in the request body: %v", err)
		}
		form.Set(part.FormName(), string(value))
	}
}
