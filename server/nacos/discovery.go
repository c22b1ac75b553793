package nacos

import (
	"strings"

	"github.com/musterhq/muster/registry"
)

// target is an instance as Prometheus discovers it over HTTP.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

var labelName = strings.NewReplacer(".", "_", "-", "_")

func newTarget(i *registry.Instance) target {
	labels := map[string]string{}
	for key, value := range i.Metadata {
		labels[labelName.Replace(key)] = value
	}
	labels["__meta_clusterName"] = i.Cluster
	return target{[]string{i.Key.Endpoint.String()}, labels}
}

// targets answers all instances, healthy or not: of everything, of a namespace
// or of the services of one name in it.
func (h *Handler) targets(c *call) (any, error) {
	snap := h.cfg.Registry.Snapshot()
	all := snap.Services()
	if namespace, some := c.within["ns"]; some {
		all = servicesOf(snap, namespace, "")
	}
	name, some := c.within["service"]
	found := []target{}
	for _, s := range all {
		if some && s.Key.Name != name {
			continue
		}
		for _, i := range s.Instances {
			found = append(found, newTarget(i))
		}
	}
	return found, nil
}
