package nacos

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/registry"
)

// updateCluster says how the persistent instances of a cluster are checked.
func (h *Handler) updateCluster(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	name, err := c.required("clusterName")
	if err != nil {
		return nil, err
	}
	cluster, err := c.clusterSpec()
	if err != nil {
		return nil, err
	}
	receipt, err := h.cfg.Registry.UpdateCluster(c.r.Context(), k, name, cluster)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, refuse(http.StatusBadRequest, "service not found groupName: %s,serviceName: %s", k.Group, k.Name).as(serviceNotFoundV2)
	}
	return c.written(receipt, err)
}

func (c *call) clusterSpec() (registry.Cluster, error) {
	port, err := c.required("checkPort")
	if err != nil {
		return registry.Cluster{}, err
	}
	if _, err := c.required("useInstancePort4Check"); err != nil {
		return registry.Cluster{}, err
	}
	text, err := c.required("healthChecker")
	if err != nil {
		return registry.Cluster{}, err
	}
	check, err := parseChecker(text)
	if err != nil {
		return registry.Cluster{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return registry.Cluster{}, illegal("checkPort", "the value should be between 0 and 65535.")
	}
	if !says(c.value("useInstancePort4Check")) {
		check.Port = uint16(n)
	}
	metadata, err := c.metadata()
	return registry.Cluster{Check: check, Metadata: metadata}, err
}

// setHealth is the operator's say about the health of a persistent instance that
// nobody checks; an unknown instance is fine.
func (h *Handler) setHealth(c *call) (any, error) {
	healthy := c.value("healthy", "valid")
	if healthy == "" {
		return nil, absent{"healthy"}
	}
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	receipt, err := h.cfg.Registry.Override(c.r.Context(), k, registry.Edit{Healthy: new(says(healthy))})
	if checked, ok := errors.AsType[*registry.CheckedError](err); ok {
		return nil, refuse(http.StatusBadRequest, "health check is still working, service: %s, cluster: %s",
			checked.Service.Grouped(), c.or("clusterName", checked.Cluster)).as(healthRunning)
	}
	if errors.Is(err, registry.ErrNotFound) {
		return ok, nil
	}
	return c.written(receipt, err)
}
