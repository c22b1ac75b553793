package nacos

import (
	"net/http"
	"strconv"

	"github.com/musterhq/muster/config"
)

func (h *Handler) liveness(c *call) (any, error) {
	if c.form == wrapped {
		return ok, nil
	}
	return "OK", nil
}

func (h *Handler) readiness(c *call) (any, error) {
	if why := h.unready(); why != "" {
		r := refuse(http.StatusInternalServerError, "%s", why).as(serverError)
		if c.on == core3 { // its status is a success there
			r.status, r.pinned = http.StatusOK, true
		}
		return nil, r
	}
	return h.liveness(c)
}

// unready says why the server takes no calls, empty when it does.
func (h *Handler) unready() string {
	names, docs := h.cfg.Registry.Snapshot() != nil, h.cfg.Configs.View().Snapshot() != nil
	switch {
	case !names && !docs:
		return "config and naming not in readiness"
	case !names:
		return "naming not in readiness"
	case !docs:
		return "config not in readiness"
	}
	if h.cfg.Ready != nil {
		if err := h.cfg.Ready(); err != nil {
			return err.Error()
		}
	}
	return ""
}

func (h *Handler) configHealth(*call) (any, error) {
	if why := h.unready(); why != "" {
		return "DOWN:" + why, nil
	}
	return "UP", nil
}

// state answers texts throughout, as old consoles expect.
func (h *Handler) state(c *call) (any, error) {
	mode := "standalone"
	if len(h.members(c)) > 1 {
		mode = "cluster"
	}
	return map[string]any{
		"version":                       h.cfg.Version,
		"server_port":                   c.localPort(),
		"standalone_mode":               mode, // up to 2.2
		"startup_mode":                  mode,
		"function_mode":                 nil,
		"auth_enabled":                  strconv.FormatBool(h.cfg.Login != nil),
		"auth_system_type":              "nacos",
		"auth_admin_request":            "false",
		"login_page_enabled":            "false",
		"console_ui_enabled":            "false",
		"maxContent":                    strconv.Itoa(config.MaxContent),
		"isManageCapacity":              "false",
		"isCapacityLimitCheck":          "false",
		"isHealthCheck":                 "true",
		"defaultMaxSize":                "102400",
		"defaultMaxAggrSize":            "1024",
		"defaultClusterQuota":           "100000",
		"defaultGroupQuota":             "200",
		"notifyConnectTimeout":          "100",
		"notifySocketTimeout":           "200",
		"config_retention_days":         "30",
		"datasource_platform":           "etcd",
		"plugin_datasource_log_enabled": "false",
	}, nil
}

// announcement and guide are texts of a console; there are none.
func (h *Handler) announcement(*call) (any, error) { return nil, nil }

type health struct {
	Status string `json:"status"`
}

// actuatorHealth is asked by monitoring.
func (h *Handler) actuatorHealth(c *call) (any, error) {
	if h.unready() != "" {
		return answered{}, c.jsonAs(http.StatusServiceUnavailable, health{"OUT_OF_SERVICE"})
	}
	return health{"UP"}, nil
}

func (h *Handler) actuatorMetrics(c *call) error {
	if h.cfg.Metrics == nil {
		return refusePage(http.StatusNotFound, "No message available")
	}
	h.cfg.Metrics.ServeHTTP(c.w, c.r)
	return nil
}
