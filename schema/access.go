package schema

import "strings"

// Token lets its bearer read and write. Shared values are never changed.
type Token struct {
	ID   uint64 // ids are never used again
	Name string
	// Hash is the SHA-512 of the token; the token itself is not stored.
	Hash [64]byte
	// Admin allows everything, whatever Permissions say.
	Admin       bool
	Permissions []Permission
	Created     int64 // nanoseconds since the Unix epoch
	Expiry      int64 // likewise; 0: never
}

// AllDatabases is the Database of a Permission for every database, also later ones.
const AllDatabases = "*"

// Permission is what a token may do in a database.
type Permission struct {
	Database    string // a name, or AllDatabases
	Read, Write bool
}

// String writes the permission as the command line takes it: db:home:read,write.
func (p Permission) String() string {
	var actions []string
	if p.Read {
		actions = append(actions, "read")
	}
	if p.Write {
		actions = append(actions, "write")
	}
	return "db:" + p.Database + ":" + strings.Join(actions, ",")
}

// Datasource is where a project of the Ingest API keeps its contacts and events.
// Shared values are never changed.
type Datasource struct {
	Project, Name string
	Database      string // the name of the database that holds its tables
	Created       int64  // nanoseconds since the Unix epoch
}
