package httpapi

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	duration *prometheus.HistogramVec
	// used holds those of duration that were in use: to find them there is to check and hash labels.
	used struct {
		sync.RWMutex
		durations map[durationLabels]prometheus.Observer
	}
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	body     prometheus.Counter
	repeated prometheus.Counter

	connections      prometheus.Gauge
	evicted, refused prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "siltstone_http_request_duration_seconds",
			Help: "Time from a request's headers to the end of its answer; its count is the number of requests.",
			// From a small query to a large export: 0.5 ms to 33 s in steps of four.
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "siltstone_http_requests_in_flight",
			Help: "Requests being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "siltstone_http_panics_total",
			Help: "Requests that broke an invariant of the server and were answered 500.",
		}),
		body: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "siltstone_http_body_bytes_total",
			Help: "Bytes of line protocol received, after decompression.",
		}),
	}
	m.repeated = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "siltstone_http_repeated_requests_total",
		Help: "Requests that were answered without parsing a head that was the one before.",
	})
	m.connections = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "siltstone_http_connections",
		Help: "Open connections; --max-connections bounds them.",
	})
	m.evicted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "siltstone_http_connections_evicted_total",
		Help: "Connections without a request that were closed to make room for new ones.",
	})
	m.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "siltstone_http_connections_refused_total",
		Help: "Connections and requests that were refused because all others had requests under way.",
	})
	m.used.durations = make(map[durationLabels]prometheus.Observer)
	reg.MustRegister(m.duration, m.inFlight, m.panics, m.body, m.repeated, m.connections, m.evicted, m.refused)
	return m
}

// durationLabels are few: a route is one of the table's, and a status what we answer.
type durationLabels struct{ route, status string }

func (m *metrics) observe(route, status string, d time.Duration) {
	m.durationOf(durationLabels{route, status}).Observe(d.Seconds())
}

func (m *metrics) durationOf(labels durationLabels) prometheus.Observer {
	m.used.RLock()
	observer, ok := m.used.durations[labels]
	m.used.RUnlock()
	if ok {
		return observer
	}
	observer = m.duration.WithLabelValues(labels.route, labels.status)
	m.used.Lock()
	defer m.used.Unlock()
	m.used.durations[labels] = observer // the same for whoever was faster
	return observer
}
