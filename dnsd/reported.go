package dnsd

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/internal/tally"
)

// The metrics of CoreDNS's plugin prometheus, in which hot answers are counted as if that
// plugin had seen them.
var (
	requestCount    = tally.MustJoinCounters(prometheus.DefaultRegisterer, vars.RequestCount)
	requestDo       = tally.MustJoinCounters(prometheus.DefaultRegisterer, vars.RequestDo)
	responseRcode   = tally.MustJoinCounters(prometheus.DefaultRegisterer, vars.ResponseRcode)
	requestDuration = tally.MustJoinHistograms(prometheus.DefaultRegisterer, vars.RequestDuration, nanoseconds)
	requestSize     = tally.MustJoinHistograms(prometheus.DefaultRegisterer, vars.RequestSize, octets)
	responseSize    = tally.MustJoinHistograms(prometheus.DefaultRegisterer, vars.ResponseSize, octets)
)

var (
	nanoseconds = tally.Scale{Unit: 1e-9, Digits: 7, Most: uint64(10 * time.Second)}
	octets      = tally.Scale{Unit: 1, Digits: 11, Most: mostAnswer}
)

// report is what the plugin prometheus of a block calls those that it counts.
type report struct {
	server string
	zone   string
	plugin string // that is asked next, as CoreDNS has it
	within []byte // the zone in wire form
}

// reportsOf returns those for questions in a zone of a block, longest zone first: the
// plugin goes by all zones of the block, wherever they are served. There are none where
// it does not stand before the plugin that answers.
func reportsOf(server string, b *block, answers string) []report {
	const name = "prometheus"
	m, ok := b.Handler(name).(*metrics.Metrics)
	if !ok || !b.has(name, answers) {
		return nil
	}
	next := b.chain[slices.Index(b.chain, name)+1]
	found := []report{{server, ".", next, wireName(".")}} // for what is in none
	for _, zone := range m.ZoneNames() {
		if zone != "." && (dns.IsSubDomain(b.Zone, zone) || dns.IsSubDomain(zone, b.Zone)) {
			found = append(found, report{server, zone, next, wireName(zone)})
		}
	}
	slices.SortFunc(found, func(a, b report) int { return cmp.Compare(len(b.within), len(a.within)) })
	return found
}

// reported counts the answers of one socket in one zone.
type reported struct {
	report
	tally *tally.Tally

	// Made when they are first needed.
	requests  [2][256]*tally.Counter
	requestDo *tally.Counter
	rcodes    [16]*tally.Counter
	duration  *tally.Histogram

	// Of the batch at hand: what has not been told yet, and how many are to be sent.
	request, do, rcode counts
	query, answer      sizes
	unsent             uint64
}

// counts are how often one thing was to be counted in a row: a batch brings much that is
// alike, and to tell each of it takes longer than to tell how many.
type counts struct {
	of *tally.Counter
	n  uint64
}

func (c *counts) inc(of *tally.Counter) {
	if c.of != of {
		c.tell()
		c.of = of
	}
	c.n++
}

func (c *counts) tell() {
	if c.n > 0 {
		c.of.Add(c.n)
		c.n = 0
	}
}

// sizes are how often one size came in a row.
type sizes struct {
	of *tally.Histogram
	is int
	n  uint64
}

func (s *sizes) observe(size int) {
	if s.is != size {
		s.tell()
		s.is = size
	}
	s.n++
}

func (s *sizes) tell() {
	if s.n > 0 {
		s.of.Observe(uint64(s.is), s.n)
		s.n = 0
	}
}

func newReported(t *tally.Tally, r report) *reported { return &reported{report: r, tally: t} }

// labels are those that all series begin with; there is a view where there are filters,
// which keep hot paths away.
func (r *reported) labels(more ...string) []string {
	return append([]string{r.server, r.zone, ""}, more...)
}

// count counts the answer to a query, which is told before its batch is sent.
func (r *reported) count(q *question, query, answer []byte, from netip.Addr) {
	if r.duration == nil {
		r.duration = r.tally.Histogram(requestDuration, r.labels()...)
		r.query.of = r.tally.Histogram(requestSize, r.labels("udp")...)
		r.answer.of = r.tally.Histogram(responseSize, r.labels("udp")...)
		r.requestDo = r.tally.Counter(requestDo, r.labels()...)
	}
	r.unsent++
	r.request.inc(r.requestOf(q, from))
	if q.do {
		r.do.inc(r.requestDo)
	}
	r.query.observe(len(query))
	if len(answer) >= headerSize {
		r.answer.observe(len(answer))
		r.rcode.inc(r.rcodeOf(int(answer[3] & 0xf)))
	}
}

// tell takes what was counted into the metrics.
func (r *reported) tell() {
	r.request.tell()
	r.do.tell()
	r.rcode.tell()
	r.query.tell()
	r.answer.tell()
}

func (r *reported) requestOf(q *question, from netip.Addr) *tally.Counter {
	family := 0
	if from.Is6() {
		family = 1
	}
	qtype := int(q.qtype)
	if qtype >= len(r.requests[0]) {
		qtype = 0 // as any that has no name there
	}
	c := &r.requests[family][qtype]
	if *c == nil {
		*c = r.tally.Counter(requestCount, r.labels("udp", [...]string{"1", "2"}[family], typeLabel(uint16(qtype)))...)
	}
	return *c
}

func (r *reported) rcodeOf(rcode int) *tally.Counter {
	c := &r.rcodes[rcode]
	if *c == nil {
		*c = r.tally.Counter(responseRcode, r.labels(dns.RcodeToString[rcode], r.plugin)...)
	}
	return *c
}

// sent counts how long the answers of a batch have taken.
func (r *reported) sent(took time.Duration) {
	if r.unsent > 0 {
		r.duration.Observe(uint64(took), r.unsent)
		r.unsent = 0
	}
}

// monitored are the types of data that have a series of their own.
var monitored = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeDS, dns.TypeMX, dns.TypeNSEC3, dns.TypeNSEC, dns.TypeNS,
	dns.TypePTR, dns.TypeRRSIG, dns.TypeSOA, dns.TypeSRV, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSVCB,
}

func typeLabel(qtype uint16) string {
	if slices.Contains(monitored, qtype) {
		return dns.TypeToString[qtype]
	}
	return "other"
}
