package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// newCertificate writes a certificate for 127.0.0.1 that vouches for itself, and its key.
func newCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "siltstone test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// dialTLS connects and returns what was agreed.
func dialTLS(t *testing.T, host string, newest uint16, protocols ...string) (tls.ConnectionState, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(host, "https://"), &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: newest, NextProtos: protocols,
	})
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	newCertificate(t, cert, key, 1)
	p := serve(t, "--object-store", "memory", "--tls-cert", cert, "--tls-key", key, "--tls-minimum-version", "tls-1.3")
	p.host = strings.Replace(p.host, "http://", "https://", 1)

	trusting := []string{"--host", p.host, "-d", "db", "--tls-ca", cert}
	if r := finish(t, siltstone(t, append([]string{"write", "--precision", "ns"}, trusting...)...), "cpu,host=a v=1 1\n"); r.code != 0 {
		t.Fatalf("write: %+v", r)
	}
	const query = "SELECT host, v FROM cpu"
	if r := finish(t, siltstone(t, append([]string{"query", query}, trusting...)...), ""); r.out != "host,v\na,1.0\n" {
		t.Errorf("with the certificate: %+v", r)
	}
	if r := finish(t, siltstone(t, "query", query, "--host", p.host, "-d", "db", "--tls-no-verify"), ""); r.out != "host,v\na,1.0\n" {
		t.Errorf("without a check: %+v", r)
	}
	if r := finish(t, siltstone(t, "query", query, "--host", p.host, "-d", "db"), ""); r.code != 1 || !strings.Contains(r.errors, "--tls-ca FILE") {
		t.Errorf("without the certificate: %+v", r)
	}

	if rows := flightRows(t, p.host, cert); rows != 1 {
		t.Errorf("Flight answers %d rows", rows)
	}
	for _, protocols := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}, {"h2"}} {
		if state, err := dialTLS(t, p.host, tls.VersionTLS13, protocols...); err != nil || state.NegotiatedProtocol != protocols[0] {
			t.Errorf("of %v the server takes %q, %v", protocols, state.NegotiatedProtocol, err)
		}
	}
	if _, err := dialTLS(t, p.host, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is taken")
	}

	newCertificate(t, cert, key, 2)
	state, err := dialTLS(t, p.host, tls.VersionTLS13)
	if err != nil || state.PeerCertificates[0].SerialNumber.Int64() != 2 {
		t.Errorf("the renewed certificate is not in use: %v", err)
	}
	if err := os.WriteFile(cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	if state, err = dialTLS(t, p.host, tls.VersionTLS13); err != nil || state.PeerCertificates[0].SerialNumber.Int64() != 2 {
		t.Errorf("a broken file ends TLS: %v", err)
	}
	p.end(syscall.SIGTERM)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.log)
	}
}

// flightRows counts the rows of a query by Flight over TLS.
func flightRows(t *testing.T, host, ca string) (rows int64) {
	t.Helper()
	creds, err := credentials.NewClientTLSFromFile(ca, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := arrowflight.NewClientWithMiddleware(strings.TrimPrefix(host, "https://"), nil, nil, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := c.DoGet(ctx, &arrowflight.Ticket{Ticket: []byte(`{"database":"db","sql_query":"SELECT * FROM cpu"}`)})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := arrowflight.NewRecordReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	for reader.Next() {
		rows += reader.RecordBatch().NumRows()
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTLSFlagsSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	other, otherKey := filepath.Join(dir, "b.crt"), filepath.Join(dir, "b.key")
	newCertificate(t, cert, key, 1)
	newCertificate(t, other, otherKey, 2)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", cert}, "--tls-cert and --tls-key go together"},
		{[]string{"--tls-cert", cert, "--tls-key", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--tls-cert", cert, "--tls-key", otherKey}, "does not match"},
		{[]string{"--tls-cert", cert, "--tls-key", key, "--tls-minimum-version", "tls-1.0"}, "tls-1.2"},
	} {
		args := slices.Concat([]string{"serve", "--object-store", "memory", "--http-bind", "127.0.0.1:0"}, test.args)
		if r := finish(t, siltstone(t, args...), ""); r.code == 0 || !strings.Contains(r.errors, test.want) {
			t.Errorf("%v: %+v", test.args, r)
		}
	}
	if r := finish(t, siltstone(t, "query", "SELECT 1", "-d", "db", "--host", "https://127.0.0.1:1", "--tls-ca", key), ""); r.code != 1 || !strings.Contains(r.errors, "no certificate") {
		t.Errorf("%+v", r)
	}
}
