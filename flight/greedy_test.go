package flight_test

import (
	"context"
	"encoding/json"
	"testing"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/siltstone-db/siltstone/flight"
)

// Decoding such parameters would end the process, not only the call.
func TestBindingSurvivesAHeaderThatClaimsTooMuch(t *testing.T) {
	s := newSite(t)
	s.write("db", "m v=1 1")
	handle, err := json.Marshal(map[string]any{"database": "db", "sql": "SELECT $x", "params": []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	command, err := anypb.New(&pb.CommandPreparedStatementQuery{PreparedStatementHandle: handle})
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := proto.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	descriptor := &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: cmd}
	for name, messages := range map[string][]*arrowflight.FlightData{
		"with the descriptor": {{FlightDescriptor: descriptor, DataHeader: flight.GreedyHeader(t)}},
		"behind it":           {{FlightDescriptor: descriptor}, {DataHeader: flight.GreedyHeader(t)}},
	} {
		ctx, cancel := context.WithCancel(in("db"))
		put, err := s.client().DoPut(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if err := put.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		_, err = put.Recv()
		t.Log(name)
		refused(t, err, codes.InvalidArgument, "malformed")
		cancel()
	}
}
