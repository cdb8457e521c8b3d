package auth

import (
	"github.com/siltstone-db/siltstone/schema"
)

// Identity is who sent a request, as far as it matters here: what they may do. The zero
// Identity may do nothing. It is immutable.
type Identity struct {
	// Name is the token's name; empty for a server that asks for no token.
	Name string
	// Admin identities may do everything.
	Admin bool

	// all is what holds for every database of users. What Siltstone's own knows of all
	// others, and of the tokens, is for admins and for those who were given just that.
	all       grant
	databases map[string]grant // what holds for one database besides
}

// grant says what may be done with a database.
type grant struct{ read, write bool }

// Everyone is the identity of all requests to a server that asks for no token.
func Everyone() *Identity { return &Identity{Admin: true} }

// newIdentity returns what the permissions of a token amount to.
func newIdentity(t *schema.Token) *Identity {
	id := &Identity{Name: t.Name, Admin: t.Admin, databases: make(map[string]grant, len(t.Permissions))}
	for _, p := range t.Permissions {
		if p.Database == schema.AllDatabases {
			id.all = id.all.or(p)
			continue
		}
		id.databases[p.Database] = id.databases[p.Database].or(p)
	}
	return id
}

// or adds what a permission allows.
func (g grant) or(p schema.Permission) grant { return grant{g.read || p.Read, g.write || p.Write} }

// MayRead reports whether the identity may query a database.
func (id *Identity) MayRead(database string) bool {
	return id.Admin || id.all.read && !schema.IsInternalName(database) || id.databases[database].read
}

// MayWrite reports whether the identity may write to a database.
func (id *Identity) MayWrite(database string) bool {
	return id.Admin || id.all.write && !schema.IsInternalName(database) || id.databases[database].write
}
