package httpapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/siltstone-db/siltstone/schema"
)

// access says whom a route answers.
type access uint8

const (
	// forAnyone needs neither a token nor the engine.
	forAnyone access = 1 + iota
	// forProbes is for those who watch the process: it is answered before the engine is
	// open. Then, and when DisableAuthz names it, no token is asked for.
	forProbes
	// forBootstrap is for anyone as long as there is no admin token, where the server is
	// open without tokens; otherwise it is for admins.
	forBootstrap
	// forKnown is for the owner of any token.
	forKnown
	// forAdmins is for the owners of admin tokens.
	forAdmins
	// forReaders is for those who may query the database that the request names; the
	// handler finds out which, and calls requireRead.
	forReaders
	// forWriters is likewise for those who may write to it; the handler calls requireWrite.
	forWriters
	// forProjects is for those who may use the database behind a datasource of the
	// Ingest API, which knows it.
	forProjects
)

// route is one line of the table of routes.
type route struct {
	method, path string
	access       access
	handler      handler
	// answer words an error for the route's clients; nil answers with an errorBody.
	answer errorWriter
}

// errorWriter answers with an error whose status and text statusOf chose.
type errorWriter func(w http.ResponseWriter, r *http.Request, status int, text string, err error)

const (
	tokenPath = "/api/v3/configure/token"
	// enterpriseTokenPath is where clients of InfluxDB 3 Enterprise manage the tokens
	// that are not for admins.
	enterpriseTokenPath = "/api/v3/enterprise/configure/token"
	databasePath        = "/api/v3/configure/database"
	tablePath           = "/api/v3/configure/table"
)

// routes lists every path and method once. ServeMux lets HEAD follow GET.
func (s *Server) routes() []route {
	return append(append(s.ingestRoutes(), s.profileRoutes()...), []route{
		{method: "POST", path: "/write", access: forWriters, handler: s.writes(dialectV1), answer: s.refuseWrite(dialectV1)},
		{method: "POST", path: "/api/v2/write", access: forWriters, handler: s.writes(dialectV2), answer: s.refuseWrite(dialectV2)},
		{method: "POST", path: "/api/v3/write_lp", access: forWriters, handler: s.writes(dialectV3), answer: s.refuseWrite(dialectV3)},
		{method: "GET", path: "/api/v3/query_sql", access: forReaders, handler: s.querySQLGet},
		{method: "POST", path: "/api/v3/query_sql", access: forReaders, handler: s.querySQLPost},
		{method: "POST", path: "/api/v2/delete", access: forWriters, handler: s.deletePoints, answer: refuseDeletion},
		{method: "POST", path: "/api/v2/query", access: forKnown, handler: s.refuseFlux},
		{method: "GET", path: "/api/v3/query_influxql", access: forReaders, handler: s.queryInfluxQLGet},
		{method: "POST", path: "/api/v3/query_influxql", access: forReaders, handler: s.queryInfluxQLPost},
		{method: "GET", path: "/query", access: forKnown, handler: s.queryV1, answer: s.refuseV1},
		{method: "POST", path: "/query", access: forKnown, handler: s.queryV1, answer: s.refuseV1},
		{method: "POST", path: "/api/v3/flush", access: forAdmins, handler: s.flush},
		{method: "POST", path: backupPath, access: forAdmins, handler: s.backup},
		{method: "POST", path: restorePath, access: forAdmins, handler: s.restore},
		{method: "POST", path: checkPath, access: forAdmins, handler: s.check},
		{method: "POST", path: compactPath, access: forAdmins, handler: s.compact},

		{method: "POST", path: tokenPath + "/admin", access: forBootstrap, handler: s.createOperatorToken},
		{method: "POST", path: tokenPath + "/admin/regenerate", access: forAdmins, handler: s.regenerateOperatorToken},
		{method: "POST", path: tokenPath + "/named_admin", access: forAdmins, handler: s.createAdminToken},
		{method: "GET", path: tokenPath, access: forAdmins, handler: s.listTokens},
		{method: "POST", path: tokenPath, access: forAdmins, handler: s.createToken},
		{method: "DELETE", path: tokenPath, access: forAdmins, handler: s.deleteToken},
		{method: "GET", path: enterpriseTokenPath, access: forAdmins, handler: s.listTokens},
		{method: "POST", path: enterpriseTokenPath, access: forAdmins, handler: s.createToken},
		{method: "DELETE", path: enterpriseTokenPath, access: forAdmins, handler: s.deleteToken},

		{method: "GET", path: databasePath, access: forKnown, handler: s.listDatabases},
		{method: "POST", path: databasePath, access: forAdmins, handler: s.createDatabase},
		{method: "PUT", path: databasePath, access: forAdmins, handler: s.updateDatabase},
		{method: "DELETE", path: databasePath, access: forAdmins, handler: s.deleteDatabase},
		{method: "POST", path: databasePath + "/retention_period", access: forAdmins, handler: s.setRetention},
		{method: "DELETE", path: databasePath + "/retention_period", access: forAdmins, handler: s.clearRetention},
		{method: "GET", path: expiredPath, access: forAdmins, handler: s.listExpired},
		{method: "POST", path: tablePath, access: forAdmins, handler: s.createTable},
		{method: "PUT", path: tablePath, access: forAdmins, handler: s.updateTable},
		{method: "DELETE", path: tablePath, access: forAdmins, handler: s.deleteTable},
		{method: "DELETE", path: rowsPath, access: forWriters, handler: s.deleteRows},
		{method: "GET", path: rollupPath, access: forAdmins, handler: s.listRollups},
		{method: "POST", path: rollupPath, access: forAdmins, handler: s.createRollup},
		{method: "DELETE", path: rollupPath, access: forAdmins, handler: s.deleteRollup},
		{method: "POST", path: rollupPath + "/refresh", access: forAdmins, handler: s.refreshRollup},
		{method: "POST", path: lastCachePath, access: forAdmins, handler: s.createCache(schema.LastCache)},
		{method: "DELETE", path: lastCachePath, access: forAdmins, handler: s.deleteCache(schema.LastCache)},
		{method: "POST", path: distinctCachePath, access: forAdmins, handler: s.createCache(schema.DistinctCache)},
		{method: "DELETE", path: distinctCachePath, access: forAdmins, handler: s.deleteCache(schema.DistinctCache)},
		{method: "GET", path: "/api/v3/configure/datasource", access: forAdmins, handler: s.listDatasources},
		{method: "POST", path: "/api/v3/configure/datasource", access: forAdmins, handler: s.createDatasource},
		{method: "POST", path: "/api/v3/rejected/retry", access: forWriters, handler: s.retryRejected},

		{method: "GET", path: "/ping", access: forProbes, handler: s.ping},
		{method: "POST", path: "/ping", access: forProbes, handler: s.ping},
		{method: "GET", path: "/health", access: forProbes, handler: s.health},
		{method: "GET", path: "/metrics", access: forProbes, handler: s.showMetrics()},
	}...)
}

func (s *Server) showMetrics() handler {
	prom := promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{})
	return func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		prom.ServeHTTP(w, r)
		return nil
	}
}
