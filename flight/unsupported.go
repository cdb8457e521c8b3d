package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What changes something, and what it would need (F5).
var (
	errReadOnly       = status.Error(codes.Unimplemented, "Siltstone is read-only over Flight SQL; write line protocol to /api/v3/write_lp, /api/v2/write or /write")
	errNoTransactions = status.Error(codes.Unimplemented, "Siltstone has no transactions; each query sees one state of the data")
	errNoSubstrait    = status.Error(codes.Unimplemented, "Siltstone takes SQL, not Substrait plans")
	errNoCancel       = status.Error(codes.Unimplemented, "a query ends when its client cancels the call that reads it; KILL QUERY ends any other")
	errNoExpiry       = status.Error(codes.Unimplemented, "tickets do not expire; there is nothing to renew")
	errNoSessions     = status.Error(codes.Unimplemented, "Siltstone has no sessions; name the database in the metadata of each call, under the key 'database'")
)

func (*sqlServer) DoPutCommandStatementUpdate(context.Context, flightsql.StatementUpdate) (int64, error) {
	return 0, errReadOnly
}

func (*sqlServer) DoPutPreparedStatementUpdate(context.Context, flightsql.PreparedStatementUpdate, flight.MessageReader) (int64, error) {
	return 0, errReadOnly
}

func (*sqlServer) DoPutCommandStatementIngest(context.Context, flightsql.StatementIngest, flight.MessageReader) (int64, error) {
	return 0, errReadOnly
}

func (*sqlServer) BeginTransaction(context.Context, flightsql.ActionBeginTransactionRequest) ([]byte, error) {
	return nil, errNoTransactions
}

func (*sqlServer) BeginSavepoint(context.Context, flightsql.ActionBeginSavepointRequest) ([]byte, error) {
	return nil, errNoTransactions
}

func (*sqlServer) EndTransaction(context.Context, flightsql.ActionEndTransactionRequest) error {
	return errNoTransactions
}

func (*sqlServer) EndSavepoint(context.Context, flightsql.ActionEndSavepointRequest) error {
	return errNoTransactions
}

func (*sqlServer) GetFlightInfoSubstraitPlan(context.Context, flightsql.StatementSubstraitPlan, *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return nil, errNoSubstrait
}

func (*sqlServer) GetSchemaSubstraitPlan(context.Context, flightsql.StatementSubstraitPlan, *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	return nil, errNoSubstrait
}

func (*sqlServer) DoPutCommandSubstraitPlan(context.Context, flightsql.StatementSubstraitPlan) (int64, error) {
	return 0, errNoSubstrait
}

func (*sqlServer) CreatePreparedSubstraitPlan(context.Context, flightsql.ActionCreatePreparedSubstraitPlanRequest) (flightsql.ActionCreatePreparedStatementResult, error) {
	return flightsql.ActionCreatePreparedStatementResult{}, errNoSubstrait
}

func (*sqlServer) CancelFlightInfo(context.Context, *flight.CancelFlightInfoRequest) (flight.CancelFlightInfoResult, error) {
	return flight.CancelFlightInfoResult{}, errNoCancel
}

func (*sqlServer) RenewFlightEndpoint(context.Context, *flight.RenewFlightEndpointRequest) (*flight.FlightEndpoint, error) {
	return nil, errNoExpiry
}

func (*sqlServer) SetSessionOptions(context.Context, *flight.SetSessionOptionsRequest) (*flight.SetSessionOptionsResult, error) {
	return nil, errNoSessions
}

func (*sqlServer) GetSessionOptions(context.Context, *flight.GetSessionOptionsRequest) (*flight.GetSessionOptionsResult, error) {
	return nil, errNoSessions
}

// CloseSession answers clients that end every connection with it.
func (*sqlServer) CloseSession(context.Context, *flight.CloseSessionRequest) (*flight.CloseSessionResult, error) {
	return &flight.CloseSessionResult{Status: flight.CloseSessionResultClosed}, nil
}
