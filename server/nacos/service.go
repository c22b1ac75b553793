package nacos

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
)

// spec reads what a call sets of a service.
func (c *call) spec() (registry.ServiceSpec, error) {
	var spec registry.ServiceSpec
	if v := c.value("protectThreshold"); v != "" {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return spec, illegal("protectThreshold", "the value should be between 0 and 1.")
		}
		spec.ProtectThreshold = t
	}
	if err := checkSelector(c.value("selector")); err != nil {
		return spec, err
	}
	var err error
	spec.Metadata, err = c.metadata()
	return spec, err
}

// checkSelector takes the selector that selects nothing. One by labels would
// have to be kept and obeyed, so it is refused rather than forgotten.
func checkSelector(text string) error {
	if text == "" {
		return nil
	}
	var s struct {
		Type string `json:"type"`
	}
	if json.Unmarshal([]byte(text), &s) != nil && json.Unmarshal([]byte(decode(text)), &s) != nil { // some clients encode twice
		return refuse(http.StatusBadRequest, "not match any type of selector!").as(selectorError)
	}
	switch s.Type {
	case "none":
		return nil
	case "label":
		return refuse(http.StatusNotImplemented, "selectors of type label are not supported")
	}
	return refuse(http.StatusBadRequest, "not match any type of selector!").as(selectorError)
}

func (h *Handler) createService(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	spec, err := c.spec()
	if err != nil {
		return nil, err
	}
	receipt, err := h.cfg.Registry.CreateService(c.r.Context(), k, spec)
	if conflicts(err) {
		return nil, refuse(http.StatusBadRequest, "specified service %s already exists!", k.Grouped()).as(serviceExists)
	}
	return c.changed(k, receipt, err)
}

func (h *Handler) updateService(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	if _, err := c.required("protectThreshold"); err != nil {
		return nil, err
	}
	spec, err := c.spec()
	if err != nil {
		return nil, err
	}
	receipt, err := h.cfg.Registry.UpdateService(c.r.Context(), k, spec)
	return c.changed(k, receipt, err)
}

func (h *Handler) deleteService(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	receipt, err := h.cfg.Registry.DeleteService(c.r.Context(), k)
	if conflicts(err) {
		return nil, refuse(http.StatusBadRequest, "Service %s is not empty, can't be delete. Please unregister instance first", k.Grouped()).as(serviceDelete)
	}
	return c.changed(k, receipt, err)
}

// changed answers a write of a service.
func (c *call) changed(k registry.ServiceKey, receipt registry.Receipt, err error) (any, error) {
	if errors.Is(err, registry.ErrNotFound) {
		return nil, refuse(http.StatusBadRequest, "service %s not found!", k.Grouped()).as(serviceNotFoundV2)
	}
	return c.written(receipt, err)
}

// kind is a JSON object that says only which kind of thing it is.
type kind struct {
	Type string `json:"type"`
}

type clusterDetail struct {
	Name          string            `json:"name"`
	HealthChecker kind              `json:"healthChecker"`
	Metadata      map[string]string `json:"metadata"`
}

type serviceDetail struct {
	NamespaceID      string            `json:"namespaceId"`
	GroupName        string            `json:"groupName"`
	Name             string            `json:"name"` // without the group
	ProtectThreshold fraction          `json:"protectThreshold"`
	Metadata         map[string]string `json:"metadata"`
	Selector         kind              `json:"selector"`
	Clusters         []clusterDetail   `json:"clusters"`
}

func (h *Handler) service(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return nil, serviceNotFound(k)
	}
	answer := serviceDetail{k.Namespace, k.Group, k.Name, fraction(s.ProtectThreshold), orEmpty(s.Metadata), kind{"none"}, []clusterDetail{}}
	for _, name := range clustersOf(s) {
		answer.Clusters = append(answer.Clusters, clusterDetail{name, kind{"TCP"}, map[string]string{}})
	}
	return answer, nil
}

// clustersOf returns the clusters that a service has instances in, sorted.
func clustersOf(s *registry.Service) []string {
	seen := map[string]bool{}
	var names []string
	for _, i := range s.Instances {
		if !seen[i.Cluster] {
			seen[i.Cluster] = true
			names = append(names, i.Cluster)
		}
	}
	slices.Sort(names)
	return names
}

type nameList struct {
	Count int      `json:"count"` // on all pages
	Doms  []string `json:"doms"`  // without group
}

// services lists names; the group * means all groups, as in 1.x.
func (h *Handler) services(c *call) (any, error) {
	no, size, err := c.page()
	if err != nil {
		return nil, err
	}
	namespace, group := c.namespace(), c.or("groupName", registry.DefaultGroup)
	if group == "*" {
		group = ""
	}
	asked := registry.ServiceKey{Namespace: namespace, Group: group, Name: "any"}
	if group == "" {
		asked.Group = registry.DefaultGroup
	}
	if err := asked.Validate(); err != nil {
		return nil, err
	}
	all := servicesOf(h.cfg.Registry.Snapshot(), namespace, group)
	from, to := bounds(no, size, len(all))
	answer := nameList{len(all), make([]string, 0, to-from)}
	for _, s := range all[from:to] {
		answer.Doms = append(answer.Doms, s.Key.Name)
	}
	return answer, nil
}

// servicesOf returns the services of a namespace, of one group unless that is
// empty; the slice is a part of a shared one.
func servicesOf(snap *registry.Snapshot, namespace, group string) []*registry.Service {
	all := snap.Services()
	position := func(s *registry.Service, group string) int {
		if c := strings.Compare(s.Key.Namespace, namespace); c != 0 || group == "" {
			return c
		}
		return strings.Compare(s.Key.Group, group)
	}
	from, _ := slices.BinarySearchFunc(all, group, position)
	// What follows the last match compares greater; match itself as smaller.
	n, _ := slices.BinarySearchFunc(all[from:], group, func(s *registry.Service, group string) int {
		if c := position(s, group); c != 0 {
			return c
		}
		return -1
	})
	return all[from : from+n]
}
