package auth

import "context"

// identityKey is the key of the identity in a request's context.
type identityKey struct{}

// WithIdentity returns a context that says who sent a request.
func WithIdentity(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// IdentityOf returns who sent the request of a context: somebody who may do nothing, if it
// does not say.
func IdentityOf(ctx context.Context) *Identity {
	if id, ok := ctx.Value(identityKey{}).(*Identity); ok {
		return id
	}
	return &Identity{}
}
