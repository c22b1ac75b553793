package nacos

import (
	"net"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/config"
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
	state := status{"UP"}
	if snap == nil {
		state.Status = "STARTING"
	}
	if c.value("onlyStatus") == "" || c.isTrue("onlyStatus") {
		return state, nil
	}
	n := counts{status: state, CPU: -1, Load: -1, Mem: -1}
	if snap != nil {
		n.ServiceCount, n.InstanceCount, _ = snap.Counts()
		for _, s := range snap.Services() {
			if s.Ephemeral {
				n.EphemeralIPPortClientCount += len(s.Instances)
			} else {
				n.PersistentIPPortClientCount += len(s.Instances)
			}
		}
	}
	n.ClientCount = n.EphemeralIPPortClientCount + n.PersistentIPPortClientCount
	n.ResponsibleServiceCount, n.ResponsibleInstanceCount = n.ServiceCount, n.InstanceCount
	n.ResponsibleClientCount = n.ClientCount
	return n, nil
}

func (h *Handler) liveness(c *call) (any, error) { return "OK", nil }

func (h *Handler) readiness(c *call) (any, error) {
	names, docs := h.cfg.Registry.Snapshot() != nil, h.cfg.Configs.View().Snapshot() != nil
	switch {
	case !names && !docs:
		return nil, refuse(http.StatusInternalServerError, "config and naming not in readiness")
	case !names:
		return nil, refuse(http.StatusInternalServerError, "naming not in readiness")
	case !docs:
		return nil, refuse(http.StatusInternalServerError, "config not in readiness")
	}
	if h.cfg.Ready != nil {
		if err := h.cfg.Ready(); err != nil {
			return nil, refuse(http.StatusInternalServerError, "%s", err)
		}
	}
	return "OK", nil
}

// state answers texts throughout, as old consoles expect.
func (h *Handler) state(c *call) (any, error) {
	port := ""
	if local, ok := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, port, _ = net.SplitHostPort(local.String())
	}
	return map[string]string{
		"version":               h.cfg.Version,
		"server_port":           port,
		"standalone_mode":       "standalone", // up to 2.2
		"startup_mode":          "standalone",
		"auth_enabled":          "false",
		"maxContent":            strconv.Itoa(config.MaxContent),
		"isManageCapacity":      "false",
		"isCapacityLimitCheck":  "false",
		"config_retention_days": "30",
	}, nil
}
