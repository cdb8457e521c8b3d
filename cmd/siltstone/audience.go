package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/auth"
)

// audience is whom a server answers.
type audience uint8

const (
	tokenHolders audience = iota
	thisMachine           // everybody on it, as long as there is no token
	everybody             // as --without-auth says
)

// audienceOf decides whom a server answers that listens on an address and has the given
// tokens. It refuses to leave a server open that others can reach. Tokens without an admin's
// among them are not enough there: until there is one, anybody may make it.
func audienceOf(address net.Addr, withoutAuth bool, tokens *auth.Index) (audience, error) {
	switch {
	case withoutAuth:
		return everybody, nil
	case tokens.HasAdmin():
		return tokenHolders, nil
	case isLoopback(address) && tokens.IsEmpty():
		return thisMachine, nil
	case isLoopback(address):
		return tokenHolders, nil
	}
	return 0, fmt.Errorf(`other machines can reach %s, and there is no admin token yet that would keep them out. Do one of these:
  --http-bind 127.0.0.1:8181   and only this machine reaches the server; siltstone create token --admin then makes a token
  --admin-token-file FILE      and the token in the file is the first; siltstone create token --admin --output-file FILE makes such a file
  --without-auth               and everybody may do everything; for a port that your network protects`, address)
}

// isLoopback reports whether only this machine reaches an address in use.
func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// announce says once what an administrator should know about it.
func (a audience) announce(log *slog.Logger, url string) {
	switch a {
	case everybody:
		log.Warn("started without authentication: everybody who reaches the address may read, write and delete everything", "url", url)
	case thisMachine:
		log.Warn("there is no token yet: everybody on this machine may read, write and delete everything until there is one",
			"make_one_with", "siltstone create token --admin --host "+url)
	case tokenHolders:
	}
}

// door keeps everybody out until the server knows whom it answers; only then may probes
// and metrics be seen, too.
type door struct {
	http.Handler
	isOpen atomic.Bool
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.isOpen.Load() {
		d.Handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"error":"the server is starting"}`))
}
