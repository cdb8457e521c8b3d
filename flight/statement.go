package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/query"
)

// protocolSQL is what the log of queries says of those that come by Flight SQL.
const protocolSQL = "flight sql"

// GetFlightInfoStatement plans a query, so that what is wrong with it is known at once, and
// returns a ticket that holds all of it.
func (s *sqlServer) GetFlightInfoStatement(ctx context.Context, cmd flightsql.StatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	h, described, err := s.planStatement(ctx, cmd.GetQuery(), cmd.GetTransactionId())
	if err != nil {
		return nil, err
	}
	handle, err := h.encode()
	if err != nil {
		return nil, err
	}
	ticket, err := flightsql.CreateStatementQueryTicket(handle)
	if err != nil {
		return nil, err
	}
	info := newInfo(d, ticket)
	if described.Exact { // a client may refuse an answer with another schema
		info.Schema = flight.SerializeSchema(query.ArrowSchema(described.Schema), memory.DefaultAllocator)
	}
	return info, nil
}

// GetSchemaStatement returns the schema of a query's answer.
func (s *sqlServer) GetSchemaStatement(ctx context.Context, cmd flightsql.StatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	_, described, err := s.planStatement(ctx, cmd.GetQuery(), cmd.GetTransactionId())
	if err != nil {
		return nil, err
	}
	return schemaResult(described.Schema), nil
}

// planStatement plans a query that has all values.
func (s *sqlServer) planStatement(ctx context.Context, text string, transaction []byte) (*handle, *query.Description, error) {
	if len(transaction) > 0 {
		return nil, nil, errNoTransactions
	}
	database, err := databaseOf(ctx)
	if err != nil {
		return nil, nil, err
	}
	h := &handle{Database: database, SQL: text}
	described, err := s.describe(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	if len(described.Params) > 0 {
		return nil, nil, invalid("No value found for placeholder with name $%s; prepare the statement, and bind its parameters", described.Params[0].Name)
	}
	return h, described, nil
}

// describe plans what a handle holds, without running it.
func (s *Server) describe(ctx context.Context, h *handle) (*query.Description, error) {
	t, err := h.ticket()
	if err != nil {
		return nil, err
	}
	b, err := s.admit(ctx, t)
	if err != nil {
		return nil, err
	}
	return b.querier.Describe(ctx, query.Request{Database: t.Database, SQL: t.Text, Params: t.Params})
}

// newInfo says that a ticket is all of an answer, to be redeemed on the same connection.
func newInfo(d *flight.FlightDescriptor, ticket []byte) *flight.FlightInfo {
	return &flight.FlightInfo{
		FlightDescriptor: d,
		Endpoint:         []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: ticket}}},
		TotalRecords:     -1, // not known
		TotalBytes:       -1,
	}
}

func schemaResult(schema *arrow.Schema) *flight.SchemaResult {
	return &flight.SchemaResult{Schema: flight.SerializeSchema(query.ArrowSchema(schema), memory.DefaultAllocator)}
}
