package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// decodeJSON reads the JSON body of a configuration request into a struct. InfluxDB 3
// insists on the content type there, and so clients send it.
func (s *Server) decodeJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if !isJSON(r.Header.Get("Content-Type")) {
		return &requestError{http.StatusUnsupportedMediaType, "unacceptable content-type, expected: application/json"}
	}
	return s.decodeAnyJSON(w, r, into)
}

// decodeAnyJSON does not look at the content type.
func (s *Server) decodeAnyJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := s.bodies.read(w, r)
	if err != nil {
		return err
	}
	defer body.Release()
	if err := json.Unmarshal(body.Bytes, into); err != nil {
		return badRequest("serde json error: %v", err)
	}
	return nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// requireFields reports the first field of a JSON body that is missing or empty; they
// come in pairs of name and value.
func requireFields(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return badRequest("serde json error: missing field `%s`", pairs[i])
		}
	}
	return nil
}

// params are the parameters of a configuration request's query string.
type params struct{ url.Values }

func parseParams(r *http.Request) (params, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return params{}, badRequest("malformed query string: %v", err)
	}
	return params{q}, nil
}

// require returns parameters that must be there and not empty.
func (p params) require(names ...string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		if values[i] = p.Get(name); values[i] == "" {
			return nil, badRequest("serde error: missing field `%s`", name)
		}
	}
	return values, nil
}

// format returns the format of a listing that InfluxDB 3 does not have, JSON by default.
func (p params) format() string { return cmp.Or(p.Get("format"), "json") }

// requiredParams returns the parameters of a request that takes no others.
func requiredParams(r *http.Request, names ...string) ([]string, error) {
	p, err := parseParams(r)
	if err != nil {
		return nil, err
	}
	return p.require(names...)
}

// configureError words an error of the engine as InfluxDB 3's configuration routes do.
// What it does not know is left to statusOf.
func configureError(err error, name string) error {
	var table *engine.TableNotFoundError
	switch {
	case errors.Is(err, engine.ErrExists):
		return &requestError{http.StatusConflict, "attempted to create a resource that already exists"}
	case errors.Is(err, engine.ErrDatabaseNotFound), errors.Is(err, engine.ErrTokenNotFound), errors.As(err, &table):
		return &requestError{http.StatusNotFound, "the requested resource was not found: " + name}
	case errors.Is(err, engine.ErrInvalidTable):
		return badRequest("%v", err)
	}
	return err
}

// answerEmpty sends a status without a body, unless there is an error.
func answerEmpty(w http.ResponseWriter, status int, err error) error {
	if err == nil {
		w.WriteHeader(status)
	}
	return err
}

// defaultPurgeDelay is how long the data of something deleted stays when the request
// says `hard_delete_at=default`: InfluxDB 3's three days, over a weekend.
const defaultPurgeDelay = 72 * time.Hour

// purgeTime reads the parameter hard_delete_at: when the data of something deleted is
// purged. The zero time is never, which is what no parameter means.
func purgeTime(p params, now time.Time) (time.Time, error) {
	switch at := p.Get("hard_delete_at"); at {
	case "", "never":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "default":
		return now.Add(defaultPurgeDelay), nil
	default:
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return time.Time{}, badRequest("invalid hard_delete_at `%s`, expected `never`, `now`, `default` or a time such as 2026-11-20T08:00:00Z", at)
		}
		if t.Before(now) {
			t = now
		}
		return t, nil
	}
}
