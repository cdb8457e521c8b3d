package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// identityOf returns who sent a request. Every request that reaches a handler has an
// identity.
func identityOf(r *http.Request) *auth.Identity { return auth.IdentityOf(r.Context()) }

func withIdentity(r *http.Request, id *auth.Identity) *http.Request {
	return r.WithContext(auth.WithIdentity(r.Context(), id))
}

var (
	// errUnauthenticated: the request has no token, or one that is unknown or expired.
	errUnauthenticated = &requestError{http.StatusUnauthorized, "the request was not authenticated"}
	// errMalformedHeader: there is an Authorization header that cannot be understood.
	errMalformedHeader = &requestError{http.StatusBadRequest, auth.ErrMalformed.Error()}
	// errNoTokens: who answers everyone has no use for tokens. InfluxDB 3's text.
	errNoTokens = &requestError{http.StatusMethodNotAllowed, "endpoint disabled, started without auth"}
)

// admit decides whether a request may reach its route's handler: the server is ready
// for it, and its sender is known and may use the route (H6). Nothing of the body is
// read. The backend is nil when the route does not need one and there is none.
func (s *Server) admit(rt *route, r *http.Request) (*backend, *http.Request, error) {
	if rt.access == forAnyone {
		return nil, withIdentity(r, &auth.Identity{}), nil
	}
	if err := refusedFor(r); err != nil {
		return nil, nil, err
	}
	if _, err := s.open(); err != nil && rt.access != forProbes {
		return nil, nil, err
	}
	b := s.backend.Load()
	if b == nil { // tokens are not known yet
		return nil, withIdentity(r, &auth.Identity{}), nil
	}
	if s.opts.WithoutAuth && isTokenPath(r.URL.Path) {
		return nil, nil, errNoTokens
	}
	id, err := s.identify(b, rt, r)
	if err != nil {
		return nil, nil, err
	}
	if rt.access.needsAdmin() && !id.Admin {
		return nil, nil, deniedAdmin(id)
	}
	return b, withIdentity(r, id), nil
}

// identify returns who sent a request: the owner of its token, or everyone where no
// token is asked for.
func (s *Server) identify(b *backend, rt *route, r *http.Request) (*auth.Identity, error) {
	if s.opts.WithoutAuth {
		return auth.Everyone(), nil
	}
	tokens := s.tokens.of(b.engine.Tokens())
	switch {
	case s.opts.OpenWithoutTokens && (tokens.IsEmpty() || rt.access == forBootstrap && !tokens.HasAdmin()):
		if isForeignPage(r) {
			return nil, errForeignPage
		}
		return auth.Everyone(), nil
	case rt.access == forProbes && s.exempt[rt.path]:
		return &auth.Identity{}, nil
	}
	token, err := presentedToken(r)
	if err != nil && isIngestPath(r.URL.Path) { // the Ingest API makes no difference
		err = errUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	id, ok := tokens.Find(token, s.opts.Now())
	if !ok {
		return nil, errUnauthenticated
	}
	return id, nil
}

// presentedToken returns the token that came with a request. Where InfluxDB 1 takes a
// user and password as parameters, the password is the token, and goes before a header.
func presentedToken(r *http.Request) (string, error) {
	if r.URL.Path == "/write" || r.URL.Path == "/query" {
		q, _ := url.ParseQuery(r.URL.RawQuery) // the handler reports what is malformed
		if p := q.Get("p"); p != "" {
			return p, nil
		}
	}
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", errUnauthenticated
	case 1:
		token, err := auth.ParseHeader(values[0])
		if err == nil {
			return token, nil
		}
	}
	return "", errMalformedHeader
}

// isTokenPath reports whether a path manages tokens.
func isTokenPath(path string) bool {
	return strings.HasPrefix(path, tokenPath) || strings.HasPrefix(path, enterpriseTokenPath)
}

// tokenIndex keeps the index of the tokens that were there last, so that it is made
// once for each change of them.
type tokenIndex struct {
	last atomic.Pointer[indexedTokens]
}

type indexedTokens struct {
	tokens []*schema.Token
	index  *auth.Index
}

// of returns the index of the engine's tokens. A change of them makes a new slice, and
// the slice that was indexed last is kept, so that no other can have its address.
func (x *tokenIndex) of(tokens []*schema.Token) *auth.Index {
	if last := x.last.Load(); last != nil && isSameSlice(last.tokens, tokens) {
		return last.index
	}
	index := auth.NewIndex(tokens)
	x.last.Store(&indexedTokens{tokens, index})
	return index
}

func isSameSlice(a, b []*schema.Token) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
