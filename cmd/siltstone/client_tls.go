package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync"
)

// clientTLSFlags say which servers a client trusts.
type clientTLSFlags struct {
	TLSCA       string `name:"tls-ca" help:"Certificates, in PEM, of issuers that are trusted besides the system's, for an https:// host." env:"SILTSTONE_TLS_CA,INFLUXDB3_TLS_CA" placeholder:"FILE"`
	TLSNoVerify bool   `name:"tls-no-verify" help:"Trust any certificate. Who listens on the way can then read the token and the data." env:"SILTSTONE_TLS_NO_VERIFY,INFLUXDB3_TLS_NO_VERIFY"`
}

// tlsClients are the clients of this process; each keeps connections of its own.
var tlsClients struct {
	sync.Mutex
	byFlags map[clientTLSFlags]*http.Client
}

// client returns the HTTP client for the flags.
func (f clientTLSFlags) client() (*http.Client, error) {
	if f == (clientTLSFlags{}) {
		return http.DefaultClient, nil
	}
	tlsClients.Lock()
	defer tlsClients.Unlock()
	if c, ok := tlsClients.byFlags[f]; ok {
		return c, nil
	}
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	if tlsClients.byFlags == nil {
		tlsClients.byFlags = make(map[clientTLSFlags]*http.Client)
	}
	c := &http.Client{Transport: transport}
	tlsClients.byFlags[f] = c
	return c, nil
}

func (f clientTLSFlags) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.TLSNoVerify}
	if f.TLSCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca: there is no certificate in %s; a certificate begins with -----BEGIN CERTIFICATE-----", f.TLSCA)
	}
	return config, nil
}
