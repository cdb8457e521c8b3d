package httpapi

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/http"
	httpprof "net/http/pprof"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

// Profiles of the running process are where Go's tools look for them. They show what the process
// does, never what it stores, but cost some per cent while they are taken: they are for
// admins. The mutex and block profiles are empty, because nobody sets their rates.

const (
	profilePath = "/debug/pprof/"
	// defaultProfileTime is what net/http/pprof takes, and Go's tools ask for.
	defaultProfileTime = 30 * time.Second
	defaultTraceTime   = time.Second
	// maxProfileTime keeps a slip of the keyboard from profiling for days.
	maxProfileTime = time.Hour
)

func (s *Server) profileRoutes() []route {
	return []route{
		// ServeMux would send everybody on, before it is known who asks.
		{method: "GET", path: strings.TrimSuffix(profilePath, "/"), access: forAdmins, handler: plainly(http.RedirectHandler(profilePath, http.StatusSeeOther).ServeHTTP)},
		{method: "GET", path: profilePath + "{$}", access: forAdmins, handler: plainly(httpprof.Index)},
		{method: "GET", path: profilePath + "{name}", access: forAdmins, handler: showProfile},
		{method: "GET", path: profilePath + "profile", access: forAdmins, handler: s.profileCPU},
		{method: "GET", path: profilePath + "trace", access: forAdmins, handler: s.traceExecution},
		{method: "GET", path: profilePath + "cmdline", access: forAdmins, handler: plainly(httpprof.Cmdline)},
		{method: "GET", path: profilePath + "symbol", access: forAdmins, handler: plainly(httpprof.Symbol)},
		{method: "POST", path: profilePath + "symbol", access: forAdmins, handler: plainly(httpprof.Symbol)},
	}
}

// plainly is for what cannot fail.
func plainly(f http.HandlerFunc) handler {
	return func(_ *backend, w http.ResponseWriter, r *http.Request) error {
		f(w, r)
		return nil
	}
}

// showProfile answers with what the runtime has collected since the start.
func showProfile(_ *backend, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	name := r.PathValue("name")
	profile := pprof.Lookup(name)
	if profile == nil {
		return &requestError{http.StatusNotFound, fmt.Sprintf("there is no profile %q; %s lists them", name, profilePath)}
	}
	if q.Has("seconds") {
		return badRequest("the profile %s counts from the start and takes no seconds; profile and trace do", name)
	}
	debug, err := strconv.Atoi(cmp.Or(q.Get("debug"), "0"))
	if err != nil {
		return badRequest("debug is %q; 0 is for Go's tools, 1 and 2 for people", q.Get("debug"))
	}
	if name == "heap" && q.Get("gc") == "1" {
		runtime.GC()
	}
	if debug == 0 {
		announce(w, name)
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	return profile.WriteTo(w, debug)
}

// announce says that the answer is a file for Go's tools.
func announce(w http.ResponseWriter, name string) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
}

// profileCPU answers with a CPU profile of the next seconds.
func (s *Server) profileCPU(_ *backend, w http.ResponseWriter, r *http.Request) error {
	return s.record(w, r, "profile", defaultProfileTime, pprof.StartCPUProfile, pprof.StopCPUProfile)
}

// traceExecution answers with an execution trace of the next seconds.
func (s *Server) traceExecution(_ *backend, w http.ResponseWriter, r *http.Request) error {
	return s.record(w, r, "trace", defaultTraceTime, trace.Start, trace.Stop)
}

// record lets the runtime write to the client for some time, which ends early when the client hangs
// up or the server stops. Nothing but the pace of the client bounds the answer (see pacedWriter).
func (s *Server) record(w http.ResponseWriter, r *http.Request, name string, standard time.Duration, start func(io.Writer) error, stop func()) error {
	d, err := profileTime(r, standard)
	if err != nil {
		return err
	}
	announce(w, name)
	if err := start(w); err != nil { // the runtime has one at a time
		w.Header().Del("Content-Disposition")
		return &requestError{http.StatusConflict, fmt.Sprintf("another %s is being taken; try again when it is done", name)}
	}
	defer stop()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.stop:
	}
	return nil
}

// profileTime reads the parameter seconds.
func profileTime(r *http.Request, standard time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get("seconds")
	if text == "" {
		return standard, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > maxProfileTime.Seconds() {
		return 0, badRequest("seconds is %q; it must be a number above 0, up to %g", text, maxProfileTime.Seconds())
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
