package server

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/internal/ratelimit"
	"github.com/musterhq/muster/registry"
)

// Limits bounds what callers ask for in a second, and what a namespace may have. Beats,
// health, and what other servers ask for are not counted.
type Limits struct {
	// AddressRate is how many calls a second one address may make; 0 is 10000, and none for
	// loopback, below 0 there is no limit. Ten times as many may come at once, as of the
	// other rates.
	AddressRate int `yaml:"address_rate"`
	// CallerRate is how many calls a second a user or agent may make; 0 is 5000, below 0
	// there is no limit.
	CallerRate int `yaml:"caller_rate"`
	// NamespaceLimits are those of each namespace.
	NamespaceLimits `yaml:",inline"`
	// Namespaces are the limits of namespaces that have others, by id. What is 0 there is
	// as for all, below 0 there is no limit.
	Namespaces map[string]NamespaceLimits `yaml:"namespaces"`
}

// NamespaceLimits bounds a namespace; 0 bounds nothing.
type NamespaceLimits struct {
	// Rate is how many calls a second may be about it.
	Rate int `yaml:"namespace_rate"`
	// Services is how many there may be.
	Services int `yaml:"services"`
	// Instances is how many there may be.
	Instances int `yaml:"instances"`
}

// Rates that no client meets which does what clients do, and many of them behind one address
// neither: about what a server on two cores can answer at all.
const (
	DefaultAddressRate = 10000
	DefaultCallerRate  = 5000
)

// savedUp is for how long one who asks for nothing saves what he may ask for: a host of
// agents behind one address that all start anew.
const savedUp = 10 * time.Second

// check returns what is wrong with limits, nil if nothing is.
func (l Limits) check() error {
	rates := map[string]int{"address_rate": l.AddressRate, "caller_rate": l.CallerRate, "namespace_rate": l.Rate}
	for id, n := range l.Namespaces {
		if err := registry.ValidateNamespace(id); err != nil {
			return fmt.Errorf("limits: namespaces: %w", err)
		}
		rates["namespaces: "+id+": namespace_rate"] = n.Rate
	}
	for name, rate := range rates {
		if rate > ratelimit.MaxRate {
			return fmt.Errorf("limits: %s: %d is above %d", name, rate, ratelimit.MaxRate)
		}
	}
	return nil
}

// of returns the limits of a namespace, each 0 for none.
func (l Limits) of(namespace string) NamespaceLimits {
	own := l.Namespaces[namespace]
	n := NamespaceLimits{cmp.Or(own.Rate, l.Rate), cmp.Or(own.Services, l.Services), cmp.Or(own.Instances, l.Instances)}
	return NamespaceLimits{max(0, n.Rate), max(0, n.Services), max(0, n.Instances)}
}

// quota returns what the registry is to hold namespaces to, nil for nothing.
func (l Limits) quota() func(namespace string) registry.Quota {
	bounds := func(n NamespaceLimits) bool { return n.Services > 0 || n.Instances > 0 }
	bounded := bounds(l.NamespaceLimits)
	for _, n := range l.Namespaces {
		bounded = bounded || bounds(n)
	}
	if !bounded {
		return nil
	}
	return func(namespace string) registry.Quota {
		n := l.of(namespace)
		return registry.Quota{Services: n.Services, Instances: n.Instances}
	}
}

// limits count calls. A nil limiter has no limit.
type limits struct {
	byAddress *ratelimit.Limiter
	byCaller  *ratelimit.Limiter
	inOther   *ratelimit.Limiter            // namespaces
	in        map[string]*ratelimit.Limiter // namespaces with limits of their own

	refused [3]atomic.Uint64 // by address, caller and namespace
}

func newLimits(l Limits) (*limits, error) {
	all := &limits{in: map[string]*ratelimit.Limiter{}}
	var err error
	var exempt []netip.Prefix
	if l.AddressRate == 0 {
		exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if all.byAddress, err = newLimiter(cmp.Or(l.AddressRate, DefaultAddressRate), exempt...); err != nil {
		return nil, err
	}
	if all.byCaller, err = newLimiter(cmp.Or(l.CallerRate, DefaultCallerRate)); err != nil {
		return nil, err
	}
	if all.inOther, err = newLimiter(l.Rate); err != nil {
		return nil, err
	}
	for id := range l.Namespaces {
		if all.in[id], err = newLimiter(l.of(id).Rate); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newLimiter(rate int, exempt ...netip.Prefix) (*ratelimit.Limiter, error) {
	if rate <= 0 {
		return nil, nil
	}
	return ratelimit.New(ratelimit.Config{Rate: rate, Window: savedUp, IPv4: 32, IPv6: 64, Exempt: exempt})
}

// LimitedError turns a call away that was one too many.
type LimitedError struct{ by string }

func (e *LimitedError) Error() string {
	return "too many calls a second " + e.by + ", please try again later"
}

// address counts a call by where it comes from.
func (l *limits) address(from netip.Addr) error {
	if !from.IsValid() {
		from = netip.IPv6Unspecified() // all that come from nobody knows where are one
	}
	if l.byAddress == nil || l.byAddress.Allow(from, time.Now()) == ratelimit.Pass {
		return nil
	}
	l.refused[0].Add(1)
	return &LimitedError{"from " + from.String()}
}

// caller counts a call by who makes it.
func (l *limits) caller(c *access.Caller) error {
	if !c.Counts || l.byCaller == nil || c.Who.Type == access.Anonymous || c.Who.Type == access.Server || l.byCaller.AllowName(c.Who.String(), time.Now()) {
		return nil
	}
	l.refused[1].Add(1)
	return &LimitedError{"of " + c.Who.String()}
}

// call counts a call by who makes it, or else by the namespace that it is about.
func (l *limits) call(c *access.Caller, namespace string) error {
	if namespace == "" {
		return l.caller(c)
	}
	return l.namespace(c, namespace)
}

// namespace counts a call by what it is about; empty is all namespaces, which is none.
func (l *limits) namespace(c *access.Caller, id string) error {
	if !c.Counts || id == "" || c.Who.Type == access.Server {
		return nil
	}
	limiter, own := l.in[id]
	if !own {
		limiter = l.inOther
	}
	if limiter == nil || limiter.AllowName(id, time.Now()) {
		return nil
	}
	l.refused[2].Add(1)
	return &LimitedError{"in namespace " + strconv.Quote(id)}
}

// each returns what counts a call by each of the namespaces that it is about, once.
func (l *limits) each(c *access.Caller) func(namespace string) error {
	counted := map[string]bool{}
	return func(id string) error {
		if counted[id] {
			return nil
		}
		counted[id] = true
		return l.namespace(c, id)
	}
}

var descLimited = prometheus.NewDesc("muster_http_limited_total", "Calls that were turned away as they were more than limits allow, by what they were counted by.", []string{"by"}, nil)

// Describe implements prometheus.Collector.
func (l *limits) Describe(to chan<- *prometheus.Desc) { to <- descLimited }

// Collect implements prometheus.Collector.
func (l *limits) Collect(to chan<- prometheus.Metric) {
	for i, by := range []string{"address", "caller", "namespace"} {
		to <- prometheus.MustNewConstMetric(descLimited, prometheus.CounterValue, float64(l.refused[i].Load()), by)
	}
}
