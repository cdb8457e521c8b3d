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
	)
}
