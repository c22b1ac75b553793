package nacos

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/musterhq/muster/server/nacos/rpc"
)

// Load is how many clients another server has over gRPC.
type Load struct {
	Address string // host:port of its HTTP edge, as clients know it
	Clients int
}

// connections are the clients over gRPC that have set up. The zero value has none; it is
// safe for concurrent use.
type connections struct {
	mu sync.Mutex
	by map[string]*rpc.Conn // by id; guarded by mu
}

func (s *connections) add(c *rpc.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*rpc.Conn{}
	}
	s.by[c.ID()] = c
}

func (s *connections) remove(c *rpc.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, c.ID())
}

// find returns the connection of an id, nil: it is not there.
func (s *connections) find(id string) *rpc.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}

func (s *connections) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by)
}

// list returns all of them, in any order.
func (s *connections) list() []*rpc.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*rpc.Conn, 0, len(s.by))
	for _, c := range s.by {
		all = append(all, c)
	}
	return all
}

// keep asks clients to move to a server, or to any where that is empty, but for so many.
// Those that were asked before are gone already.
func (s *connections) keep(n int, to string) (asked int) {
	var stay []*rpc.Conn
	for _, c := range s.list() {
		if !c.Stats().Moving {
			stay = append(stay, c)
		}
	}
	for _, c := range stay[min(n, len(stay)):] {
		c.Reset(to)
		asked++
	}
	return asked
}

// connectionView is a client as operators of Nacos are shown it.
type connectionView struct {
	Traced    bool              `json:"traced"`
	Abilities map[string]bool   `json:"abilityTable"`
	Meta      connectionMeta    `json:"metaInfo"`
	Labels    map[string]string `json:"labels"`
	Connected bool              `json:"connected"`
}

type connectionMeta struct {
	ConnectType  string            `json:"connectType"`
	ClientIP     string            `json:"clientIp"`
	RemoteIP     string            `json:"remoteIp"`
	RemotePort   uint16            `json:"remotePort"`
	Version      string            `json:"version"`
	ConnectionID string            `json:"connectionId"`
	CreateTime   string            `json:"createTime"`
	AppName      string            `json:"appName"`
	NamespaceID  string            `json:"namespaceId"`
	Labels       map[string]string `json:"labels"`
	TLSProtected bool              `json:"tlsProtected"`
}

// connections answers the clients that are connected to this server over gRPC, by id.
func (h *Handler) connections(*call) (any, error) {
	all := map[string]connectionView{}
	for _, c := range h.conns.list() {
		who := c.Client()
		all[c.ID()] = connectionView{Abilities: who.Abilities, Labels: who.Labels, Connected: true, Meta: connectionMeta{
			"GRPC", clientIP(c), who.Addr.Addr().Unmap().String(), who.Addr.Port(), who.Version, c.ID(),
			c.Since().UTC().Format("2006-01-02T15:04:05.000+00:00"), who.Labels["AppName"], who.Tenant, who.Labels, who.TLS != nil}}
	}
	return all, nil
}

// loader is how the clients are spread over the servers. Versions 2 and 3 have the counts
// of a server at different places.
type loader struct {
	Total     int          `json:"total"`
	Min       int          `json:"min"`
	Max       int          `json:"max"`
	Avg       int          `json:"avg"`
	Threshold string       `json:"threshold"`
	Completed bool         `json:"completed"`
	Detail    []serverLoad `json:"detail"`
	Members   int          `json:"memberCount"`
	Metrics   int          `json:"metricsCount"`
}

type serverLoad struct {
	Address string            `json:"address"`
	Clients int               `json:"sdkConCount"`
	All     int               `json:"conCount"` // the same: servers do not speak to one another that way
	Metric  map[string]string `json:"metric"`
}

