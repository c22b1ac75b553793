package nacos

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

// serviceInfo is a service with its hosts: the fields of the 1.x and of the 2.x
// answer, so that every client finds its own.
type serviceInfo struct {
	Name                     string            `json:"name"`
	GroupName                string            `json:"groupName"`
	Clusters                 string            `json:"clusters"` // what the caller asked for, byte for byte: its cache key
	CacheMillis              int64             `json:"cacheMillis"`
	Hosts                    []host            `json:"hosts"`
	LastRefTime              int64             `json:"lastRefTime"`
	Checksum                 string            `json:"checksum"`
	AllIPs                   bool              `json:"allIPs"`
	AllIps                   bool              `json:"allIps"` // its name in 3.0
	ReachProtectionThreshold bool              `json:"reachProtectionThreshold"`
	Valid                    bool              `json:"valid"`
	Dom                      string            `json:"dom"`
	UseSpecifiedURL          bool              `json:"useSpecifiedURL"`
	Env                      string            `json:"env"`
	Metadata                 map[string]string `json:"metadata"` // of the service
}

// wish is what a client wants a list of.
type wish struct {
	service  registry.ServiceKey
	clusters string // as the client wrote it
	healthy  bool   // only what is answered to a resolver
	agent    string
	wants    registry.Wants
}

// listFrom answers lists whose clusters, and the client's address for pushes,
// are in parameters of these names.
func listFrom(clusters, ip, port string) handle {
	return func(h *Handler, c *call) (any, error) {
		k, err := c.serviceKey()
		if err != nil {
			return nil, err
		}
		udp, err := c.udpPort(port)
		if err != nil {
			return nil, err
		}
		w := wish{service: k, clusters: c.params[clusters], healthy: c.isTrue("healthyOnly"), agent: c.agent()}
		if said, err := netip.ParseAddr(c.value(ip)); err == nil && udp > 0 {
			from, _ := netip.ParseAddr(c.peer())
			h.cfg.Pusher.Enrol(push.Subscriber{Topic: push.Topic{Service: k, Clusters: w.clusters, Agent: w.agent},
				Addr: netip.AddrPortFrom(said.Unmap(), udp), App: c.app()}, from)
		}
		snap, stamp := h.read()
		if s := snap.Service(k); s != nil {
			w.wants = s.Wants(c.consumer(ip))
		}
		info := h.list(snap, stamp, w)
		info.Env = c.params["env"]
		return info, nil
	}
}

func (c *call) udpPort(name string) (uint16, error) {
	v := c.value(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, illegal(name, "the value should be between 0 and 65535.")
	}
	return uint16(n), nil
}

// consumer is the address that a list is for: what the client says, else where
// the call came from.
func (c *call) consumer(name string) netip.Addr {
	if a, err := netip.ParseAddr(c.value(name)); err == nil {
		return a.Unmap()
	}
	a, _ := netip.ParseAddr(c.client())
	return a
}

// list returns what a client wishes to know, at one snapshot.
func (h *Handler) list(snap *registry.Snapshot, stamp int64, w wish) serviceInfo {
	set := h.switches.Current()
	info := serviceInfo{
		Name: w.service.Grouped(), GroupName: w.service.Group, Clusters: w.clusters, CacheMillis: set.DefaultPushCacheMillis,
		Hosts: []host{}, LastRefTime: stamp, Valid: true, Dom: w.service.Name, Metadata: map[string]string{},
	}
	if !set.PushEnabled { // then clients have to ask more often
		info.CacheMillis = set.DefaultCacheMillis
	}
	if strings.HasPrefix(w.agent, "Nacos-Java-Client") {
		info.Dom = w.service.Grouped()
	}
	if s := snap.Service(w.service); s != nil {
		info.Hosts, info.ReachProtectionThreshold = hostsOf(within(s, w.clusters), w.healthy, w.wants)
		info.Metadata = orEmpty(s.Metadata)
	}
	return info
}

// hostsOf returns the hosts of a service that a consumer gets, given what it wants. With healthy they
// are the set that every door answers; else all that are enabled and suit it,
// with their true flags, unless the protect threshold holds: then all are called
// healthy.
func hostsOf(s *registry.Service, healthy bool, wants registry.Wants) (hosts []host, protected bool) {
	sel := s.Select(registry.Filter{Wants: wants})
	listed := sel.Instances
	if !healthy {
		listed = s.Suiting(enabled(s.Instances.List()), wants)
	}
	return newHosts(listed, sel.Protected), sel.Protected
}

func newHosts(all []*registry.Instance, protected bool) []host {
	hosts := make([]host, 0, len(all))
	for _, i := range all {
		hosts = append(hosts, newHost(i, i.Healthy || protected))
	}
	return hosts
}

// within returns the service with the instances of some clusters, so that the
// registry's own rule selects among them; all of them when none is named.
func within(s *registry.Service, clusters string) *registry.Service {
	names := entries(clusters)
	if len(names) == 0 {
		return s
	}
	return s.Part(func(i *registry.Instance) bool { return slices.Contains(names, i.Cluster) })
}

func enabled(all []*registry.Instance) []*registry.Instance {
	if !slices.ContainsFunc(all, func(i *registry.Instance) bool { return !i.Enabled }) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(i *registry.Instance) bool { return !i.Enabled })
}

// hostsForClient answers the hosts of one cluster, of version 3 of the clients'
// API: it reads healthyOnly and does not apply it, as Nacos.
func (h *Handler) hostsForClient(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return []host{}, nil
	}
	hosts, _ := hostsOf(within(s, c.or("clusterName", registry.DefaultCluster)), false, s.Wants(c.consumer("ip")))
	return hosts, nil
}

// hostsForOperator answers the hosts of one cluster, disabled ones among them,
// unless only those are asked for that are answered.
func (h *Handler) hostsForOperator(c *call) ([]host, error) {
	s, err := h.clusterOf(c, registry.DefaultCluster)
	if err != nil {
		return nil, err
	}
	if c.isTrue("healthyOnly") {
		sel := s.Select(registry.Filter{})
		return newHosts(sel.Instances, sel.Protected), nil
	}
	return newHosts(s.Instances.List(), false), nil
}

func (h *Handler) operatorHosts(c *call) (any, error) { return h.hostsForOperator(c) }

func (h *Handler) operatorHostPage(c *call) (any, error) {
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	hosts, err := h.hostsForOperator(c)
	if err != nil {
		return nil, err
	}
	return pageOf(hosts, no, size), nil
}
