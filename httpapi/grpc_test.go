package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// grpcEcho stands for the gRPC library: it reads what it is sent, and names the sender.
var grpcEcho = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		n = -1
	}
	id := auth.IdentityOf(r.Context())
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Sender", id.Name)
	if n < 0 {
		w.Header().Set("Grpc-Message", "too large")
	}
	w.Header().Set("Grpc-Status", "0")
})

// grpcSite is a server that speaks all that HTTPServer does, and a client's connection.
type grpcSite struct {
	*site
	transport *http.Transport
}

// call sends a gRPC request over HTTP/2 without TLS.
func (s *grpcSite) call(body []byte, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/x.Y/Z", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc+proto")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

func (a answer) hasCode(t *testing.T, code, message string) {
	t.Helper()
	if a.StatusCode != http.StatusOK || a.Header.Get("Grpc-Status") != code || message != "" && a.Header.Get("Grpc-Message") != message {
		t.Errorf("answered %d, code %q, %q; want code %q, %q", a.StatusCode, a.Header.Get("Grpc-Status"), a.Header.Get("Grpc-Message"), code, message)
	}
}

func newGRPCSite(t *testing.T, opts Options, ready bool) *grpcSite {
	t.Helper()
	opts.OpenWithoutTokens = true
	api, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if ready {
		setReady(t, api)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, ended := api.HTTPServer(), make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(listener)
	}()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
		transport.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
	})
	return &grpcSite{&site{t: t, api: api, url: "http://" + listener.Addr().String()}, transport}
}

func TestGRPCIsAdmittedLikeHTTP(t *testing.T) {
	s := newGRPCSite(t, Options{GRPC: grpcEcho, MaxRequestBytes: 1000}, true)
	s.call(nil).hasCode(t, "0", "")
	s.call(nil, "Origin", "https://evil.example").hasCode(t, "7", "")
	s.call(make([]byte, 1000)).hasCode(t, "0", "")
	s.call(make([]byte, 1001)).hasCode(t, "0", "too large")

	s.addToken(schema.Token{Name: "_admin", Admin: true}, "secret")
	s.call(nil).hasCode(t, "16", "the request was not authenticated")
	s.call(nil, "Authorization", "Bearer wrong").hasCode(t, "16", "the request was not authenticated")
	s.call(nil, "Authorization", "Digest x").hasCode(t, "16", "")
	a := s.call(nil, "Authorization", "Bearer secret")
	a.hasCode(t, "0", "")
	if got := a.Header.Get("Sender"); got != "_admin" {
		t.Errorf("the sender is %q", got)
	}
	s.api.SetStopping()
	s.call(nil, "Authorization", "Bearer secret").hasCode(t, "14", "siltstone is stopping")
}

// TestGRPCBodiesCountAgainstTheBoundOfAll: they are read ahead of whoever wants them.
func TestGRPCBodiesCountAgainstTheBoundOfAll(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Message", fmt.Sprint(err))
		w.Header().Set("Grpc-Status", "0")
	})
	s := newGRPCSite(t, Options{GRPC: echo, MaxRequestBytes: 10_000, MaxBufferedBytes: 10_000}, true)
	for range 3 { // what one call held is given back
		s.call(make([]byte, 10_000)).hasCode(t, "0", "<nil>")
	}
	s.api.bodies.buffered.Add(1)
	s.call(make([]byte, 10_000)).hasCode(t, "0", errBodiesFull.Error())
	s.call(make([]byte, 9_999)).hasCode(t, "0", "<nil>")
}

func TestGRPCWaitsForRecovery(t *testing.T) {
	newGRPCSite(t, Options{GRPC: grpcEcho}, false).call(nil).hasCode(t, "14", "siltstone is starting; retry soon")
}

func TestGRPCIsRefusedWhereNothingAnswersIt(t *testing.T) {
	newGRPCSite(t, Options{}, true).call(nil).hasCode(t, "12", "")
}

// What only looks like gRPC is HTTP.
func TestGRPCNeedsHTTP2(t *testing.T) {
	s := newGRPCSite(t, Options{GRPC: grpcEcho}, true)
	if a := s.post("/x.Y/Z", "", "Content-Type", "application/grpc"); a.StatusCode != http.StatusNotFound {
		t.Errorf("answered %d", a.StatusCode)
	}
}
