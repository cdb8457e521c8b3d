package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/query"
)

// errNotExecuted is the answer to the statements behind one that failed, in InfluxDB 1's
// words.
var errNotExecuted = errors.New("not executed")

// v1Execution runs the statements of a request to InfluxDB 1's /query.
type v1Execution struct {
	server  *Server
	backend *backend
	request *http.Request
	sender  *auth.Identity
	query   v1Query
	answer  *v1Answer
	// requestID is under which the log has faults of ours.
	requestID string
}

// queryV1 answers InfluxDB 1's /query. What is wrong with the request gets a status of
// its own; what is wrong with a statement is part of its result, under 200.
func (s *Server) queryV1(b *backend, w http.ResponseWriter, r *http.Request) error {
	s.addV1Headers(w.Header())
	q, err := s.v1Query(w, r)
	if err != nil {
		return err
	}
	statements, err := influxql.Parse(q.text, q.params)
	if err != nil {
		return badRequest("%v", err)
	}
	format := v1FormatOf(r.Header.Get("Accept"))
	out := newStream(w, r, format.contentType)
	x := &v1Execution{
		server: s, backend: b, request: r, sender: identityOf(r), query: q,
		answer:    newV1Answer(format, q, out),
		requestID: w.Header().Get(requestIDHeader),
	}
	if err := x.runAll(statements); err != nil {
		return err
	}
	return out.send()
}

// addV1Headers adds what InfluxDB 1 says about itself with every answer to a query.
func (s *Server) addV1Headers(h http.Header) {
	h.Set("X-Influxdb-Version", s.opts.Version)
	h.Set("X-Influxdb-Build", "Siltstone")
}

// runAll runs the statements until one fails; the others are answered all the same.
// An error is one of the connection.
func (x *v1Execution) runAll(statements []*influxql.Statement) error {
	var failed error
	x.answer.begin()
	for i, st := range statements {
		x.answer.beginStatement(i)
		err := errNotExecuted
		if failed == nil {
			err = x.run(st)
			failed = err
		}
		if x.request.Context().Err() != nil {
			return context.Cause(x.request.Context())
		}
		text := ""
		if err != nil {
			text = x.textOf(err)
		}
		if err := x.answer.endStatement(text); err != nil {
			return err
		}
	}
	return x.answer.end()
}

// run answers one statement.
func (x *v1Execution) run(st *influxql.Statement) error {
	if command := st.Command(x.server.opts.Now()); command != nil {
		if !x.query.mayChange {
			return badRequest("%s changes something: send it with POST", st.Text())
		}
		return x.execute(command)
	}
	res, err := x.backend.querier.InfluxQL(x.request.Context(), query.InfluxQLRequest{
		Database:        x.query.database,
		RetentionPolicy: x.query.policy,
		Statement:       st,
		MayRead:         x.sender.MayRead,
		V1:              true,
		Origin:          originOf(x.request),
	})
	if err != nil {
		return err
	}
	defer res.Close()
	return x.answer.rows(res)
}

// textOf is what the sender is told about the error of a statement.
func (x *v1Execution) textOf(err error) string {
	if errors.Is(err, errNotExecuted) || errors.Is(err, engine.ErrDatabaseNotFound) { // InfluxDB 3 says more
		return err.Error()
	}
	status, text := statusOf(influxqlError(err))
	if status == http.StatusInternalServerError {
		return x.server.concealed(x.requestID, x.request, err)
	}
	return text
}

// v1Formats are the formats by media type.
var v1Formats = map[string]v1Format{
	"application/csv":       {"application/csv", newV1CSV},
	"text/csv":              {"text/csv", newV1CSV},
	"application/x-msgpack": {"application/x-msgpack", newV1MessagePack},
}

// v1FormatOf chooses JSON for all types that it does not know, as InfluxDB 1 does.
func v1FormatOf(accept string) v1Format {
	if f, ok := v1Formats[accept]; ok {
		return f
	}
	return v1Format{"application/json", newV1JSON}
}

// refuseV1 answers a request to /query that cannot be run at all, in the format that it
// asked for.
func (s *Server) refuseV1(w http.ResponseWriter, r *http.Request, status int, text string, _ error) {
	s.addV1Headers(w.Header())
	w.Header().Set("X-Influxdb-Error", headerText(text))
	format := v1FormatOf(r.Header.Get("Accept"))
	w.Header().Set("Content-Type", format.contentType)
	w.WriteHeader(status)
	out := &output{w: w}
	format.write(out, 0).refuse(text)
	_ = out.flush() // the client may be gone
}
