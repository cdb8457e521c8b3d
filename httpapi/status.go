package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/ingestapi"
	"github.com/siltstone-db/siltstone/query"
)

// requestError is a fault of the request that this package found itself.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var (
	// errStarting: the data directory is still being recovered.
	errStarting = errors.New("siltstone is starting; retry soon")
	// errStopping: the process was asked to stop.
	errStopping = errors.New("siltstone is stopping")
	// errBodiesFull: the bodies of the requests under way fill MaxBufferedBytes.
	errBodiesFull = errors.New("too many request bytes in flight; retry soon")
)

// retryAfterSeconds goes with every 503. All its causes pass within moments, and
// clients parse nothing but an integer.
const retryAfterSeconds = "1"

// statusClientGone is nginx's code for a client that hung up. Nobody receives it;
// it is for the metrics.
const statusClientGone = 499

// statusOf chooses the HTTP status of an error, and the text for the client (H3). It
// is the only place that does; on the routes that take writes the contract may replace
// the status (see writeContract).
func statusOf(err error) (status int, text string) {
	var (
		ours  *requestError
		item  *ingestapi.StatusError
		large *http.MaxBytesError
		table *engine.TableNotFoundError
		user  *query.UserError
		cut   *transportError
		limit *engine.LimitError
		needs *query.ResourceError
		slow  *query.TimeoutError
		busy  *query.BusyError
		quota *quotaError
		fixed *engine.RollupRowsError
		none  *noDatabaseError
		ended *query.QueryNotFoundError
		gone  *clientGoneError
		full  *engine.NoSpaceError
	)
	switch {
	case errors.As(err, &gone): // whatever the connection said
		return statusClientGone, gone.Error()
	case errors.As(err, &ours):
		return ours.status, ours.text
	case errors.As(err, &item):
		return item.Status, item.Message
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("max request size (%d bytes) exceeded", large.Limit)
	case errors.Is(err, engine.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, err.Error()
	case errors.As(err, &none):
		return http.StatusNotFound, none.Error()
	case errors.As(err, &ended):
		return http.StatusNotFound, ended.Error()
	case errors.As(err, &quota):
		return http.StatusTooManyRequests, quota.Error()
	case errors.Is(err, engine.ErrDatabaseNotFound):
		return http.StatusNotFound, "query error: " + err.Error()
	case errors.As(err, &table):
		return http.StatusBadRequest, fmt.Sprintf("Error during planning: table 'public.iox.%s' not found", table.Table)
	case errors.As(err, &fixed):
		return http.StatusBadRequest, fixed.Error()
	case errors.As(err, &user):
		return http.StatusBadRequest, user.Error()
	case errors.Is(err, engine.ErrEmptyWrite), errors.Is(err, engine.ErrInvalidDatabaseName):
		return http.StatusBadRequest, err.Error()
	case errors.As(err, &limit):
		return http.StatusUnprocessableEntity, limit.Error()
	case errors.As(err, &needs): // not 503: what the query needs, it will need again
		return http.StatusUnprocessableEntity, needs.Error()
	case errors.As(err, &slow): // not 408, which clients and proxies repeat by themselves
		return http.StatusGatewayTimeout, slow.Error()
	case errors.Is(err, engine.ErrCheckRunning):
		return http.StatusConflict, err.Error()
	case errors.Is(err, query.ErrKilled):
		return http.StatusConflict, query.ErrKilled.Error()
	case errors.As(err, &full):
		return http.StatusServiceUnavailable, full.Error()
	case errors.Is(err, engine.ErrUnavailable): // the cause names files; the log has it
		return http.StatusServiceUnavailable, engine.ErrUnavailable.Error() + "; the server's log says why"
	case errors.As(err, &busy), errors.Is(err, query.ErrClosed),
		errors.Is(err, engine.ErrOverloaded), errors.Is(err, engine.ErrTooManyDeletions),
		errors.Is(err, errStarting), errors.Is(err, errStopping), errors.Is(err, errBodiesFull), errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, err.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "the request body arrived too slowly"
	case errors.As(err, &cut):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return statusClientGone, "the client hung up"
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, err.Error()
	}
	return http.StatusInternalServerError, err.Error()
}

// errorBody is InfluxDB 3's error object.
type errorBody struct {
	Error string `json:"error"`
	Data  any    `json:"data,omitempty"`
}

// writeJSON answers with a JSON document. The client may be gone; nothing can be done then.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
