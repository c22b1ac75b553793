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

// labelName makes a metadata key fit into the name of a label, as Nacos does of
// dots and dashes. Prometheus refuses all targets for one name that is none.
func labelName(key string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, key)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

// newTarget returns an instance with its metadata. Of keys that become the same
// label the last one counts, so that the label does not change from time to time.
func newTarget(i *registry.Instance) target {
	labels := map[string]string{}
	for key, value := range i.Metadata.All() {
		labels[labelName(key)] = value
	}
	labels["__meta_clusterName"] = i.Cluster
	return target{[]string{i.Key.Endpoint.String()}, labels}
}

// targets answers all instances, healthy or not: of everything, of a namespace
// or of the services of one name in it.
func (h *Handler) targets(c *call) (any, error) {
	snap := h.cfg.Registry.Snapshot()
	all := snap.Services()
	namespace, some := c.within["ns"]
	if err := c.may(namespace, ""); err != nil {
		return nil, err
	}
	if some {
		all = servicesOf(snap, namespace, "")
	}
	name, some := c.within["service"]
	found := []target{}
	for _, s := range all {
		if some && s.Key.Name != name {
			continue
		}
		for i := range s.Instances.All() {
			found = append(found, newTarget(i))
		}
	}
	return found, nil
}
