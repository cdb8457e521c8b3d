package flight

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/query"
)

// errStarting: the data directory is still being recovered.
var errStarting = status.Error(codes.Unavailable, "siltstone is starting; retry soon")

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// requireRead returns an error unless the caller may query a database (F3).
func requireRead(ctx context.Context, database string) error {
	id := auth.IdentityOf(ctx)
	if id.MayRead(database) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "token %q has no read permission for database %q", id.Name, database)
}

// statusOf chooses the code of an error, and the text for the client. It is the only place
// that does, but for errors that this package found itself, which have theirs.
func statusOf(err error) *status.Status {
	var (
		user  *query.UserError
		needs *query.ResourceError
		slow  *query.TimeoutError
		busy  *query.BusyError
		table *engine.TableNotFoundError
		file  *engine.FileError
	)
	if st, ok := status.FromError(err); ok { // also when err is nil
		return st
	}
	if st := influxQLStatus(err); st != nil {
		return st
	}
	switch {
	case errors.As(err, &user):
		return status.New(codes.InvalidArgument, user.Error())
	case errors.Is(err, engine.ErrDatabaseNotFound):
		return status.New(codes.NotFound, noDatabase+err.Error())
	case errors.As(err, &table):
		return status.New(codes.InvalidArgument, fmt.Sprintf("Error during planning: table 'public.iox.%s' not found", table.Table))
	case errors.As(err, &needs):
		return status.New(codes.ResourceExhausted, needs.Error())
	case errors.As(err, &slow):
		return status.New(codes.DeadlineExceeded, slow.Error())
	case errors.As(err, &busy):
		return status.New(codes.Unavailable, busy.Error())
	case errors.As(err, &file): // not Internal, which hides what it is
		return status.New(codes.DataLoss, file.Error())
	case errors.Is(err, query.ErrKilled):
		return status.New(codes.Aborted, query.ErrKilled.Error())
	case errors.Is(err, query.ErrClosed):
		return status.New(codes.Unavailable, "siltstone is stopping")
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	}
	return status.New(codes.Internal, err.Error())
}

// influxQLStatus is statusOf for the errors of package influxql; nil is for all others.
func influxQLStatus(err error) *status.Status {
	var (
		syntax    *influxql.SyntaxError
		statement *influxql.StatementError
		forbidden *influxql.ForbiddenError
		missing   *influxql.DatabaseNotFoundError
	)
	switch {
	case errors.As(err, &forbidden):
		return status.New(codes.PermissionDenied, forbidden.Error())
	case errors.As(err, &missing):
		return status.New(codes.NotFound, noDatabase+missing.Error())
	case errors.As(err, &syntax):
		return status.New(codes.InvalidArgument, syntax.Error())
	case errors.As(err, &statement):
		return status.New(codes.InvalidArgument, statement.Error())
	}
	return nil
}

// noDatabase is how InfluxDB 3 begins to say that there is none of a name.
const noDatabase = "Cannot retrieve database: External error: "
