package nacos

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Member is a server of the cluster.
type Member struct {
	Address string // host:port of its HTTP edge
	Version string
	Self    bool // the one that is asked
}

// memberView is a server as consoles show it.
type memberView struct {
	IP            string         `json:"ip"`
	Port          int            `json:"port"`
	State         string         `json:"state"`
	ExtendInfo    map[string]any `json:"extendInfo"`
	Address       string         `json:"address"`
	FailAccessCnt int            `json:"failAccessCnt"`
	Abilities     abilities      `json:"abilities"`
	GRPCReport    bool           `json:"grpcReportEnabled"`
}

// abilities say that no server speaks to another one as Nacos does.
type abilities struct {
	Remote struct {
		Connection bool `json:"supportRemoteConnection"`
		Report     bool `json:"grpcReportEnabled"`
	} `json:"remoteAbility"`
	Config struct {
		Metrics bool `json:"supportRemoteMetrics"`
	} `json:"configAbility"`
	Naming struct {
		Raft bool `json:"supportJraft"`
	} `json:"namingAbility"`
}

// members returns the servers of the cluster: this one at least.
func (h *Handler) members(c *call) []Member {
	if h.cfg.Members != nil {
		if all := h.cfg.Members(); len(all) > 0 {
			return all
		}
	}
	address := c.r.Host
	if local, known := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr); known {
		address = local.String()
	}
	return []Member{{Address: address, Version: h.cfg.Version, Self: true}}
}

// self returns this server.
func (h *Handler) self(c *call) Member {
	all := h.members(c)
	for _, m := range all {
		if m.Self {
			return m
		}
	}
	return all[0]
}

// stateOf returns the state of this server or, of another one that is on the
// list, that it is up.
func (h *Handler) stateOf(m Member) string {
	if m.Self && h.unready() != "" {
		return "STARTING"
	}
	return "UP"
}

func (h *Handler) memberView(m Member) memberView {
	host, port, err := net.SplitHostPort(m.Address)
	if err != nil {
		host = m.Address
	}
	n, _ := strconv.Atoi(port)
	return memberView{IP: host, Port: n, State: h.stateOf(m), Address: m.Address, ExtendInfo: map[string]any{
		"lastRefreshTime": h.cfg.Now().UnixMilli(), "raftMetaData": map[string]any{"metaDataMap": map[string]any{}},
		"readyToUpgrade": true, "version": m.Version,
	}}
}

func (h *Handler) memberSelf(c *call) (any, error) { return h.memberView(h.self(c)), nil }

var states = map[string]bool{"": true, "STARTING": true, "UP": true, "SUSPICIOUS": true, "DOWN": true, "ISOLATION": true}

func (h *Handler) memberList(c *call) (any, error) {
	state := strings.ToUpper(c.value("state"))
	if !states[state] {
		return nil, refuse(http.StatusBadRequest, "Illegal state: %s", shortened(c.value("state"))).as(illegalState)
	}
	all := []memberView{}
	for _, m := range h.members(c) {
		v := h.memberView(m)
		if strings.Contains(m.Address, c.value("address", "keyword")) && (state == "" || state == v.State) {
			all = append(all, v)
		}
	}
	return all, nil
}

func (h *Handler) memberAddresses(c *call) (any, error) {
	return each(h.members(c), func(m Member) string { return m.Address }), nil
}

func (h *Handler) memberState(c *call) (any, error) { return h.stateOf(h.self(c)), nil }

type servers struct {
	Servers []memberView `json:"servers"`
}

// servers answers clients of old that look for servers.
func (h *Handler) servers(c *call) (any, error) {
	return servers{each(h.members(c), h.memberView)}, nil
}

// serverList is the list of an address server, one server a line.
func (h *Handler) serverList(c *call) (any, error) {
	var b strings.Builder
	for _, m := range h.members(c) {
		b.WriteString(m.Address + "\n")
	}
	return b.String(), nil
}

// notByHand refuses what would change the cluster: servers come and go by
// themselves.
func (h *Handler) notByHand(c *call) (any, error) {
	return nil, refuse(http.StatusMethodNotAllowed, "not allowed: servers join and leave by themselves").as(serverError)
}

// ids answers what is known of generators of ids, which is nothing.
func (h *Handler) ids(*call) (any, error) { return map[string]any{}, nil }
