package nacos

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

// subscriber is a client that is told of a service, under the names of all
// versions.
type subscriber struct {
	AddrStr     string `json:"addrStr"`
	Agent       string `json:"agent"`
	App         string `json:"app"`
	AppName     string `json:"appName"`
	IP          string `json:"ip"`
	Port        uint16 `json:"port"`
	NamespaceID string `json:"namespaceId"`
	GroupName   string `json:"groupName"`
	ServiceName string `json:"serviceName"`
	Cluster     string `json:"cluster"`
}

// watcher is a subscriber with the id that it has as a client.
type watcher struct {
	push.Subscriber

	client string
}

func newWatcher(s push.Subscriber) watcher { return watcher{s, idOfAddr(s.Addr)} }

// watchersOf returns who is told of a service by this server: by UDP, and over gRPC.
func (h *Handler) watchersOf(k registry.ServiceKey) []watcher {
	return append(each(h.cfg.Pusher.Subscribers(k), newWatcher), h.tells.watchersOf(k)...)
}

// newSubscriber returns the row of a subscriber; version 1 has the group within
// the name of the service.
func newSubscriber(s push.Subscriber, name string) subscriber {
	return subscriber{s.Addr.String(), s.Agent, s.App, s.App, s.Addr.Addr().String(), s.Addr.Port(), s.Service.Namespace,
		s.Service.Group, name, s.Clusters}
}

// rows returns the subscribers of a service under the name of a version, those of
// other servers too unless aggregation is false; ordered, as they are asked for page
// by page and servers answer in any order. A server that does not answer is left out.
func (h *Handler) rows(c *call, k registry.ServiceKey, name string) []subscriber {
	all := each(h.watchersOf(k), func(w watcher) subscriber { return newSubscriber(w.Subscriber, name) })
	if c.has("aggregation") && !c.isTrue("aggregation") {
		return all
	}
	question := url.Values{"serviceName": {k.Grouped()}, "namespaceId": {k.Namespace}, "pageSize": {strconv.Itoa(maxElsewhere)}, "aggregation": {"false"}}
	h.cfg.Elsewhere(c.r.Context(), h.cfg.ContextPath+naming1.prefix+"/service/subscribers?"+question.Encode(), func(body []byte) {
		var there subscriberRows
		if json.Unmarshal(body, &there) == nil {
			for _, s := range there.Subscribers {
				s.ServiceName = name
				all = append(all, s)
			}
		}
	})
	slices.SortFunc(all, func(a, b subscriber) int {
		return cmp.Or(cmp.Compare(a.AddrStr, b.AddrStr), cmp.Compare(a.Cluster, b.Cluster))
	})
	return all
}

// maxElsewhere bounds the subscribers that are taken of another server.
const maxElsewhere = 100000

type subscriberRows struct {
	Subscribers []subscriber `json:"subscribers"`
	Count       int          `json:"count"`
}

// subscribers answers an empty list to what it cannot answer, as Nacos.
func (h *Handler) subscribers(c *call) (any, error) {
	answer := subscriberRows{Subscribers: []subscriber{}}
	k, err := c.serviceKey()
	if _, denied := errors.AsType[*access.Denied](err); denied {
		return nil, err
	}
	c.caller.ChecksEach()
	if err != nil {
		return answer, nil //nolint:nilerr // that is the answer
	}
	no, size, err := c.looser(1000)
	if err != nil {
		return answer, nil //nolint:nilerr // that is the answer
	}
	all := h.rows(c, k, k.Grouped())
	from, to := bounds(no, size, len(all))
	return subscriberRows{all[from:to], len(all)}, nil
}

func (h *Handler) subscriberPage(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	return pageOf(h.rows(c, k, k.Name), no, size), nil
}

// app returns what the caller calls itself.
func (c *call) app() string {
	for _, name := range []string{"Client-AppName", "app"} {
		if v := c.r.Header.Get(name); v != "" {
			return v
		}
	}
	return c.or("app", "unknown")
}

// clientID is the id of who speaks HTTP.
func clientID(addr string, ephemeral bool) string {
	return addr + "#" + strconv.FormatBool(ephemeral)
}

// idOf returns the id of who published an instance of a snapshot: its connection, else
// its endpoint, as it beats for itself.
func idOf(snap *registry.Snapshot, i *registry.Instance) string {
	if id := snap.HeldBy(i); id != "" {
		return id
	}
	return clientID(i.Key.Endpoint.Host+":"+strconv.Itoa(int(i.Key.Endpoint.Port)), i.Ephemeral())
}

func idOfAddr(a netip.AddrPort) string { return clientID(a.String(), true) }
