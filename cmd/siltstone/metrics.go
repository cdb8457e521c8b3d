package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/query"
)

// registerQueryMetrics shows what the querier uses beside the engine's metrics; the
// queries' share of the memory pool carries the engine's name for it. Values are 0
// once the querier is closed.
func registerQueryMetrics(r *prometheus.Registry, q *query.Querier) {
	stats := func() query.Stats {
		s, err := q.Stats()
		if err != nil {
			return query.Stats{}
		}
		return s
	}
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "siltstone_pool_used_bytes", Help: "Memory pool in use, by share.",
			ConstLabels: prometheus.Labels{"share": "queries"},
		}, func() float64 { return float64(stats().MemoryBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "siltstone_queries_running", Help: "Queries that are being answered.",
		}, func() float64 { return float64(stats().Running) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "siltstone_queries_queued", Help: "Queries that wait for their turn.",
		}, func() float64 { return float64(stats().Queued) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "siltstone_query_spill_bytes", Help: "Disk in use for what queries cannot hold in memory.",
		}, func() float64 { return float64(stats().SpillBytes) }),
	)
}

// queryObserver counts queries when they end, by language and outcome, and their time.
func queryObserver(r *prometheus.Registry) func(query.QueryInfo) {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "siltstone_queries_total", Help: "Queries that have ended, by language and outcome.",
	}, []string{"language", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "siltstone_query_seconds", Help: "Time from a query's arrival to the end of its answer, waiting included.",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 18),
	}, []string{"language"})
	r.MustRegister(total, seconds)
	return func(q query.QueryInfo) {
		total.WithLabelValues(q.Language, string(q.State)).Inc()
		seconds.WithLabelValues(q.Language).Observe(q.EndToEnd.Seconds())
	}
}
