package auth

import (
	"crypto/sha512"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Index finds the owner of a token among those that existed when it was made. It is
// immutable.
type Index struct {
	owners   map[[sha512.Size]byte]owner
	hasAdmin bool
}

// owner is who holds a token, and until when.
type owner struct {
	identity *Identity
	expiry   int64 // nanoseconds since the epoch; 0 is never
}

// NewIndex returns an index of the given tokens.
func NewIndex(tokens []*schema.Token) *Index {
	x := &Index{owners: make(map[[sha512.Size]byte]owner, len(tokens))}
	for _, t := range tokens {
		x.owners[t.Hash] = owner{newIdentity(t), t.Expiry}
		x.hasAdmin = x.hasAdmin || t.Admin
	}
	return x
}

// IsEmpty reports whether there is no token at all; an expired one counts.
func (x *Index) IsEmpty() bool { return len(x.owners) == 0 }

// HasAdmin reports whether one of the tokens is an admin token; an expired one counts,
// so that nobody becomes an admin by waiting.
func (x *Index) HasAdmin() bool { return x.hasAdmin }

// Find returns the owner of a token; ok is false when there is none or the token has
// expired (A2). Neither tokens nor hashes are compared byte by byte with what someone
// sent: what is looked up is a hash, of which a sender cannot choose a single bit, and
// so the time that it takes says nothing about the tokens that exist.
func (x *Index) Find(token string, now time.Time) (id *Identity, ok bool) {
	o, ok := x.owners[Hash(token)]
	if !ok || o.expiry != 0 && schema.Nanoseconds(now) >= o.expiry {
		return nil, false
	}
	return o.identity, true
}
