package ingestapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/siltstone-db/siltstone/auth"
)

// Route is one of the API's routes: a method and a path pattern of net/http's ServeMux.
type Route struct {
	Method, Path string
	Handler      Handler
}

// base is what all paths of the API begin with.
const base = "/v1/project/{project}/datasource/{datasource}/stream"

// permission is what a route asks of its sender in the datasource's database.
type permission func(id *auth.Identity, database string) bool

func mayRead(id *auth.Identity, database string) bool  { return id.MayRead(database) }
func mayWrite(id *auth.Identity, database string) bool { return id.MayWrite(database) }

// mayEither is for what every user of a datasource may know.
func mayEither(id *auth.Identity, database string) bool {
	return id.MayRead(database) || id.MayWrite(database)
}

// Routes lists the API's routes.
func (a *API) Routes() []Route {
	return []Route{
		{"GET", base, a.handle(endpointStream, mayEither, (*request).getStream)},
		{"POST", base + "/contacts", a.handle(endpointContacts, mayWrite, (*request).postContacts)},
		{"POST", base + "/events", a.handle(endpointEvents, mayWrite, (*request).postEvents)},
		{"GET", base + "/contacts/{id}", a.handle(endpointGetContact, mayRead, (*request).getContact)},
		{"DELETE", base + "/contacts/{id}", a.handle(endpointDeleteContact, mayWrite, (*request).deleteContact)},
		{"GET", base + "/specs/attributes", a.handle(endpointAttributeSpecs, mayEither, (*request).getAttributeSpecs)},
		{"GET", base + "/specs/events", a.handle(endpointEventSpecs, mayEither, (*request).getEventSpecs)},
		{"GET", base + "/specs/event-parameters/{type}", a.handle(endpointParameterSpecs, mayEither, (*request).getParameterSpecs)},
	}
}

// request is a request that is admitted and counted.
type request struct {
	*Call
	w      http.ResponseWriter
	r      *http.Request
	stream *stream
	now    time.Time
	dryRun bool
}

// handle admits and counts requests. Who is not admitted is not counted: a stranger must
// not use up what a datasource has.
func (a *API) handle(e endpoint, may permission, next func(*request) error) Handler {
	return func(w http.ResponseWriter, r *http.Request, c *Call) error {
		ds, ok := c.Engine.Datasource(r.PathValue("project"), r.PathValue("datasource"))
		if !ok || !may(c.Identity, ds.Database) {
			return errNoDatasource
		}
		q := &request{Call: c, w: w, r: r, stream: a.stream(ds), now: a.opts.Now()}
		left, ok := q.stream.limiter.take(e, a.opts.RequestsPerMinute, q.now)
		left.show(w.Header())
		if !ok {
			q.refuseRate(left)
			return nil
		}
		if err := q.readFlags(); err != nil {
			return err
		}
		return next(q)
	}
}

// refuseRate answers 429, which has no body.
func (q *request) refuseRate(left allowance) {
	wait := left.reset.Sub(q.now)
	q.w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	q.w.WriteHeader(http.StatusTooManyRequests)
}

// readFlags reads the query string. _sync asks for what every answer promises (I1), so
// it changes nothing.
func (q *request) readFlags() error {
	params, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return badRequest("Malformed query string: %v", err)
	}
	if q.dryRun, err = isOn(params, "_dryRun"); err != nil {
		return err
	}
	_, err = isOn(params, "_sync")
	return err
}

// isOn reads a parameter that is on when it has no value.
func isOn(params url.Values, name string) (bool, error) {
	switch v := params.Get(name); {
	case !params.Has(name), v == "false":
		return false, nil
	case v == "", v == "true":
		return true, nil
	default:
		return false, badRequest("Parameter %s should be true or false", name)
	}
}

// streamBody describes a datasource.
type streamBody struct {
	Project    string    `json:"project"`
	Datasource string    `json:"datasource"`
	Database   string    `json:"database"`
	Created    string    `json:"created"`
	Usage      usageBody `json:"usage"`
}

type usageBody struct {
	Hours    int       `json:"hours"`
	Contacts itemCount `json:"contacts"`
	Events   itemCount `json:"events"`
}

func (q *request) getStream() error {
	s := q.stream
	contacts, events := s.usage.recent(q.now)
	writeEntity(q.w, http.StatusOK, streamBody{
		Project: s.Project, Datasource: s.Name, Database: s.Database, Created: formatDate(time.Unix(0, s.Created)),
		Usage: usageBody{usageHours, contacts, events},
	})
	return nil
}

// items reads the batch that was sent.
func (q *request) items() ([]item, error) {
	body, err := q.Body()
	if err != nil {
		return nil, err
	}
	return decodeItems(body)
}

// answerBatch says what became of a batch. count is where its items are counted.
func (q *request) answerBatch(outcomes []outcome, count func(itemCount) (contacts, events itemCount)) {
	status, body := batchAnswer(outcomes)
	if !q.dryRun {
		contacts, events := count(itemCount{int64(body.Successful), int64(body.Failed)})
		q.stream.usage.add(q.now, contacts, events)
	}
	writeEntity(q.w, status, body)
}
