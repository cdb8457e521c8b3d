package httpapi

import "net/http"

// fluxBody is an error as the clients of InfluxDB 2 read it.
type fluxBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refuseFlux answers the clients of InfluxDB 2, whose only query language is Flux. A bare 404
// would look to them like a wrong address.
func (s *Server) refuseFlux(_ *backend, w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusNotFound, fluxBody{
		Code:    "not found",
		Message: "Flux is not supported: query with SQL at /api/v3/query_sql or with InfluxQL at /query",
	})
	return nil
}
