package nacos

import (
	"net/http"
	"strconv"

	"github.com/musterhq/muster/registry"
)

// serviceRow is a service in the list of a console.
type serviceRow struct {
	Name         string `json:"name"`
	GroupName    string `json:"groupName"`
	ClusterCount int    `json:"clusterCount"`
	IPCount      int    `json:"ipCount"`
	HealthyCount int    `json:"healthyInstanceCount"`
	TriggerFlag  string `json:"triggerFlag"` // a text
}

func newServiceRow(s *registry.Service) serviceRow {
	healthy := 0
	for i := range s.Instances.All() {
		if i.Healthy {
			healthy++
		}
	}
	n := s.Instances.Len()
	protects := n > 0 && float64(healthy)/float64(n) <= s.ProtectThreshold
	return serviceRow{s.Key.Name, s.Key.Group, len(clustersOf(s)), n, healthy, strconv.FormatBool(protects)}
}

// catalogued returns the services that a console's filters admit.
func (h *Handler) catalogued(c *call, unlessEmpty bool) ([]*registry.Service, error) {
	name, err := fragment(c, "serviceNameParam", true)
	if err != nil {
		return nil, err
	}
	group, err := fragment(c, "groupNameParam", true)
	if err != nil {
		return nil, err
	}
	if err := validScope(c.namespace(), ""); err != nil {
		return nil, err
	}
	if err := c.may(c.namespace(), ""); err != nil {
		return nil, err
	}
	has := c.value("instance")
	var all []*registry.Service
	for _, s := range servicesOf(h.cfg.Registry.Snapshot(), c.namespace(), "") {
		switch {
		case !name(s.Key.Name), !group(s.Key.Group), unlessEmpty && s.Instances.Len() == 0, has != "" && !holds(s, has):
		default:
			all = append(all, s)
		}
	}
	return all, nil
}

// holds reports whether a service has an instance at an address, with or without
// a port.
func holds(s *registry.Service, at string) bool {
	for i := range s.Instances.All() {
		if i.Key.Endpoint.Host == at || i.Key.Endpoint.String() == at {
			return true
		}
	}
	return false
}

// catalogHost is a host of the oldest console.
type catalogHost struct {
	IP       string            `json:"ip"`
	Port     uint16            `json:"port"`
	Valid    bool              `json:"valid"`
	Weight   fraction          `json:"weight"`
	Enabled  bool              `json:"enabled"`
	Metadata registry.Metadata `json:"metadata"`
}

type catalogCluster struct {
	Hosts []catalogHost `json:"hosts"`
}

type catalogDetail struct {
	ServiceName string                    `json:"serviceName"`
	GroupName   string                    `json:"groupName"`
	ClusterMap  map[string]catalogCluster `json:"clusterMap"`
	Metadata    map[string]string         `json:"metadata"`
}

func newCatalogDetail(s *registry.Service) catalogDetail {
	d := catalogDetail{s.Key.Name, s.Key.Group, map[string]catalogCluster{}, orEmpty(s.Metadata)}
	for i := range s.Instances.All() {
		of := d.ClusterMap[i.Cluster]
		of.Hosts = append(of.Hosts, catalogHost{i.Key.Endpoint.Host, i.Key.Endpoint.Port, i.Healthy, fraction(i.Weight), i.Enabled, i.Metadata})
		d.ClusterMap[i.Cluster] = of
	}
	return d
}

type serviceRows struct {
	Count       int          `json:"count"`
	ServiceList []serviceRow `json:"serviceList"`
}

func (h *Handler) catalogServices(c *call) (any, error) {
	no, size, err := c.looser(100)
	if err != nil {
		return nil, err
	}
	all, err := h.catalogued(c, c.isTrue("hasIpCount"))
	if err != nil {
		return nil, err
	}
	from, to := bounds(no, size, len(all))
	if c.isTrue("withInstances") {
		return each(all[from:to], newCatalogDetail), nil
	}
	return serviceRows{len(all), each(all[from:to], newServiceRow)}, nil
}

// serviceList is the list of version 3, of rows or of whole services.
func (h *Handler) serviceList(c *call) (any, error) {
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	all, err := h.catalogued(c, c.isTrue("ignoreEmptyService"))
	if err != nil {
		return nil, err
	}
	part := pageOf(all, no, size)
	if c.isTrue("withInstances") {
		return rewritten(part, newServiceView), nil
	}
	return rewritten(part, newServiceRow), nil
}

