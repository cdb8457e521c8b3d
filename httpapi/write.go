package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/siltstone-db/siltstone/engine"
)

// writes returns the handler of a route that stores line protocol. It is answered 204
// when every point was stored, durably (H2), and otherwise as the contract says.
func (s *Server) writes(d *dialect) handler {
	return func(b *backend, w http.ResponseWriter, r *http.Request) error {
		req, err := d.params(r.URL.RawQuery)
		if err != nil {
			return err
		}
		if err := requireWrite(r, req.Database); err != nil {
			return err
		}
		req.MustExist = s.opts.DisableAutoCreate
		req.RequestID, req.Token = w.Header().Get(requestIDHeader), identityOf(r).Name
		res, err := s.write(b.engine, req, w, r)
		if errors.Is(err, engine.ErrDatabaseNotFound) {
			return &noDatabaseError{req.Database}
		}
		if err != nil {
			return err
		}
		mayRepeat(r)
		s.answerWrite(d, w, r, &written{WriteResult: res, partial: req.AcceptPartial})
		return nil
	}
}

// write reads the body, within the quota of its sender, and stores it.
func (s *Server) write(e *engine.Engine, req engine.WriteRequest, w http.ResponseWriter, r *http.Request) (engine.WriteResult, error) {
	if err := s.quota.begin(req.Token); err != nil {
		return engine.WriteResult{}, err
	}
	lookAway(r)
	body, err := s.bodies.read(w, r)
	if err != nil {
		return engine.WriteResult{}, err
	}
	defer body.Release()
	s.quota.add(req.Token, len(body.Bytes))
	s.metrics.body.Add(float64(len(body.Bytes)))
	req.Body = body.Bytes
	return e.Write(r.Context(), req)
}

// noDatabaseError is a write to a database that does not exist and is not created.
type noDatabaseError struct{ name string }

func (e *noDatabaseError) Error() string { return fmt.Sprintf("database %q not found", e.name) }

// flush persists every buffered row as Parquet before it answers.
func (s *Server) flush(b *backend, w http.ResponseWriter, r *http.Request) error {
	if err := b.engine.Flush(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
