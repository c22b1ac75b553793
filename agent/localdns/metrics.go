package localdns

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Resolver counts.
type metrics struct {
	fresh, asked, stale, failed prometheus.Counter // queries of our zones, by how they were answered
	special, forwarded          prometheus.Counter // others
	prefetches                  prometheus.Counter
	all                         []prometheus.Collector
}

func newMetrics(r *Resolver) *metrics {
	m := &metrics{}
	queries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "muster_agent_dns_queries_total",
		Help: "Queries, by how they were answered: kept, asked (of a server), stale, failed, special (answered here) or forwarded.",
	}, []string{"answer"})
	m.fresh, m.asked = queries.WithLabelValues("kept"), queries.WithLabelValues("asked")
	m.stale, m.failed = queries.WithLabelValues("stale"), queries.WithLabelValues("failed")
	m.special, m.forwarded = queries.WithLabelValues("special"), queries.WithLabelValues("forwarded")
	m.prefetches = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "muster_agent_dns_prefetches_total", Help: "Answers asked for anew before their time was over.",
	})
	m.all = []prometheus.Collector{queries, m.prefetches,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "muster_agent_dns_hedges_total", Help: "Questions for which a second server was asked, since the first took long.",
		}, func() float64 { return float64(r.pool.hedged.Load()) }),
		gauge("muster_agent_dns_answers", "Answers kept in memory.", func() float64 { n, _ := r.kept.count(); return float64(n) }),
		gauge("muster_agent_dns_answers_bytes", "What they take, nearly.", func() float64 { _, n := r.kept.count(); return float64(n) }),
		gauge("muster_agent_dns_servers", "DNS servers known.", func() float64 { return float64(len(r.pool.all())) }),
		gauge("muster_agent_dns_servers_up", "DNS servers that answer.", func() float64 { return float64(r.pool.up()) }),
		gauge("muster_agent_dns_stale_seconds", "For how long no server has answered, 0 when one does.", func() float64 {
			if since := r.pool.away.Load(); since != nil {
				return time.Since(*since).Seconds()
			}
			return 0
		}),
		gauge("muster_agent_dns_upstreams", "Upstream resolvers that are asked: known, and no loop.", func() float64 {
			return float64(len(r.upstreams.usable()))
		}),
	}
	return m
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// register registers all of them, or none.
func (m *metrics) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	for i, c := range m.all {
		if err := to.Register(c); err != nil {
			for _, registered := range m.all[:i] {
				to.Unregister(registered)
			}
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(from prometheus.Registerer) {
	if from == nil {
		return
	}
	for _, c := range m.all {
		from.Unregister(c)
	}
}
