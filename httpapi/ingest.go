package httpapi

import (
	"net/http"
	"strings"

	"github.com/siltstone-db/siltstone/ingestapi"
)

// ingestPrefix is what the paths of the Ingest API begin with, those too that no route takes.
const ingestPrefix = "/v1/project/"

func isIngestPath(path string) bool { return strings.HasPrefix(path, ingestPrefix) }

// ingestRoutes are the routes of the Ingest API, which words its own errors.
func (s *Server) ingestRoutes() []route {
	var routes []route
	for _, rt := range s.ingest.Routes() {
		routes = append(routes, route{
			method: rt.Method, path: rt.Path, access: forProjects,
			handler: s.ingests(rt.Handler), answer: s.ingest.AnswerError,
		})
	}
	return routes
}

// ingests hands a request over to the Ingest API. Its body is read when the API asks for
// it, which is after it knows that the sender may send it.
func (s *Server) ingests(next ingestapi.Handler) handler {
	return func(b *backend, w http.ResponseWriter, r *http.Request) error {
		var held *body
		defer func() {
			if held != nil {
				held.Release()
			}
		}()
		return next(w, r, &ingestapi.Call{
			Identity: identityOf(r), Engine: b.engine, Querier: b.querier, RequestID: w.Header().Get(requestIDHeader),
			Body: func() ([]byte, error) {
				read, err := s.bodies.read(w, r)
				if err != nil {
					return nil, err
				}
				held = read
				return held.Bytes, nil
			},
		})
	}
}