// each returns what f makes of all.
func each[A, B any](all []A, f func(A) B) []B {
	made := make([]B, 0, len(all))
	for _, one := range all {
		made = append(made, f(one))
	}
	return made
}

func rewritten[A, B any](p page[A], f func(A) B) page[B] {
	return page[B]{p.TotalCount, p.PageNumber, p.PagesAvailable, each(p.PageItems, f)}
}

type catalogService struct {
	Service struct {
		Name             string            `json:"name"`
		GroupName        string            `json:"groupName"`
		ProtectThreshold fraction          `json:"protectThreshold"`
		Selector         selector          `json:"selector"`
		Metadata         map[string]string `json:"metadata"`
	} `json:"service"`
	Clusters []catalogChecks `json:"clusters"`
}

type catalogChecks struct {
	ServiceName   string            `json:"serviceName"`
	Name          string            `json:"name"`
	HealthChecker checker           `json:"healthChecker"`
	DefaultPort   uint16            `json:"defaultPort"`
	CheckPort     uint16            `json:"defaultCheckPort"`
	UsesPort      bool              `json:"useIpPort4Check"`
	Metadata      map[string]string `json:"metadata"`
}

// listed returns the service that a console's call is about.
func (h *Handler) listed(c *call) (*registry.Service, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return nil, refuse(http.StatusNotFound, "service %s is not found!", k.Grouped())
	}
	return s, nil
}

func (h *Handler) catalogService(c *call) (any, error) {
	s, err := h.listed(c)
	if err != nil {
		return nil, err
	}
	answer := catalogService{Clusters: []catalogChecks{}}
	v := &answer.Service
	v.Name, v.GroupName, v.ProtectThreshold = s.Key.Name, s.Key.Group, fraction(s.ProtectThreshold)
	v.Selector, v.Metadata = selectorOf(s), orEmpty(s.Metadata)
	for _, name := range clustersOf(s) {
		port, uses := checkPort(s, name)
		answer.Clusters = append(answer.Clusters, catalogChecks{s.Key.Grouped(), name, checkerOf(s, name), 80, port, uses, orEmpty(s.Clusters[name].Metadata)})
	}
	return answer, nil
}

// clusterOf returns the service a call is about with the instances of one of its
// clusters: one that has instances, or that an operator said something of.
func (h *Handler) clusterOf(c *call, otherwise string) (*registry.Service, error) {
	s, err := h.listed(c)
	if refused, ok := err.(*refusal); ok && refused.by == byOperation { //nolint:errorlint // it is made there
		refused.code, refused.pinned = serverError, true
	}
	if err != nil {
		return nil, err
	}
	name := c.or("clusterName", otherwise)
	if name == "" {
		if name, err = c.required("clusterName"); err != nil {
			return nil, err
		}
	}
	part := s.Part(func(i *registry.Instance) bool { return i.Cluster == name })
	if _, declared := s.Clusters[name]; part.Instances.Len() == 0 && !declared {
		return nil, refuse(http.StatusNotFound, "cluster %s is not found!", name).as(serverError).pin()
	}
	return part, nil
}

type hostRows struct {
	List  []host `json:"list"`
	Count int    `json:"count"`
}

func (h *Handler) catalogInstances(c *call) (any, error) {
	if _, err := c.required("clusterName"); err != nil {
		return nil, err
	}
	no, size, err := c.page()
	if err != nil {
		return nil, err
	}
	s, err := h.clusterOf(c, "")
	if err != nil {
		return nil, err
	}
	from, to := bounds(no, size, s.Instances.Len())
	return hostRows{newHosts(s.Instances.Slice(from, to), false), s.Instances.Len()}, nil
}

type hostRows2 struct {
	Instances []host `json:"instances"`
	Count     int    `json:"count"`
}

func (h *Handler) catalogInstances2(c *call) (any, error) {
	for _, name := range []string{"serviceName", "pageNo", "pageSize"} {
		if _, err := c.required(name); err != nil {
			return nil, err
		}
	}
	no, size, err := c.pageOr(100)
	if err != nil {
		return nil, err
	}
	s, err := h.listed(c)
	if err != nil {
		return nil, err
	}
	all := s.Part(func(i *registry.Instance) bool {
		return (c.value("clusterName") == "" || i.Cluster == c.value("clusterName")) &&
			(i.Healthy || !c.isTrue("healthyOnly")) && (i.Enabled || !c.isTrue("enabledOnly"))
	}).Instances
	from, to := bounds(no, size, all.Len())
	return hostRows2{newHosts(all.Slice(from, to), false), all.Len()}, nil
}
