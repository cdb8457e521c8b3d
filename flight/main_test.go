package flight_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/flight"
	"github.com/siltstone-db/siltstone/httpapi"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server as the product runs it: HTTP and gRPC on one port.
type site struct {
	t        testing.TB
	addr     string
	engine   *engine.Engine
	querier  *query.Querier
	registry *prometheus.Registry
}

// newSite starts a server over an empty data directory; without tokens it is open.
func newSite(t testing.TB, change ...func(*query.Options)) *site {
	t.Helper()
	return newSiteBehind(t, httpapi.Options{}, change...)
}

// newSiteBehind is newSite with options of what is in front of gRPC.
func newSiteBehind(t testing.TB, front httpapi.Options, change ...func(*query.Options)) *site {
	t.Helper()
	s := &site{t: t, registry: prometheus.NewRegistry()}
	dir := t.TempDir()
	var err error
	if s.engine, err = engine.Open(engine.Options{DataDir: dir, PoolBytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	opts := query.Options{View: s.engine.View, Schema: s.engine.Schema, Tokens: s.engine.Tokens, DataDir: dir, TempDir: dir}
	for _, f := range change {
		f(&opts)
	}
	if s.querier, err = query.Open(opts); err != nil {
		t.Fatal(err)
	}
	calls := flight.New(flight.Options{Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: s.registry})
	front.OpenWithoutTokens, front.GRPC, front.Registry = true, calls.GRPC(), s.registry
	api, err := httpapi.New(front)
	if err != nil {
		t.Fatal(err)
	}
	calls.SetReady(s.engine, s.querier)
	api.SetReady(s.engine, s.querier)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	server, ended := api.HTTPServer(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
		if err := s.querier.Close(); err != nil {
			t.Error(err)
		}
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// write stores lines in a database.
func (s *site) write(database string, lines ...string) {
	s.t.Helper()
	_, err := s.engine.Write(context.Background(), engine.WriteRequest{Database: database, Precision: lineprotocol.Nanosecond, Body: []byte(strings.Join(lines, "\n"))})
	if err != nil {
		s.t.Fatal(err)
	}
}

// client connects to the server; options are added to those of an h2c client.
func (s *site) client(options ...grpc.DialOption) arrowflight.Client {
	s.t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	c, err := arrowflight.NewClientWithMiddleware(s.addr, nil, nil, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// sql is a client of Flight SQL.
func (s *site) sql(options ...grpc.DialOption) *flightsql.Client {
	s.t.Helper()
	return &flightsql.Client{Client: s.client(options...)}
}

// in is a context whose metadata name a database.
func in(database string, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), append([]string{"database", database}, pairs...)...)
}

// read reads a result to its end: its schema, and its values as text, a line a row.
func read(ctx context.Context, c arrowflight.Client, ticket []byte) (schema *arrow.Schema, lines string, err error) {
	stream, err := c.DoGet(ctx, &arrowflight.Ticket{Ticket: ticket})
	if err != nil {
		return nil, "", err
	}
	reader, err := arrowflight.NewRecordReader(stream)
	if err != nil {
		return nil, "", err
	}
	defer reader.Release()
	return reader.Schema(), text(reader), reader.Err()
}

// text writes records down, a line a row.
func text(reader array.RecordReader) string {
	var b strings.Builder
	for reader.Next() {
		record := reader.RecordBatch()
		for row := range int(record.NumRows()) {
			for i, column := range record.Columns() {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(column.ValueStr(row))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// refused checks the code and a part of the text of an error.
func refused(t *testing.T, err error, code codes.Code, part string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), part) {
		t.Errorf("the answer is %v %q; want %v and %q", st.Code(), st.Message(), code, part)
	}
}
