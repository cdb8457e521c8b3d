package flight

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/siltstone-db/siltstone/auth"
)

// Handshake answers clients that log in with a user and password: the password is the token,
// and goes back as the header that they are to send with each call. Whether it is a good
// one was decided before.
func (v *service) Handshake(stream flight.FlightService_HandshakeServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if values := md.Get("authorization"); len(values) == 1 {
		token, err := auth.ParseHeader(values[0])
		if err == nil && token != "" {
			if err := grpc.SetHeader(stream.Context(), metadata.Pairs("authorization", "Bearer "+token)); err != nil {
				return err
			}
		}
	}
	request, err := stream.Recv()
	if errors.Is(err, io.EOF) { // some clients send no payload
		return nil
	}
	if err != nil {
		return err
	}
	return stream.Send(&flight.HandshakeResponse{ProtocolVersion: request.GetProtocolVersion(), Payload: request.GetPayload()})
}

// ListActions names the actions that are answered.
func (*service) ListActions(_ *flight.Empty, stream flight.FlightService_ListActionsServer) error {
	for _, a := range []*flight.ActionType{
		{Type: flightsql.CreatePreparedStatementActionType, Description: "Plans a query whose parameters are bound later."},
		{Type: flightsql.ClosePreparedStatementActionType, Description: "Ends the use of a prepared statement."},
		{Type: flight.CloseSessionActionType, Description: "Ends the use of a connection."},
	} {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

// DoPut implements flight.FlightServer: it binds parameters.
func (v *service) DoPut(stream flight.FlightService_DoPutServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetFlightDescriptor() == nil { // of which the decoder is sure
		return invalid("the first message of DoPut has no flight descriptor")
	}
	if err := checkHeader(first.GetDataHeader()); err != nil {
		return invalid("%v", err)
	}
	bounded := flightsql.NewFlightServerWithAllocator(v.sql, &budget{Allocator: memory.DefaultAllocator, bytes: maxParamBytes})
	return bounded.DoPut(&peekedStream{FlightService_DoPutServer: stream, first: first})
}

// peekedStream is a stream whose first message was read and checked already.
type peekedStream struct {
	flight.FlightService_DoPutServer
	first *flight.FlightData
}

// Recv returns the next message, whose header is one that can be decoded.
func (p *peekedStream) Recv() (*flight.FlightData, error) {
	if first := p.first; first != nil {
		p.first = nil
		return first, nil
	}
	next, err := p.FlightService_DoPutServer.Recv()
	if err != nil {
		return nil, err
	}
	return next, checkHeader(next.GetDataHeader())
}

// maxParamBytes bounds the memory for the parameters of a call. A compressed message may
// say that it unpacks to any size.
const maxParamBytes = 4 * maxRequestBytes

// budget is an allocator for one call that ends it when it asks for too much. The Arrow
// library returns the panic as an error.
type budget struct {
	memory.Allocator
	bytes int
}

// Allocate implements memory.Allocator.
func (b *budget) Allocate(size int) []byte {
	b.spend(size)
	return b.Allocator.Allocate(size)
}

// Reallocate implements memory.Allocator.
func (b *budget) Reallocate(size int, old []byte) []byte {
	b.spend(size - len(old))
	return b.Allocator.Reallocate(size, old)
}

func (b *budget) spend(size int) {
	if b.bytes -= size; b.bytes < 0 || size > maxParamBytes {
		panic(fmt.Errorf("the parameters need more than %d bytes", maxParamBytes))
	}
}
