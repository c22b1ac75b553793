package plugin

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	responses = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "responses_total",
		Help: "Counter of responses by what came of the question.",
	}, []string{"server", "result"})

	_ = promauto.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "snapshot_age_seconds",
		Help: "How long ago etcd last confirmed what is answered.",
	}, func() float64 {
		if s := serving.Load(); s != nil {
			age, _ := (*s).Stale()
			return age.Seconds()
		}
		return 0
	})

	_ = promauto.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "snapshot_revision",
		Help: "Revision of etcd that is answered from, 0 before the first.",
	}, func() float64 {
		if s := serving.Load(); s != nil && (*s).Snapshot() != nil {
			return float64((*s).Snapshot().Revision())
		}
		return 0
	})
)

// serving is the source that the gauges are about: the one set up last.
var serving atomic.Pointer[Source]

// outcome is what came of a question; there are few, as each makes a series.
type outcome int

const (
	found outcome = iota
	noData
	noName
	failed
	refused
	outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"found", "nodata", "nxdomain", "servfail", "refused"}[o]
}

func outcomeOf(reply *dns.Msg) outcome {
	switch {
	case reply.Rcode == dns.RcodeNameError:
		return noName
	case reply.Rcode == dns.RcodeRefused:
		return refused
	case reply.Rcode != dns.RcodeSuccess:
		return failed
	case len(reply.Answer) == 0:
		return noData
	}
	return found
}

// counters are the counters of each server that asks the plugin, found without
// the lock that their vector would take for each query.
type counters struct {
	servers sync.Map // what is in the context under dnsserver.Key -> *[outcomes]prometheus.Counter
}

// count counts a reply.
func (c *counters) count(ctx context.Context, reply *dns.Msg) {
	server := ctx.Value(dnsserver.Key{})
	of, ok := c.servers.Load(server)
	if !ok {
		var fresh [outcomes]prometheus.Counter
		for o := range outcomes {
			fresh[o] = responses.WithLabelValues(metrics.WithServer(ctx), o.String())
		}
		of, _ = c.servers.LoadOrStore(server, &fresh)
	}
	of.(*[outcomes]prometheus.Counter)[outcomeOf(reply)].Inc()
}
