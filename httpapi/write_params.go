package httpapi

import (
	"net/url"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
)

// dialect is one of the three routes that take writes: how it is asked, and what its
// users call things. The texts of its errors are InfluxDB 3 Core's.
type dialect struct {
	database   string // the parameter that names the database
	resource   string // what users call a database
	precisions engine.PrecisionSet
	noSync     bool // takes no_sync
	policies   bool // takes rp, a retention policy
	namespaces bool // names follow the rules of namespaces too
	core       bool // errors have Core's form, whatever the contract
	reasons    bool // error has the first reason too: all that clients show

	noQuery    string // there is no query string
	noDatabase string // the parameter database is missing
	unreadable string // begins what is said about a parameter that cannot be read
}

var (
	// dialectV1 is InfluxDB 1's /write.
	dialectV1 = &dialect{
		database:   "db",
		resource:   "database",
		precisions: engine.V1Precisions,
		policies:   true,
		namespaces: true,
		reasons:    true,
		noQuery:    "no db destination provided",
		noDatabase: "failed to deserialize db/rp/precision in request: missing field `db`",
		unreadable: "failed to deserialize db/rp/precision in request: ",
	}
	// dialectV2 is InfluxDB 2's /api/v2/write.
	dialectV2 = &dialect{
		database:   "bucket",
		resource:   "bucket",
		precisions: engine.V2Precisions,
		namespaces: true,
		noQuery:    "no org/bucket destination provided",
		noDatabase: "missing bucket value",
		unreadable: "failed to deserialize org/bucket/precision in request: ",
	}
	// dialectV3 is InfluxDB 3's /api/v3/write_lp.
	dialectV3 = &dialect{
		database:   "db",
		resource:   "database",
		precisions: engine.V3Precisions,
		noSync:     true,
		core:       true,
		noQuery:    "missing query parameter 'db'",
		noDatabase: "serde error: missing field `db`",
		unreadable: "serde error: ",
	}
)

// params reads the query string of a write. Parameters that it does not know are left
// alone: clients send org, orgID, consistency and others, which mean nothing here.
func (d *dialect) params(rawQuery string) (engine.WriteRequest, error) {
	var req engine.WriteRequest
	if rawQuery == "" {
		return req, badRequest("%s", d.noQuery)
	}
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return req, badRequest("malformed query string: %v", err)
	}
	if req.Database, err = d.databaseOf(q); err != nil {
		return req, err
	}
	if req.Precision, err = engine.ParsePrecision(q.Get("precision"), d.precisions); err != nil {
		return req, badRequest("%s%v", d.unreadable, err)
	}
	if req.AcceptPartial, err = d.boolOf(q, "accept_partial", true); err != nil {
		return req, err
	}
	if d.noSync {
		req.NoSync, err = d.boolOf(q, "no_sync", false)
	}
	return req, err
}

// databaseOf returns the name of the database to write to. The names that v3 allows are
// checked by the engine.
func (d *dialect) databaseOf(q url.Values) (string, error) {
	if !q.Has(d.database) {
		return "", badRequest("%s", d.noDatabase)
	}
	name := q.Get(d.database)
	if d.policies {
		name += policySuffix(q.Get("rp"))
	}
	if d.namespaces {
		return name, checkNamespace(name)
	}
	return name, nil
}

// policySuffix is what a retention policy adds to the name of its database. The policies
// that every database of InfluxDB 1 has by default add nothing.
func policySuffix(policy string) string {
	switch policy = strings.ToLower(policy); policy {
	case "", "''", "autogen", "default":
		return ""
	}
	return "/" + policy
}

// maxNamespace is the longest name that v1 and v2 of InfluxDB 3 Core take.
const maxNamespace = 64

// checkNamespace applies the rules that come before those of database names.
func checkNamespace(name string) error {
	if name == "" || len(name) > maxNamespace {
		return badRequest("namespace name %s length must be between 1 and %d characters", name, maxNamespace)
	}
	for i, c := range []rune(name) {
		if !isNamespaceRune(c) {
			return badRequest("namespace name '%s' contains invalid character, character number %d is not allowed", name, i)
		}
	}
	return nil
}

func isNamespaceRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '_' || c == '-'
}

// boolOf reads a parameter that is spelled true or false and nothing else.
func (d *dialect) boolOf(q url.Values, name string, absent bool) (bool, error) {
	switch v := q.Get(name); {
	case !q.Has(name):
		return absent, nil
	case v == "true":
		return true, nil
	case v == "false":
		return false, nil
	default:
		return false, badRequest("%sprovided string was not `true` or `false`: %s=%s", d.unreadable, name, v)
	}
}

// boolParam is boolOf for the other routes of InfluxDB 3's.
func boolParam(q url.Values, name string, absent bool) (bool, error) {
	return dialectV3.boolOf(q, name, absent)
}
