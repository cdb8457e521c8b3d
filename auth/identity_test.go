package auth

import (
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

func TestEveryDatabaseDoesNotMeanTheInternalOne(t *testing.T) {
	id := newIdentity(&schema.Token{Permissions: []schema.Permission{{Database: schema.AllDatabases, Read: true, Write: true}}})
	if !id.MayRead("db") || !id.MayWrite("db") {
		t.Error("a user's database is closed")
	}
	if id.MayRead("_internal") || id.MayWrite("_internal") {
		t.Error("the internal database is open")
	}
	named := newIdentity(&schema.Token{Permissions: []schema.Permission{{Database: "_internal", Read: true}}})
	if !named.MayRead("_internal") || !Everyone().MayRead("_internal") {
		t.Error("the internal database is closed to those who were given it")
	}
}
