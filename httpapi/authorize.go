package httpapi

import (
	"fmt"
	"net/http"

	"github.com/siltstone-db/siltstone/auth"
)

// requireRead returns an error unless the sender of r may query a database.
func requireRead(r *http.Request, database string) error {
	id := identityOf(r)
	if id.MayRead(database) {
		return nil
	}
	return denied(http.StatusForbidden, id, "read", database)
}

// requireWrite returns an error unless the sender of r may write to a database. Writers
// expect 401 where others expect 403.
func requireWrite(r *http.Request, database string) error {
	id := identityOf(r)
	if id.MayWrite(database) {
		return nil
	}
	return denied(http.StatusUnauthorized, id, "write", database)
}

func denied(status int, id *auth.Identity, permission, database string) error {
	return &requestError{status, fmt.Sprintf("token %q has no %s permission for database %q", id.Name, permission, database)}
}

func deniedAdmin(id *auth.Identity) error {
	return &requestError{http.StatusForbidden, fmt.Sprintf("token %q is not an admin token, which this request needs", id.Name)}
}

// needsAdmin reports whether a route of this access is for admins, once there is one.
func (a access) needsAdmin() bool { return a == forAdmins || a == forBootstrap }
