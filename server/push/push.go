// Package push tells clients of Nacos 1.x by UDP that a service changed.
//
// A client enrols for 30 s with every list that it asks for. A change leaves
// within 50 ms, at most one datagram in 40 ms to each subscriber, always with the
// newest state. What is not acknowledged in 10 s is sent once more; what a newer
// push overtook is not. Pushes may be lost: clients go on asking every 10 s.
//
// Enrolling makes this server send to an address that the caller names, so it
// could be used against others. What bounds that: which addresses are told at all
// (see Config.Anywhere), how many subscribers there are at one address, one push
// when a subscriber is new and none when it is renewed, and that each is told once
// in 10 s only at an address that acknowledges nothing.
package push

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/musterhq/muster/registry"
)

// Topic is all that the content of a push depends on: what a subscriber asked
// for, as which client, and where it is as far as the service's selector asks.
type Topic struct {
	Service  registry.ServiceKey
	Clusters string         // as the client wrote it, which is its cache key
	Agent    string         // the client's User-Agent
	Wants    registry.Wants // of its address; found out for each push, not kept
}

// Subscriber is a client's socket that is told of one service.
type Subscriber struct {
	Topic

	Addr netip.AddrPort // its clientIP and udpPort
	App  string         // what it calls itself
}

// Config says how a Pusher works. Render is required.
type Config struct {
	// Render writes the list of hosts for a topic, and says how many it has; nil
	// means that there is nothing to tell. A service that is not in the snapshot
	// has an empty list. It is called by one goroutine.
	Render func(*registry.Snapshot, Topic) (list []byte, hosts int)
	// Anywhere lets a caller enrol any unicast address, as Nacos does. Else it may
	// enrol the address that it calls from, and one of the private networks if it
	// calls from there too: clients name the address of some interface of theirs,
	// which in a private network is often another one than the server sees. One
	// who calls through NAT names an address that means somebody else here, or
	// nobody; it is not told, and polls.
	Anywhere bool
	// Merge is the least time between two pushes to one subscriber; 0 means 40 ms.
	Merge time.Duration
	// Lapse is how long an enrolment lasts; 0 means 30 s, as in Nacos 2.x.
	Lapse time.Duration
	// AckWithin is how long an acknowledgement is waited for, twice; 0 means 10 s.
	AckWithin time.Duration
	// MaxSubscribers bounds the subscribers; 0 means 100,000.
	MaxSubscribers int
	// MaxPerAddr bounds those at one IP address; 0 means 2,000.
	MaxPerAddr int
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
	// Logger is told of services that no datagram holds; nil means discard.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Merge <= 0 {
		c.Merge = 40 * time.Millisecond
	}
	if c.Lapse <= 0 {
		c.Lapse = 30 * time.Second
	}
	if c.AckWithin <= 0 {
		c.AckWithin = 10 * time.Second
	}
	if c.MaxSubscribers <= 0 {
		c.MaxSubscribers = 100_000
	}
	if c.MaxPerAddr <= 0 {
		c.MaxPerAddr = 2000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Pusher keeps who is to be told of what, and tells them. It is safe for
// concurrent use, except that one Run at a time is all it can do.
type Pusher struct {
	config   Config
	metrics  *metrics
	disabled atomic.Bool
	least    atomic.Pointer[leastVersions]
	kick     chan struct{} // tells Run of a new row when none rested

	mu        sync.Mutex
	audiences map[registry.ServiceKey]*audience // guarded by mu, as is the rest
	hosts     map[netip.Addr]*host
	ours      []netip.Addr // of the hosts, those that are this host
	count     int          // rows
	awaited   map[ack]*row
	lapses    order // all rows, by when their enrolment ends
	rests     order // those that are told nothing more until then
	mutes     order // the same, where nobody answers
	overdue   order // those with a push to acknowledge, by when it is to be
	stamp     int64 // of the last push
	tally     tally
	since     tally // the tally when the statistics were reset
}

// New returns a Pusher, which tells nobody until it runs. The error is that of a
// missing Render or of a metric that is registered already.
func New(c Config) (*Pusher, error) {
	if c.Render == nil {
		return nil, errors.New("push: Render is required")
	}
	p := &Pusher{
		config: c.withDefaults(), kick: make(chan struct{}, 1), audiences: map[registry.ServiceKey]*audience{},
		hosts: map[netip.Addr]*host{}, awaited: map[ack]*row{},
		lapses: order{which: byLapse}, rests: order{which: byRest}, mutes: order{which: byMute}, overdue: order{which: byAck},
	}
	p.least.Store(&defaultVersions)
	var err error
	p.metrics, err = newMetrics(c.Registerer, p)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// SetEnabled is the switch pushEnabled, which is on at first. While it is off
// nobody enrols and nothing is sent, also later: clients poll.
func (p *Pusher) SetEnabled(on bool) { p.disabled.Store(!on) }
