package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/query"
)

func (s *Server) queryInfluxQLGet(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := queryParamsOf(r)
	if err != nil {
		return err
	}
	return s.answerInfluxQL(b, w, r, p)
}

func (s *Server) queryInfluxQLPost(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := s.queryBody(w, r)
	if err != nil {
		return err
	}
	return s.answerInfluxQL(b, w, r, p)
}

// answerInfluxQL runs the one statement of a request and streams its answer as query_sql
// does. Without db the statement must name its database, or need none.
func (s *Server) answerInfluxQL(b *backend, w http.ResponseWriter, r *http.Request, p queryParams) error {
	if p.SQL == nil {
		return badRequest("serde error: missing field `q`")
	}
	req := query.InfluxQLRequest{MayRead: identityOf(r).MayRead, Origin: originOf(r)}
	if p.Database != nil {
		if err := requireRead(r, *p.Database); err != nil {
			return err
		}
		req.Database = *p.Database
	}
	f, err := chooseFormat(p.Format, r.Header.Get("Accept"))
	if err != nil {
		return err
	}
	params, err := bindParams(p.Params)
	if err != nil {
		return err
	}
	if req.Statement, err = onlyStatement(*p.SQL, params); err != nil {
		return err
	}
	res, err := b.querier.InfluxQL(r.Context(), req)
	if err != nil {
		return influxqlError(err)
	}
	defer res.Close()
	return stream(w, r, f.contentType, func(out io.Writer) error { return f.write(out, res) })
}

// onlyStatement parses a text that must be one statement that reads.
func onlyStatement(text string, params map[string]any) (*influxql.Statement, error) {
	statements, err := influxql.Parse(text, params)
	var syntax *influxql.SyntaxError
	if errors.As(err, &syntax) {
		return nil, badRequest("error in InfluxQL statement: parsing error: %v", syntax.Err)
	}
	if err != nil {
		return nil, badRequest("%v", err)
	}
	if len(statements) != 1 {
		return nil, badRequest("must provide only one InfluxQl statement per query")
	}
	if command := statements[0].Command(time.Now()); command != nil {
		return nil, badRequest("%s changes something, which this path does not: send it to /query with POST", statements[0].Text())
	}
	return statements[0], nil
}

// influxqlError gives the refusal of a database the status of any other.
func influxqlError(err error) error {
	var forbidden *influxql.ForbiddenError
	if errors.As(err, &forbidden) {
		return &requestError{http.StatusForbidden, forbidden.Error()}
	}
	return err
}
