package flight

import (
	"context"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/query"
)

// DoGet implements flight.FlightServer: it sends what a ticket asks for.
func (v *service) DoGet(raw *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	if isJSON(raw.GetTicket()) {
		t, err := parseTicket(raw.GetTicket())
		if err != nil {
			return err
		}
		return v.server.answer(stream, t, "flight")
	}
	h, ok, err := statementOf(raw.GetTicket())
	if err != nil {
		return err
	}
	if !ok {
		return v.FlightServer.DoGet(raw, stream)
	}
	t, err := h.ticket()
	if err != nil {
		return err
	}
	return v.server.answer(stream, t, protocolSQL)
}

// statementOf returns the statement in a ticket of Flight SQL; ok is false for one that asks
// for metadata, or for nothing that makes sense.
func statementOf(raw []byte) (h *handle, ok bool, err error) {
	var command anypb.Any
	if proto.Unmarshal(raw, &command) != nil {
		return nil, false, nil
	}
	var (
		statement pb.TicketStatementQuery
		prepared  pb.CommandPreparedStatementQuery
	)
	switch {
	case command.MessageIs(&statement):
		if err := command.UnmarshalTo(&statement); err != nil {
			return nil, false, invalid("invalid ticket: %v", err)
		}
		h, err = decodeHandle(statement.GetStatementHandle())
	case command.MessageIs(&prepared):
		if err := command.UnmarshalTo(&prepared); err != nil {
			return nil, false, invalid("invalid ticket: %v", err)
		}
		h, err = decodeHandle(prepared.GetPreparedStatementHandle())
	default:
		return nil, false, nil
	}
	return h, true, err
}

// answer runs a ticket's query and sends its rows.
func (s *Server) answer(stream flight.FlightService_DoGetServer, t *ticket, protocol string) error {
	rows, err := s.run(stream.Context(), t, protocol)
	if err != nil {
		return err
	}
	defer rows.Close() // also when the client is gone, and the query with it (F2)
	return send(stream, rows)
}

// run starts a ticket's query. The caller must close the rows.
func (s *Server) run(ctx context.Context, t *ticket, protocol string) (query.Rows, error) {
	b, err := s.admit(ctx, t)
	if err != nil {
		return nil, err
	}
	s.opts.Logger.Debug("flight query", slog.String("database", t.Database), slog.String("language", t.Language), slog.String("text", t.Text))
	origin := originOf(ctx, protocol)
	if t.Language == languageInfluxQL {
		return runInfluxQL(ctx, b, t, origin)
	}
	return asRows(b.querier.Query(ctx, query.Request{Database: t.Database, SQL: t.Text, Params: t.Params, Origin: origin}))
}

func originOf(ctx context.Context, protocol string) query.Origin {
	id := auth.IdentityOf(ctx)
	return query.Origin{Protocol: protocol, Token: id.Name, Admin: id.Admin}
}

// admit completes a ticket with the metadata's database, and returns what to run it on if
// the caller may.
func (s *Server) admit(ctx context.Context, t *ticket) (*backend, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	if t.Database == "" {
		if t.Database, err = databaseOf(ctx); err != nil {
			return nil, err
		}
	}
	return b, requireRead(ctx, t.Database)
}

// runInfluxQL starts the one statement of a text.
func runInfluxQL(ctx context.Context, b *backend, t *ticket, origin query.Origin) (query.Rows, error) {
	statements, err := influxql.Parse(t.Text, t.Params)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if len(statements) != 1 {
		return nil, invalid("must provide only one InfluxQl statement per query")
	}
	if statements[0].Command(time.Now()) != nil {
		return nil, invalid("%s changes something; over Flight, statements only read", statements[0].Text())
	}
	return asRows(b.querier.InfluxQL(ctx, query.InfluxQLRequest{
		Database: t.Database, Statement: statements[0], MayRead: auth.IdentityOf(ctx).MayRead, Origin: origin,
	}))
}

// asRows makes an interface of a result, and none of a nil pointer.
func asRows[R query.Rows](rows R, err error) (query.Rows, error) {
	if err != nil {
		return nil, err
	}
	return rows, nil
}
