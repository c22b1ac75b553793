package plugin

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/internal/tally"
)

var (
	responses = tally.MustJoinCounters(prometheus.DefaultRegisterer, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "responses_total",
		Help: "Counter of responses by transport, type of the question and response code.",
	}, []string{"server", "transport", "type", "rcode"}))

	empty = tally.MustJoinCounters(prometheus.DefaultRegisterer, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "empty_responses_total",
		Help: "Counter of responses without an answer for names that exist, by the reason.",
	}, []string{"server", "reason"}))

	duration = tally.MustJoinHistograms(prometheus.DefaultRegisterer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "response_duration_seconds",
		Help:    "Histogram of the time that finding and writing a response took.",
		Buckets: prometheus.ExponentialBuckets(0.000002, 4, 10), // from 2 us to 0.5 s
	}, []string{"server", "transport"}), tally.Scale{Unit: 1e-9, Digits: 7, Most: uint64(10 * time.Second)})

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

	_ = promauto.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: name, Name: "shadowed_names",
		Help: "Services that are found by their exact name alone, as another one holds the friendly one.",
	}, func() float64 {
		if s := serving.Load(); s != nil && (*s).Snapshot() != nil {
			return float64((*s).Snapshot().Shadowed())
		}
		return 0
	})
)

// serving is the source that the gauges are about: the one set up last.
var serving atomic.Pointer[Source]

// What has a series of its own; there are few of each, and the rest is "other".
var (
	transports = []string{transportUDP, "tcp", "dot", "doh", "doq", "grpc"}
	qtypes     = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypePTR, dns.TypeSOA, dns.TypeNS, dns.TypeSVCB,
		dns.TypeHTTPS, dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR}
	rcodes = []int{dns.RcodeSuccess, dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNameError, dns.RcodeNotImplemented,
		dns.RcodeRefused, dns.RcodeNotAuth, dns.RcodeNotZone, dns.RcodeBadCookie}
)

// emptyReasons are why there is no answer.
var emptyReasons = [...]string{"no data", "none healthy"}

const (
	transportUDP   = "udp"
	mostTransports = 6
	mostTypes      = 12
	mostRcodes     = 9
)

// counters are the metrics of each server that asks the plugin, found without the
// locks that their vectors would take for each query.
type counters struct {
	servers sync.Map // what is in the context under dnsserver.Key -> *series
}

// series are the metrics of one server, each made when it is first needed. Behind
// the last of each kind is that of all others.
type series struct {
	name      string
	schemed   int // its transport; -1: the network of the query tells it
	responses [mostTransports][mostTypes + 1][mostRcodes + 1]atomic.Pointer[prometheus.Counter]
	durations [mostTransports]atomic.Pointer[prometheus.Observer]
	empty     [2]atomic.Pointer[prometheus.Counter]
}

// of returns the series of the server that asks.
func (c *counters) of(ctx context.Context) *series {
	server := ctx.Value(dnsserver.Key{})
	if of, ok := c.servers.Load(server); ok {
		return of.(*series)
	}
	fresh := &series{name: metrics.WithServer(ctx), schemed: -1}
	if scheme, _, ok := strings.Cut(fresh.name, "://"); ok {
		transport := map[string]string{"tls": "dot", "https": "doh", "https3": "doh", "quic": "doq", "grpc": "grpc"}[scheme]
		fresh.schemed = slices.Index(transports, transport)
	}
	of, _ := c.servers.LoadOrStore(server, fresh)
	return of.(*series)
}

// count counts a reply that was begun at a time.
func (c *counters) count(ctx context.Context, tcp bool, reply *dns.Msg, reason answer.Reason, began time.Time) {
	s := c.of(ctx)
	transport := s.schemed
	if transport < 0 {
		transport = b2i(tcp) // udp, tcp
	}
	qtype := uint16(0)
	if len(reply.Question) > 0 {
		qtype = reply.Question[0].Qtype
	}
	t, r := place(qtypes, qtype), place(rcodes, reply.Rcode)
	load(&s.responses[transport][t][r], func() prometheus.Counter {
		return responses.WithLabelValues(s.name, transports[transport], label(qtypes, t, dns.TypeToString), label(rcodes, r, dns.RcodeToString))
	}).Inc()
	load(&s.durations[transport], func() prometheus.Observer {
		return duration.WithLabelValues(s.name, transports[transport])
	}).Observe(time.Since(began).Seconds())
	if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) > 0 || reply.Opcode != dns.OpcodeQuery {
		return
	}
	why := 0
	if reason == answer.NoneHealthy {
		why = 1
	}
	load(&s.empty[why], func() prometheus.Counter {
		return empty.WithLabelValues(s.name, emptyReasons[why])
	}).Inc()
}

// place returns where v is in known, or the place behind the last.
func place[T comparable](known []T, v T) int {
	if i := slices.Index(known, v); i >= 0 {
		return i
	}
	return len(known)
}

// label returns the text of what is at i in known.
func label[T comparable](known []T, i int, texts map[T]string) string {
	if i == len(known) {
		return "other"
	}
	return texts[known[i]]
}

// load returns what p holds, making it first if need be.
func load[T any](p *atomic.Pointer[T], create func() T) T {
	if v := p.Load(); v != nil {
		return *v
	}
	v := create()
	p.Store(&v)
	return v
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
