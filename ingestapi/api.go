package ingestapi

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
	"github.com/siltstone-db/siltstone/schema"
)

// Options configure an API. Zero values mean the default.
type Options struct {
	// RequestsPerMinute bounds the requests to each endpoint of each datasource; 0 is
	// DefaultRequestsPerMinute.
	RequestsPerMinute int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// DefaultRequestsPerMinute is the value that the API's documentation shows.
const DefaultRequestsPerMinute = 600

// EnsureDefaults replaces zero values by the defaults.
func (o *Options) EnsureDefaults() {
	if o.RequestsPerMinute == 0 {
		o.RequestsPerMinute = DefaultRequestsPerMinute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Validate reports what is wrong with the options.
func (o *Options) Validate() error {
	if o.RequestsPerMinute < 0 {
		return fmt.Errorf("RequestsPerMinute is %d", o.RequestsPerMinute)
	}
	return nil
}

// API answers the requests of the Ingest API. Make one with New.
type API struct {
	opts Options
	mu   struct {
		sync.Mutex
		streams map[schema.Datasource]*stream
	}
}

// stream is what is kept of a datasource from one request to the next.
type stream struct {
	schema.Datasource
	limiter  rateLimiter
	usage    usage
	contacts versions
}

// New returns an API.
func New(opts Options) (*API, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("ingest options: %w", err)
	}
	a := &API{opts: opts}
	a.mu.streams = make(map[schema.Datasource]*stream)
	return a, nil
}

// stream returns what is kept of a datasource that exists.
func (a *API) stream(ds schema.Datasource) *stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.mu.streams[ds]
	if !ok {
		s = &stream{Datasource: ds}
		a.mu.streams[ds] = s
	}
	return s
}

// Call is what the server hands over with a request.
type Call struct {
	Identity  *auth.Identity
	Engine    *engine.Engine
	Querier   *query.Querier
	RequestID string
	// Body reads the request's body, decompressed and bounded. It is called at most
	// once, and only for a request that may write; the bytes are not used after the
	// Handler returned. Its error is returned by the Handler as it is.
	Body func() ([]byte, error)
}

// Handler answers a request, or returns the error that answers it: a *StatusError, an
// error of Call.Body, of the engine or of the querier, for AnswerError. Nothing has been
// written then but headers.
type Handler func(w http.ResponseWriter, r *http.Request, c *Call) error

// AnswerError answers a request of the API with an error, whoever found it: the status and
// a text for the client.
func (a *API) AnswerError(w http.ResponseWriter, _ *http.Request, status int, text string, _ error) {
	if w.Header().Get(limitHeader) == "" { // turned away before it was counted
		untouched(a.opts.RequestsPerMinute, a.opts.Now()).show(w.Header())
	}
	writeJSON(w, status, messageBody{text})
}
