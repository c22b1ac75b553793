package nacos

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/push"
)

// watcherOf returns a subscription as those by UDP are shown.
func watcherOf(c *rpc.Conn, o *topic) watcher {
	who := c.Client()
	return watcher{push.Subscriber{Topic: push.Topic{Service: o.service, Clusters: o.clusters, Agent: who.Version},
		Addr: who.Addr, App: cmp.Or(who.Labels["AppName"], "unknown")}, c.ID()}
}

func sortWatchers(all []watcher) []watcher {
	slices.SortFunc(all, func(a, b watcher) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Service.String(), b.Service.String()), strings.Compare(a.Clusters, b.Clusters))
	})
	return all
}

// watchersOf returns the subscriptions of a service, ordered by address.
func (t *tells) watchersOf(k registry.ServiceKey) (all []watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.services[k] {
		for c := range o.subscribed {
			all = append(all, watcherOf(c, o))
		}
	}
	return sortWatchers(all)
}

// toldTo returns the subscriptions of a connection, ordered by service.
func (t *tells) toldTo(id string) (all []watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.h.conns.find(id)
	if l := t.conns[c]; l != nil {
		for o := range l.topics {
			all = append(all, watcherOf(c, o))
		}
	}
	return sortWatchers(all)
}

// listeners returns the ids of the connections that are told of a service.
func (t *tells) listeners() (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, l := range t.conns {
		if len(l.topics) > 0 {
			ids = append(ids, c.ID())
		}
	}
	return ids
}

// tellStats counts pushes over gRPC.
type tellStats struct {
	sent, failed  uint64
	subscriptions int
}

func (t *tells) stats() tellStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tellStats{t.sent, t.failed, t.count}
}

// metrics returns what can be counted of those who are told over gRPC.
func (t *tells) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "muster_grpc_subscriptions",
			Help: "Services that clients over gRPC are told of, one for each client and service.",
		}, func() float64 { return float64(t.stats().subscriptions) }),
		t.late,
	}
}

func newLate() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "muster_grpc_told_seconds",
		Help:    "Time from when a change was seen to its acknowledgement by a subscriber over gRPC, in seconds.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
	})
}
