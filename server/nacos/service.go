package nacos

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
)

// spec reads what a call sets of a service. What is absent is as at a creation,
// also for an update, which replaces.
func (c *call) spec() (registry.ServiceSpec, error) {
	var spec registry.ServiceSpec
	if v := c.value("protectThreshold"); v != "" {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return spec, illegal("protectThreshold", "the value should be between 0 and 1.")
		}
		spec.ProtectThreshold = t
	}
	selector, err := parseSelector(c.value("selector"))
	if err != nil {
		return spec, err
	}
	spec.Selector = &selector
	if spec.Metadata, err = c.metadata(); err != nil {
		err = refuse(http.StatusBadRequest, "%s", err).as(serviceMetadata)
	}
	return spec, err
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
	spec.Ephemeral = new(c.on != naming1 && c.flagOr(false, "ephemeral"))
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
	if c.on == naming1 {
		if _, err := c.required("protectThreshold"); err != nil {
			return nil, err
		}
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

type serviceDetail struct {
	NamespaceID      string            `json:"namespaceId"`
	GroupName        string            `json:"groupName"`
	Name             string            `json:"name"` // without the group
	ProtectThreshold fraction          `json:"protectThreshold"`
	Metadata         map[string]string `json:"metadata"`
	Selector         selector          `json:"selector"`
	Clusters         []clusterDetail   `json:"clusters"`
}

type clusterDetail struct {
	Name          string            `json:"name"`
	HealthChecker checker           `json:"healthChecker"`
	Metadata      map[string]string `json:"metadata"`
}

// serviceOf returns the service a call is about.
func (h *Handler) serviceOf(c *call) (*registry.Service, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return nil, serviceNotFound(k)
	}
	return s, nil
}

func (h *Handler) service(c *call) (any, error) {
	s, err := h.serviceOf(c)
	if err != nil {
		return nil, err
	}
	answer := serviceDetail{s.Key.Namespace, s.Key.Group, s.Key.Name, fraction(s.ProtectThreshold), orEmpty(s.Metadata), selectorOf(s), []clusterDetail{}}
	for _, name := range clustersOf(s) {
		answer.Clusters = append(answer.Clusters, clusterDetail{name, checkerOf(s, name), orEmpty(s.Clusters[name].Metadata)})
	}
	return answer, nil
}

// serviceView is a service in versions 2 and 3, which call its namespace
// differently.
type serviceView struct {
	Namespace        string                 `json:"namespace"`
	NamespaceID      string                 `json:"namespaceId"`
	GroupName        string                 `json:"groupName"`
	ServiceName      string                 `json:"serviceName"`
	Ephemeral        bool                   `json:"ephemeral"`
	ProtectThreshold fraction               `json:"protectThreshold"`
	Metadata         map[string]string      `json:"metadata"`
	Selector         selector               `json:"selector"`
	ClusterMap       map[string]clusterView `json:"clusterMap"`
}

type clusterView struct {
	ClusterName   string            `json:"clusterName"`
	HealthChecker checker           `json:"healthChecker"`
	CheckPort     uint16            `json:"healthyCheckPort"`
	UsesPort      bool              `json:"useInstancePortForCheck"`
	Metadata      map[string]string `json:"metadata"`
	Hosts         []host            `json:"hosts"`
}

func newServiceView(s *registry.Service) serviceView {
	v := serviceView{s.Key.Namespace, s.Key.Namespace, s.Key.Group, s.Key.Name, s.Ephemeral, fraction(s.ProtectThreshold),
		orEmpty(s.Metadata), selectorOf(s), map[string]clusterView{}}
	for _, name := range clustersOf(s) {
		port, uses := checkPort(s, name)
		v.ClusterMap[name] = clusterView{name, checkerOf(s, name), port, uses, orEmpty(s.Clusters[name].Metadata),
			newHosts(within(s, name).Instances.List(), false)}
	}
	return v
}

func (h *Handler) serviceView(c *call) (any, error) {
	s, err := h.serviceOf(c)
	if err != nil {
		return nil, err
	}
	return newServiceView(s), nil
}

// clustersOf returns the clusters that a service has instances in, sorted.
func clustersOf(s *registry.Service) []string {
	seen := map[string]bool{}
	var names []string
	for i := range s.Instances.All() {
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
	names, count, err := h.serviceNames(c, no, size)
	return nameList{count, names}, err
}

type nameList2 struct {
	Count    int      `json:"count"`
	Services []string `json:"services"`
}

const maxNames = 500 // on a page of version 2

func (h *Handler) services2(c *call) (any, error) {
	no, size, err := c.pageOr(20)
	if err != nil {
		return nil, err
	}
	names, count, err := h.serviceNames(c, no, min(size, maxNames))
	return nameList2{count, names}, err
}

func (h *Handler) serviceNames(c *call, no, size int) (names []string, count int, err error) {
	namespace, group := c.namespace(), c.or("groupName", registry.DefaultGroup)
	if group == "*" {
		group = ""
	}
	if err := validScope(namespace, group); err != nil {
		return nil, 0, err
	}
	if err := c.may(namespace, group); err != nil {
		return nil, 0, err
	}
	all := servicesOf(h.cfg.Registry.Snapshot(), namespace, group)
	from, to := bounds(no, size, len(all))
	names = make([]string, 0, to-from)
	for _, s := range all[from:to] {
		names = append(names, s.Key.Name)
	}
	return names, len(all), nil
}

// validScope refuses a namespace or group that no service can be in.
func validScope(namespace, group string) error {
	if group == "" {
		group = registry.DefaultGroup
	}
	return registry.ServiceKey{Namespace: namespace, Group: group, Name: "any"}.Validate()
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

// allNames are names by namespace: 2.x has them, with the group, under a key that
// is an accident, and 1.x has bare ones.
type allNames struct {
	Services map[string][]string `json:"services"`
	Grouped  map[string][]string `json:"META-INF/services"`
	Count    int                 `json:"count"`
}

func (h *Handler) allNames(c *call) (any, error) {
	admits, err := fragment(c, "expr", false)
	if err != nil {
		return nil, err
	}
	snap := h.cfg.Registry.Snapshot()
	all := snap.Services()
	namespace := c.value("namespaceId")
	if err := c.may(namespace, ""); err != nil {
		return nil, err
	}
	if namespace != "" {
		if err := validScope(namespace, ""); err != nil {
			return nil, err
		}
		all = servicesOf(snap, namespace, "")
	}
	answer := allNames{map[string][]string{}, map[string][]string{}, 0}
	for _, s := range all {
		if !admits(s.Key.Name) {
			continue
		}
		answer.Services[s.Key.Namespace] = append(answer.Services[s.Key.Namespace], s.Key.Name)
		answer.Grouped[s.Key.Namespace] = append(answer.Grouped[s.Key.Namespace], s.Key.Grouped())
		answer.Count++
	}
	return answer, nil
}
