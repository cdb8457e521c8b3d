package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// serveTLSFlags are the part of the command line that has the server speak TLS.
type serveTLSFlags struct {
	TLSCert string `name:"tls-cert" group:"Access:" help:"Certificate of the server, with those of its issuers behind it, in PEM; with --tls-key the server speaks TLS and nothing else. A renewed file is noticed without a restart." env:"SILTSTONE_TLS_CERT,INFLUXDB3_TLS_CERT" placeholder:"FILE"`
	TLSKey  string `name:"tls-key" group:"Access:" help:"Private key of the certificate, in PEM." env:"SILTSTONE_TLS_KEY,INFLUXDB3_TLS_KEY" placeholder:"FILE"`
	TLSMin  string `name:"tls-minimum-version" group:"Access:" help:"Oldest version of TLS that clients may speak: tls-1.2 or tls-1.3. Default: ${default}." enum:"tls-1.2,tls-1.3" default:"tls-1.2" env:"SILTSTONE_TLS_MINIMUM_VERSION,INFLUXDB3_TLS_MINIMUM_VERSION" placeholder:"VERSION"`
}

// isOn reports whether the server speaks TLS.
func (f *serveTLSFlags) isOn() bool { return f.TLSCert != "" || f.TLSKey != "" }

// scheme is that of the server's URLs.
func (f *serveTLSFlags) scheme() string {
	if f.isOn() {
		return "https"
	}
	return "http"
}

// config returns what a listener needs, nil without TLS. The protocols to offer are net/http's
// business.
func (f *serveTLSFlags) config(log *slog.Logger) (*tls.Config, error) {
	if !f.isOn() {
		return nil, nil
	}
	if f.TLSCert == "" || f.TLSKey == "" {
		return nil, errors.New("--tls-cert and --tls-key go together; one of them is missing")
	}
	c := &certificate{certFile: f.TLSCert, keyFile: f.TLSKey, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("--tls-cert %s and --tls-key %s: %w", f.TLSCert, f.TLSKey, err)
	}
	oldest := uint16(tls.VersionTLS12)
	if f.TLSMin == "tls-1.3" {
		oldest = tls.VersionTLS13
	}
	return &tls.Config{MinVersion: oldest, GetCertificate: c.get}, nil
}

// certificate is read again when its files change, so that it can be renewed under a running
// server. Whoever renews it writes two files, one after the other; as long as they do not
// fit each other, the old ones are used.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu struct {
		sync.Mutex
		pair    *tls.Certificate
		version [2]fileVersion // of what is in pair, or could not be loaded
	}
}

// fileVersion tells one state of a file from another.
type fileVersion struct {
	modified time.Time
	size     int64
}

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if err := c.load(); err != nil {
		c.log.Warn("the renewed certificate is not usable; the one before stays in use", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.pair, nil
}

// load reads the files if they changed since the last time.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var version [2]fileVersion
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			if c.mu.pair != nil { // it is being replaced
				return nil
			}
			return err
		}
		version[i] = fileVersion{info.ModTime(), info.Size()}
	}
	if version == c.mu.version {
		return nil
	}
	c.mu.version = version
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.mu.pair = &pair
	return nil
}
