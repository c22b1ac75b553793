package nacos

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

// clients answers the ids of all who published an instance, or are connected to this
// server and told of a service. An endpoint that no connection holds is a client of its
// own, as it beats for itself.
func (h *Handler) clients(*call) (any, error) {
	seen := map[string]bool{}
	all := []string{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	snap := h.cfg.Registry.Snapshot()
	for _, s := range snap.Services() {
		for i := range s.Instances.All() {
			add(idOf(snap, i))
		}
	}
	for _, id := range h.tells.listeners() {
		add(id)
	}
	slices.Sort(all)
	return all, nil
}

// publishedBy returns the instances of a client, none for an id that is none.
func (h *Handler) publishedBy(id string) []*registry.Instance {
	snap := h.cfg.Registry.Snapshot()
	if c := snap.Connection(id); c != nil {
		all := make([]*registry.Instance, 0, len(c.Instances))
		for _, k := range c.Instances {
			if i := snap.Instance(k); i != nil {
				all = append(all, i)
			}
		}
		slices.SortFunc(all, func(a, b *registry.Instance) int { return strings.Compare(a.Key.String(), b.Key.String()) })
		return all
	}
	addr, kind, found := strings.Cut(id, "#")
	at := strings.LastIndexByte(addr, ':')
	if !found || at < 0 {
		return nil
	}
	e, err := endpoint(strings.Trim(addr[:at], "[]"), addr[at+1:])
	if err != nil {
		return nil
	}
	var all []*registry.Instance
	for _, s := range snap.Services() {
		if i := s.Instance(e); i != nil && i.Witness != registry.WitnessConnection && strconv.FormatBool(i.Ephemeral()) == kind {
			all = append(all, i)
		}
	}
	return all
}

// subscribedBy returns the subscriptions of a client.
func (h *Handler) subscribedBy(id string) []watcher {
	if told := h.tells.toldTo(id); len(told) > 0 {
		return told
	}
	addr, ephemeral := strings.CutSuffix(id, "#true")
	at, err := netip.ParseAddrPort(addr)
	if !ephemeral || err != nil {
		return nil
	}
	return each(h.cfg.Pusher.SubscribersAt(at), newWatcher)
}

type client struct {
	ClientID        string `json:"clientId"`
	Ephemeral       bool   `json:"ephemeral"`
	LastUpdatedTime int64  `json:"lastUpdatedTime"` // 0: it is not kept
	ClientType      string `json:"clientType"`
	ClientIP        string `json:"clientIp"`
	ClientPort      string `json:"clientPort"`
	ConnectType     string `json:"connectType,omitempty"`
	AppName         string `json:"appName,omitempty"`
	Version         string `json:"version,omitempty"`
}

// known returns the client a call is about with what it published and what it
// is told of; one that did neither is not there.
func (h *Handler) known(c *call) (id string, published []*registry.Instance, subscribed []watcher, err error) {
	if id, err = c.required("clientId"); err != nil {
		return "", nil, nil, err
	}
	published, subscribed = h.publishedBy(id), h.subscribedBy(id)
	if len(published) == 0 && len(subscribed) == 0 {
		err = refuse(http.StatusNotFound, "clientId [ %s ] not exist", shortened(id))
	}
	return id, published, subscribed, err
}

func (h *Handler) client(c *call) (any, error) {
	id, _, subscribed, err := h.known(c)
	if err != nil {
		return nil, err
	}
	if connected, held := h.conns.find(id), h.cfg.Registry.Snapshot().Connection(id) != nil; connected != nil || held {
		return connectedClient(id, connected, subscribed), nil
	}
	addr, kind, _ := strings.Cut(id, "#")
	at := strings.LastIndexByte(addr, ':')
	answer := client{ClientID: id, Ephemeral: kind == "true", ClientType: "ipPort", ClientIP: strings.Trim(addr[:at], "[]"), ClientPort: addr[at+1:]}
	if len(subscribed) > 0 {
		answer.AppName, answer.Version = subscribed[0].App, subscribed[0].Agent
	}
	return answer, nil
}

// connectedClient is a client over gRPC; conn is nil for one of another server, of which
// no more is known than what it holds.
func connectedClient(id string, conn *rpc.Conn, subscribed []watcher) client {
	answer := client{ClientID: id, Ephemeral: true, ClientType: "connection", ConnectType: "GRPC"}
	if conn == nil {
		return answer
	}
	who := conn.Client()
	answer.LastUpdatedTime, answer.ClientIP, answer.ClientPort = conn.Since().UnixMilli(), who.Addr.Addr().Unmap().String(), strconv.Itoa(int(who.Addr.Port()))
	answer.Version = who.Version
	if len(subscribed) > 0 {
		answer.AppName = subscribed[0].App
	}
	return answer
}

// publication is a service with the instance that a client published of it, or
// with the client that is told of it, under the names of versions 2 and 3.
type publication struct {
	Namespace   string `json:"namespace"`
	NamespaceID string `json:"namespaceId"`
	Group       string `json:"group"`
	GroupName   string `json:"groupName"`
	ServiceName string `json:"serviceName"`

	Registered *publisher `json:"registeredInstance,omitempty"`
	Publisher  *publisher `json:"publisherInfo,omitempty"`
	Subscriber *consumer  `json:"subscriberInfo,omitempty"`
}

type publisher struct {
	ClientID    string `json:"clientId"`
	IP          string `json:"ip"`
	Port        uint16 `json:"port"`
	Cluster     string `json:"cluster"`
	ClusterName string `json:"clusterName"`
}

type consumer struct {
	ClientID string `json:"clientId"`
	App      string `json:"app"`
	AppName  string `json:"appName"`
	Agent    string `json:"agent"`
	Addr     string `json:"addr"`
	Address  string `json:"address"`
	IP       string `json:"ip"`
	Port     uint16 `json:"port"`
}

func newPublication(k registry.ServiceKey) publication {
	return publication{Namespace: k.Namespace, NamespaceID: k.Namespace, Group: k.Group, GroupName: k.Group, ServiceName: k.Name}
}

func newPublisher(snap *registry.Snapshot, i *registry.Instance) publisher {
	return publisher{idOf(snap, i), i.Key.Endpoint.Host, i.Key.Endpoint.Port, i.Cluster, i.Cluster}
}

func newConsumer(s watcher) consumer {
	addr := s.Addr.String()
	return consumer{s.client, s.App, s.App, s.Agent, addr, addr, s.Addr.Addr().String(), s.Addr.Port()}
}

func (h *Handler) clientPublished(c *call) (any, error) {
	_, published, _, err := h.known(c)
	if err != nil {
		return nil, err
	}
	snap := h.cfg.Registry.Snapshot()
	return each(published, func(i *registry.Instance) publication {
		p, of := newPublication(i.Key.Service), newPublisher(snap, i)
		p.Registered, p.Publisher = &of, &of
		return p
	}), nil
}

func (h *Handler) clientSubscribed(c *call) (any, error) {
	_, _, subscribed, err := h.known(c)
	if err != nil {
		return nil, err
	}
	return each(subscribed, func(s watcher) publication {
		p, of := newPublication(s.Service), newConsumer(s)
		p.Subscriber = &of
		return p
	}), nil
}

// endpointFilter returns what admits an address: the parameters ip and port, as
// far as they are there.
func (c *call) endpointFilter() func(ip string, port uint16) bool {
	return func(ip string, port uint16) bool {
		return (c.value("ip") == "" || c.value("ip") == ip) && (c.value("port") == "" || c.value("port") == strconv.Itoa(int(port)))
	}
}

func (h *Handler) servicePublishers(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	all, admits := []publisher{}, c.endpointFilter()
	snap := h.cfg.Registry.Snapshot()
	if s := snap.Service(k); s != nil && s.Ephemeral == c.flagOr(true, "ephemeral") {
		for i := range s.Instances.All() {
			if admits(i.Key.Endpoint.Host, i.Key.Endpoint.Port) {
				all = append(all, newPublisher(snap, i))
			}
		}
	}
	return all, nil
}

func (h *Handler) serviceSubscribers(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	all, admits := []consumer{}, c.endpointFilter()
	for _, s := range h.watchersOf(k) {
		if admits(s.Addr.Addr().String(), s.Addr.Port()) {
			all = append(all, newConsumer(s))
		}
	}
	return all, nil
}
