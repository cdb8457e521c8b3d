package flight

import (
	"context"
	"crypto/rand"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/siltstone-db/siltstone/query"
)

// A prepared statement is kept by the client: its handle holds the text and, once the client
// has bound them, the values. Binding returns a new handle, which clients use from then on;
// for those that do not, see bindings.

// CreatePreparedStatement plans a statement and returns its handle, and the schemas of
// its answer and of its parameters.
func (s *sqlServer) CreatePreparedStatement(ctx context.Context, req flightsql.ActionCreatePreparedStatementRequest) (result flightsql.ActionCreatePreparedStatementResult, err error) {
	if len(req.GetTransactionId()) > 0 {
		return result, errNoTransactions
	}
	database, err := databaseOf(ctx)
	if err != nil {
		return result, err
	}
	h := &handle{Database: database, SQL: req.GetQuery()}
	described, err := s.describe(ctx, h)
	if err != nil {
		return result, err
	}
	fields := make([]arrow.Field, len(described.Params))
	for i, p := range described.Params {
		h.Params = append(h.Params, p.Name)
		fields[i] = arrow.Field{Name: "$" + p.Name, Type: wireType(p.Type), Nullable: true}
	}
	result.DatasetSchema, result.ParameterSchema = query.ArrowSchema(described.Schema), arrow.NewSchema(fields, nil)
	if len(h.Params) > 0 {
		h.ID = rand.Text()
	}
	result.IsUpdate = new(false)
	result.Handle, err = h.encode()
	return result, err
}

// wireType is the type of a parameter as clients are told. Arrow's JDBC driver sends times in
// milliseconds whatever unit it is told; others send times as they have them.
func wireType(t arrow.DataType) arrow.DataType {
	if t.ID() == arrow.TIMESTAMP {
		return &arrow.TimestampType{Unit: arrow.Millisecond}
	}
	return t
}

// DoPutPreparedStatementQuery binds the parameters of a prepared statement.
func (s *sqlServer) DoPutPreparedStatementQuery(ctx context.Context, cmd flightsql.PreparedStatementQuery, reader flight.MessageReader, _ flight.MetadataWriter) ([]byte, error) {
	h, err := s.handle(ctx, cmd)
	if err != nil {
		return nil, err
	}
	if h.Bound, err = readParams(reader, h.Params); err != nil {
		return nil, err
	}
	s.bound.put(h.ID, h.Bound)
	return h.encode()
}

// GetFlightInfoPreparedStatement returns a ticket that holds the statement and its values.
func (s *sqlServer) GetFlightInfoPreparedStatement(ctx context.Context, cmd flightsql.PreparedStatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	h, err := s.handle(ctx, cmd)
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
	return newInfo(d, ticket), nil
}

// GetSchemaPreparedStatement returns the schema of a prepared statement's answer.
func (s *sqlServer) GetSchemaPreparedStatement(ctx context.Context, cmd flightsql.PreparedStatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	h, err := s.handle(ctx, cmd)
	if err != nil {
		return nil, err
	}
	described, err := s.describe(ctx, h)
	if err != nil {
		return nil, err
	}
	return schemaResult(described.Schema), nil
}

// ClosePreparedStatement forgets the values that were bound.
func (s *sqlServer) ClosePreparedStatement(_ context.Context, req flightsql.ActionClosePreparedStatementRequest) error {
	h, err := decodeHandle(req.GetPreparedStatementHandle())
	if err != nil {
		return err
	}
	s.bound.drop(h.ID)
	return nil
}

// handle returns the handle in a command, if the caller may read its database.
func (s *sqlServer) handle(ctx context.Context, cmd flightsql.PreparedStatementQuery) (*handle, error) {
	h, err := decodeHandle(cmd.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	if h.Bound == nil {
		h.Bound = s.bound.get(h.ID)
	}
	return h, requireRead(ctx, h.Database)
}
