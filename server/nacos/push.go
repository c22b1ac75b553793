package nacos

import (
	"net/netip"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

// Pusher tells clients by UDP of changes of the services that they asked for;
// *push.Pusher is one. What it tells is what [Handler.Render] renders.
type Pusher interface {
	Enrol(s push.Subscriber, from netip.Addr) bool
	Subscribers(k registry.ServiceKey) []push.Subscriber
	SubscribersAt(at netip.AddrPort) []push.Subscriber
	SubscriberCount() int
	SetEnabled(on bool)
	SetVersion(client, from string) error
	Stats() push.Stats
	ResetStats()
}

// nobody is the Pusher of a server that tells nobody.
type nobody struct{}

func (nobody) Enrol(push.Subscriber, netip.Addr) bool            { return false }
func (nobody) Subscribers(registry.ServiceKey) []push.Subscriber { return nil }
func (nobody) SubscribersAt(netip.AddrPort) []push.Subscriber    { return nil }
func (nobody) SubscriberCount() int                              { return 0 }
func (nobody) SetEnabled(bool)                                   {}
func (nobody) SetVersion(string, string) error                   { return nil }
func (nobody) Stats() push.Stats                                 { return push.Stats{} }
func (nobody) ResetStats()                                       {}

// Render returns the list of hosts that a client is told when a service changed,
// and how many they are: what it gets when it asks. It renders the newest snapshot,
// as lists do, so that no stamp is of an older list than another.
func (h *Handler) Render(_ *registry.Snapshot, t push.Topic) ([]byte, int) {
	snap, stamp := h.read()
	info := h.list(snap, stamp, wish{service: t.Service, clusters: t.Clusters, agent: t.Agent, wants: t.Wants})
	text, err := encode(info)
	if err != nil {
		h.log.Error("a list cannot be written", "service", t.Service.String(), "err", err)
		return nil, 0
	}
	return []byte(text), len(info.Hosts)
}
