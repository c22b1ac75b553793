package nacos

import (
	"net/netip"

	"github.com/musterhq/muster/registry"
)

// Subscriber is a client's socket that is told of one service.
type Subscriber struct {
	Service  registry.ServiceKey
	Clusters string // as the client wrote it, which is its cache key
	Agent    string // its User-Agent
	App      string // what it calls itself
	Addr     netip.AddrPort
}

// PushStats counts pushes since the counts were reset.
type PushStats struct {
	Total, Failed, Empty uint64
	AvgCost, MaxCost     int64 // milliseconds until the acknowledgement; -1: none came
}

// Pusher tells clients by UDP of changes of the services that they asked for.
type Pusher interface {
	// Enrol has a subscriber told for a while. From is where its call came from. It
	// reports false for one that has to poll.
	Enrol(s Subscriber, from netip.Addr) bool
	Subscribers(k registry.ServiceKey) []Subscriber
	SubscriberCount() int
	SetEnabled(on bool)
	SetVersion(client, from string) error
	Stats() PushStats
	ResetStats()
}

// nobody is the Pusher of a server that tells nobody.
type nobody struct{}

func (nobody) Enrol(Subscriber, netip.Addr) bool            { return false }
func (nobody) Subscribers(registry.ServiceKey) []Subscriber { return nil }
func (nobody) SubscriberCount() int                         { return 0 }
func (nobody) SetEnabled(bool)                              {}
func (nobody) SetVersion(string, string) error              { return nil }
func (nobody) Stats() PushStats                             { return PushStats{AvgCost: -1, MaxCost: -1} }
func (nobody) ResetStats()                                  {}