func (h *Handler) loader(c *call) (any, error) {
	all, known := h.cfg.Loads(c.r.Context())
	all = append(all, Load{h.self(c).Address, h.conns.len()})
	answer := loader{Completed: known, Detail: []serverLoad{}, Members: len(h.members(c)), Metrics: len(all), Min: all[0].Clients}
	for _, l := range all {
		n := strconv.Itoa(l.Clients)
		answer.Detail = append(answer.Detail, serverLoad{l.Address, l.Clients, l.Clients, map[string]string{"sdkConCount": n, "conCount": n}})
		answer.Total, answer.Min, answer.Max = answer.Total+l.Clients, min(answer.Min, l.Clients), max(answer.Max, l.Clients)
	}
	answer.Avg = answer.Total / len(all)
	answer.Threshold = strconv.FormatFloat(float64(answer.Avg)*1.1, 'f', -1, 64)
	return answer, nil
}

// reloaded answers that clients were asked to move.
func (c *call) reloaded() (any, error) {
	if c.form == wrapped {
		return nil, nil
	}
	return "success", nil
}

// reloadCurrent asks so many clients of this server to move that as many are left as the
// call says.
func (h *Handler) reloadCurrent(c *call) (any, error) {
	text, err := c.required("count")
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, illegal("count", "the value should be a number from 0 on.")
	}
	h.log.Info("clients are asked to move", "clients", h.conns.keep(n, c.value("redirectAddress")), "from", c.client())
	return c.reloaded()
}

// reloadClient asks one client of this server to move. One that is not there is at
// another server, or gone: as in Nacos that is no error.
func (h *Handler) reloadClient(c *call) (any, error) {
	id, err := c.required("connectionId")
	if err != nil {
		return nil, err
	}
	if conn := h.conns.find(id); conn != nil {
		conn.Reset(c.value("redirectAddress"))
	}
	return c.reloaded()
}

// smartReload has each server that has more clients than most ask what is above that to
// move.
func (h *Handler) smartReload(c *call) (any, error) {
	here, err := h.smartReloadHere(c)
	if err != nil {
		return nil, err
	}
	done := 0
	if known, _ := here.(bool); known {
		done++
	}
	question := h.cfg.ContextPath + core3.prefix + "/loader/smartReloadCurrent?" + url.Values{"loaderFactor": {c.value("loaderFactor")}}.Encode()
	h.cfg.Elsewhere(c.r.Context(), question, func(body []byte) {
		var there struct{ Data bool }
		if json.Unmarshal(body, &there) == nil && there.Data {
			done++
		}
	})
	switch all := done >= len(h.members(c)); {
	case all && c.form == wrapped:
		return nil, nil
	case all:
		return "Ok", nil
	case c.form == wrapped:
		return nil, refuse(http.StatusInternalServerError, "Smart reload failed, please try again later.").as(serverError)
	}
	return "Fail", nil
}

// smartReloadHere does it at this server, and answers whether it knows enough of the
// others for that. The one that has most sends to the one that has least, the second to
// the second.
func (h *Handler) smartReloadHere(c *call) (any, error) {
	factor := 0.1
	if text := c.value("loaderFactor"); text != "" {
		var err error
		if factor, err = strconv.ParseFloat(text, 64); err != nil || !(factor >= 0 && factor <= 1) {
			return nil, illegal("loaderFactor", "the value should be between 0 and 1.")
		}
	}
	others, known := h.cfg.Loads(c.r.Context())
	if !known {
		return false, nil
	}
	mine := h.conns.len()
	total, rank := mine, 0
	for _, o := range others {
		total += o.Clients
		if o.Clients > mine {
			rank++
		}
	}
	average := float64(total / (len(others) + 1))
	most, least := int(average*(1+factor)), int(average*(1-factor))
	if mine > most && rank < len(others) && others[rank].Clients < least {
		h.log.Info("clients are asked to move", "clients", h.conns.keep(most, others[rank].Address), "to", others[rank].Address, "from", c.client())
	}
	return true, nil
}

// alone is the load of the others where there are none.
func alone(context.Context) ([]Load, bool) { return nil, true }
