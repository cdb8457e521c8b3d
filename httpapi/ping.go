package httpapi

import (
	"net/http"
	"strings"
)

// pingBody is InfluxDB 3's answer to /ping, from which clients read the version.
type pingBody struct {
	Product   string `json:"product_name"`
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	ProcessID string `json:"process_id"`
}

// ping answers as InfluxDB 3, and those who could not read that as InfluxDB 1: with a status
// without a body. They read the version from the headers.
func (s *Server) ping(_ *backend, w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("X-Influxdb-Version", s.opts.Version)
	w.Header().Set("X-Influxdb-Build", "Siltstone")
	if !acceptsJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	writeJSON(w, http.StatusOK, pingBody{"Siltstone", s.opts.Version, s.opts.Revision, s.processID})
	return nil
}

// acceptsJSON tells whether a client takes JSON. The Python client of InfluxDB 1 asks for
// MessagePack only, and takes any status but 204 for a failure.
func acceptsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return !strings.Contains(accept, "msgpack") || strings.Contains(accept, "json") || strings.Contains(accept, "*/*")
}

// healthBody is the health object of InfluxDB 2, which its clients understand.
type healthBody struct {
	Status  string `json:"status"` // "pass" or "fail"
	Name    string `json:"name"`
	Message string `json:"message"`
	Version string `json:"version"`
}

// health answers 200 exactly while requests are let in and writes are taken: a log that
// failed needs a restart, which is what a supervisor does about a failing probe. A full disk
// needs none, but a supervisor that restarts the server does no harm.
func (s *Server) health(_ *backend, w http.ResponseWriter, _ *http.Request) error {
	status, h := http.StatusOK, healthBody{"pass", "siltstone", "ready for queries and writes", s.opts.Version}
	b, err := s.open()
	if err == nil {
		err = b.engine.Err()
	}
	if err != nil {
		status, h.Status, h.Message = http.StatusServiceUnavailable, "fail", err.Error()
		w.Header().Set("Retry-After", retryAfterSeconds)
	}
	writeJSON(w, status, h)
	return nil
}
