package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

func TestEveryErrorHasItsStatus(t *testing.T) {
	cases := []struct {
		err    error
		status int
		text   string // empty where it is not for the client
	}{
		{badRequest("bad %d", 1), 400, "bad 1"},
		{engine.ErrEmptyWrite, 400, "incoming write was empty"},
		{engine.ValidateDatabaseName(""), 400, "db name cannot be empty"},
		{&engine.TableNotFoundError{Table: "cpu"}, 400, "Error during planning: table 'public.iox.cpu' not found"},
		{&query.UserError{Message: "Error during planning: no"}, 400, "Error during planning: no"},
		{&transportError{io.ErrUnexpectedEOF}, 400, "unexpected EOF"},
		{fmt.Errorf("%w: foo", engine.ErrDatabaseNotFound), 404, "query error: database not found: foo"},
		{&transportError{os.ErrDeadlineExceeded}, 408, "the request body arrived too slowly"},
		{&http.MaxBytesError{Limit: 10}, 413, "max request size (10 bytes) exceeded"},
		{&engine.LimitError{Kind: catalog.LimitDatabases, Limit: 5}, 422, "Adding a new database would exceed limit of 5 databases"},
		{engine.ErrTooLarge, 413, engine.ErrTooLarge.Error()},
		{context.Canceled, 499, "the client hung up"},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, 499, "the client hung up"},
		{errors.New("disk on fire"), 500, ""},
		{engine.ErrOverloaded, 503, engine.ErrOverloaded.Error()},
		{fmt.Errorf("%w: /secret/path", engine.ErrUnavailable), 503, engine.ErrUnavailable.Error() + "; the server's log says why"},
		{&query.ResourceError{Message: "out of memory"}, 422, "out of memory"},
		{&query.TimeoutError{After: time.Second}, 504, (&query.TimeoutError{After: time.Second}).Error()},
		{&query.BusyError{Running: 8, Waiting: 9}, 503, (&query.BusyError{Running: 8, Waiting: 9}).Error()},
		{query.ErrKilled, 409, query.ErrKilled.Error()},
		{query.ErrClosed, 503, query.ErrClosed.Error()},
		{errStarting, 503, errStarting.Error()},
		{errStopping, 503, errStopping.Error()},
		{errBodiesFull, 503, errBodiesFull.Error()},
		{context.DeadlineExceeded, 504, context.DeadlineExceeded.Error()},
	}
	for _, c := range cases {
		status, text := statusOf(c.err)
		if status != c.status || (c.text != "" && text != c.text) {
			t.Errorf("%T %v: %d %q, want %d %q", c.err, c.err, status, text, c.status, c.text)
		}
		wrapped, _ := statusOf(fmt.Errorf("somewhere: %w", c.err))
		if wrapped != c.status {
			t.Errorf("%T %v: %d when wrapped, want %d", c.err, c.err, wrapped, c.status)
		}
	}
}
