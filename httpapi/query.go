package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/siltstone-db/siltstone/query"
)

// queryParams is what a query request asks for, in the query string of a GET or the
// JSON body of a POST.
type queryParams struct {
	Database *string         `json:"db"`
	SQL      *string         `json:"q"`
	Format   string          `json:"format"`
	Params   json.RawMessage `json:"params"`
}

func (s *Server) querySQLGet(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := queryParamsOf(r)
	if err != nil {
		return err
	}
	return s.answerQuery(b, w, r, p)
}

func (s *Server) querySQLPost(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := s.queryBody(w, r)
	if err != nil {
		return err
	}
	return s.answerQuery(b, w, r, p)
}

// queryParamsOf reads the query string of a GET.
func queryParamsOf(r *http.Request) (queryParams, error) {
	if r.URL.RawQuery == "" {
		return queryParams{}, badRequest("missing query parameters 'db' and 'q'")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return queryParams{}, badRequest("malformed query string: %v", err)
	}
	p := queryParams{Format: q.Get("format"), Params: json.RawMessage(q.Get("params"))}
	if q.Has("db") {
		p.Database = new(q.Get("db"))
	}
	if q.Has("q") {
		p.SQL = new(q.Get("q"))
	}
	return p, nil
}

// queryBody reads the body of a POST, whatever its content type.
func (s *Server) queryBody(w http.ResponseWriter, r *http.Request) (queryParams, error) {
	var p queryParams
	body, err := s.bodies.read(w, r)
	if err != nil {
		return p, err
	}
	defer body.Release()
	if err := json.Unmarshal(body.Bytes, &p); err != nil {
		return p, badRequest("serde json error: %v", err)
	}
	return p, nil
}

// originOf says for the query log who sends a query.
func originOf(r *http.Request) query.Origin {
	id := identityOf(r)
	return query.Origin{Protocol: "http", Token: id.Name, Admin: id.Admin}
}

// answerQuery runs a query and streams its result. The query ends when the client
// hangs up, which ends the request's context.
func (s *Server) answerQuery(b *backend, w http.ResponseWriter, r *http.Request, p queryParams) error {
	switch {
	case p.Database == nil:
		return badRequest("serde error: missing field `db`")
	case p.SQL == nil:
		return badRequest("serde error: missing field `q`")
	}
	if err := requireRead(r, *p.Database); err != nil {
		return err
	}
	f, err := chooseFormat(p.Format, r.Header.Get("Accept"))
	if err != nil {
		return err
	}
	params, err := bindParams(p.Params)
	if err != nil {
		return err
	}
	res, err := b.querier.Query(r.Context(), query.Request{Database: *p.Database, SQL: *p.SQL, Params: params, Origin: originOf(r)})
	if err != nil {
		return err
	}
	defer res.Close()
	return stream(w, r, f.contentType, func(out io.Writer) error { return f.write(out, res) })
}

// format is one way to write a result.
type format struct {
	contentType string
	write       func(io.Writer, query.Rows) error
}

// Media types that IANA knows.
const (
	parquetType = "application/vnd.apache.parquet"
	arrowType   = "application/vnd.apache.arrow.stream"
)

var formats = map[string]format{
	"json":       {"application/json", query.WriteJSON},
	"jsonl":      {"application/jsonl", query.WriteJSONL},
	"json_lines": {"application/jsonl", query.WriteJSONL},
	"csv":        {"text/csv", query.WriteCSV},
	"pretty":     {"text/plain; charset=utf-8", query.WritePretty},
	"parquet":    {parquetType, query.WriteParquet},
	"arrow":      {arrowType, query.WriteArrow},
}

// accepted maps media types to formats. InfluxDB 3 refuses application/jsonl; there
// is no reason to. It has no Arrow over HTTP.
var accepted = map[string]string{
	"":                  "json",
	"application/json":  "json",
	"application/jsonl": "jsonl",
	"text/csv":          "csv",
	"text/plain":        "pretty",
	parquetType:         "parquet",
	arrowType:           "arrow",
}

// chooseFormat prefers the format parameter to the Accept header, as InfluxDB 3 does.
// A header that names several types is a browser's or a library's default: JSON.
func chooseFormat(name, accept string) (format, error) {
	if name != "" {
		f, ok := formats[name]
		if !ok {
			return format{}, unknownFormat(name)
		}
		return f, nil
	}
	if strings.Contains(accept, "*/*") || strings.Contains(accept, "text/html") {
		return formats["json"], nil
	}
	name, ok := accepted[accept]
	if !ok {
		return format{}, badRequest("invalid mime type (%s)", accept)
	}
	return formats[name], nil
}

func unknownFormat(name string) error {
	return badRequest("unknown format `%s`, expected one of `json`, `jsonl`, `csv`, `pretty`, `parquet`, `arrow`", name)
}

// bindParams decodes the values of $placeholders: a JSON object of strings, booleans,
// nulls and numbers. A number without fraction and exponent stays an integer.
func bindParams(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var params map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&params); err != nil {
		return nil, badRequest("invalid query parameters: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badRequest("invalid query parameters: more than one JSON value")
	}
	if err := query.BindJSON(params); err != nil {
		return nil, badRequest("invalid query parameter %v", err)
	}
	return params, nil
}
