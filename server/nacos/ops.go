package nacos

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/switches"
	"github.com/musterhq/muster/server/push"
)

type status struct {
	Status string `json:"status"`
}

// counts are what monitoring scripts of both generations read. An endpoint is a
// client here, as each beats for itself.
type counts struct {
	status
	ServiceCount                int      `json:"serviceCount"`
	InstanceCount               int      `json:"instanceCount"`
	SubscribeCount              int      `json:"subscribeCount"`
	ResponsibleServiceCount     int      `json:"responsibleServiceCount"`
	ResponsibleInstanceCount    int      `json:"responsibleInstanceCount"`
	ClientCount                 int      `json:"clientCount"`
	ConnectionBasedClientCount  int      `json:"connectionBasedClientCount"`
	EphemeralIPPortClientCount  int      `json:"ephemeralIpPortClientCount"`
	PersistentIPPortClientCount int      `json:"persistentIpPortClientCount"`
	ResponsibleClientCount      int      `json:"responsibleClientCount"`
	RaftNotifyTaskCount         int      `json:"raftNotifyTaskCount"`
	CPU                         fraction `json:"cpu"` // below 0: not known
	Load                        fraction `json:"load"`
	Mem                         fraction `json:"mem"`
}

// metrics is answered at any time: clients ask it whether the server is up.
func (h *Handler) metrics(c *call) (any, error) {
	snap := h.cfg.Registry.Snapshot()
	state := status{h.switches.Current().Status()}
	if snap == nil {
		state.Status = "STARTING"
	}
	if c.value("onlyStatus") == "" || c.isTrue("onlyStatus") || !c.caller.Admitted() {
		return state, nil
	}
	n := counts{status: state, CPU: -1, Load: -1, Mem: -1, SubscribeCount: h.cfg.Pusher.SubscriberCount() + h.tells.stats().subscriptions}
	if snap != nil {
		n.count(snap)
	}
	return n, nil
}

func (n *counts) count(snap *registry.Snapshot) {
	n.ServiceCount, n.InstanceCount, _ = snap.Counts()
	for s := range snap.Each() {
		if s.Ephemeral {
			n.EphemeralIPPortClientCount += s.Instances.Len()
		} else {
			n.PersistentIPPortClientCount += s.Instances.Len()
		}
	}
	n.ClientCount = n.EphemeralIPPortClientCount + n.PersistentIPPortClientCount
	n.ResponsibleServiceCount, n.ResponsibleInstanceCount = n.ServiceCount, n.InstanceCount
	n.ResponsibleClientCount = n.ClientCount
}

func (h *Handler) showSwitches(*call) (any, error) { return h.switches.Current(), nil }

// putSwitch sets a switch for all servers, or, with debug, for this one until it
// stops.
func (h *Handler) putSwitch(c *call) (any, error) {
	entry, err := c.required("entry")
	if err != nil {
		return nil, err
	}
	if !c.has("value") {
		return nil, absent{"value"}
	}
	if c.isTrue("debug") {
		err = h.switches.PutHere(entry, c.params["value"])
	} else {
		err = h.keepSwitch(c, entry, c.params["value"])
	}
	if bad, known := errors.AsType[*switches.ValueError](err); known {
		return nil, refuse(http.StatusBadRequest, "%s", bad).as(serverError)
	}
	if err != nil {
		return nil, err
	}
	h.log.Info("a switch was set", "entry", entry, "value", shortened(c.value("value")), "from", c.client())
	return ok, nil
}

func (h *Handler) keepSwitch(c *call, entry, value string) error {
	e, err := h.switches.Check(entry, value)
	if err != nil {
		return err
	}
	receipt, err := h.cfg.Registry.Set(c.r.Context(), switches.Kept, e.Key, e.Value)
	if err != nil {
		return err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	h.switches.Forget(e)
	return nil
}

// kept returns the switches that the settings of a registry keep.
func kept(r Registry) switches.Shared {
	return func() (map[string]string, int64) {
		if snap := r.Snapshot(); snap != nil {
			return snap.Settings(switches.Kept)
		}
		return nil, 0
	}
}

// setLogLevel takes a level and does nothing with it: levels are settings of the
// process.
func (h *Handler) setLogLevel(c *call) (any, error) {
	for _, name := range []string{"logName", "logLevel"} {
		if _, err := c.required(name); err != nil {
			return nil, err
		}
	}
	return ok, nil
}

type greeting struct {
	Msg string `json:"msg"`
}

func (h *Handler) greet(c *call) (any, error) {
	services := 0
	if snap := h.cfg.Registry.Snapshot(); snap != nil {
		services, _, _ = snap.Counts()
	}
	return greeting{fmt.Sprintf("Hello! I am Nacos-Naming and healthy! total services: %d, local port:%s", services, c.localPort())}, nil
}

// localPort is the port that a call came in at, empty where that is not known.
func (c *call) localPort() string {
	local, known := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !known {
		return ""
	}
	_, port, _ := net.SplitHostPort(local.String())
	return port
}

type responsible struct {
	ResponsibleServer string `json:"responsibleServer"`
}

// responsible answers this server, whoever is asked about: each takes everything.
func (h *Handler) responsible(c *call) (any, error) {
	for _, p := range c.takes {
		if _, err := c.required(p.Name); err != nil {
			return nil, err
		}
	}
	return responsible{h.self(c).Address}, nil
}

// cost returns a time in milliseconds, -1 when no push was acknowledged.
func cost(s push.Stats, d time.Duration) int64 {
	if s.Succeeded == 0 {
		return -1
	}
	return d.Milliseconds()
}

type pushCost struct {
	Avg int64 `json:"avgPushCost"`
	Max int64 `json:"maxPushCost"`
}

type pushState struct {
	Succeed uint64   `json:"succeed"`
	Total   uint64   `json:"total"`
	Ratio   fraction `json:"ratio"`
	Detail  pushCost `json:"detail"`
	Reset   bool     `json:"reset"`
}

func (h *Handler) pushState(c *call) (any, error) {
	s := h.cfg.Pusher.Stats()
	// What was sent before the counts began anew may fail after.
	state := pushState{s.Total - min(s.Failed, s.Total), s.Total, 1, pushCost{cost(s, s.Average), cost(s, s.Max)}, c.isTrue("reset")}
	if s.Total > 0 {
		state.Ratio = fraction(float64(state.Succeed) / float64(state.Total))
	}
	if state.Reset {
		if err := c.caller.Check(access.Write, access.Resource{Kind: access.Admin}); err != nil {
			return nil, err
		}
		h.cfg.Pusher.ResetStats()
	}
	return state, nil
}
