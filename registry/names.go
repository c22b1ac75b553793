package registry

import (
	"iter"
	"strings"
)

// maxLabel is how many octets a label has at most (RFC 1035, 2.3.4).
const maxLabel = 63

// ServiceName is one name below the zone under which a service is found, with
// what it leaves out: service labels, kind and scopes.
type ServiceName struct {
	Filter Filter // of cluster and version; zero for the exact and the folded name

	service string // labels left of the kind
	scopes  string // right of the kind, with a dot in front; empty without scopes
}

// String returns the name of the service.
func (n ServiceName) String() string { return n.service + "." + LabelService + n.scopes }

// Instances returns the name below which each instance with an address has a
// name of its own, the label of the address in front.
func (n ServiceName) Instances() string { return n.service + "." + LabelInstance + n.scopes }

// Application returns the label by which the service is the application in the
// selector of its own name, as in _order-api._tcp.svc; false when its name has
// more labels than one, or no room for an underscore.
func (n ServiceName) Application() (app string, ok bool) {
	return n.service, !strings.Contains(n.service, ".") && len(n.service) < maxLabel
}

// Selected returns the name of the service as its own application over tcp or udp.
func (n ServiceName) Selected(proto string) string { return "_" + n.service + "." + n.above(proto) }

// above returns what leads to the names of Selected.
func (n ServiceName) above(proto string) string { return "_" + proto + "." + LabelService + n.scopes }

// Names yields every name of the service: its exact one, which another service
// with the same may keep from it, and, when it holds its folded one, that and one
// for each cluster, version and pair of them that an instance has.
func (s *Service) Names() iter.Seq[ServiceName] {
	return func(yield func(ServiceName) bool) {
		for n := range s.namesAndInstances() {
			if !yield(n) {
				return
			}
		}
	}
}

// namesAndInstances yields the names with the instances that their filters admit.
func (s *Service) namesAndInstances() iter.Seq2[ServiceName, []*Instance] {
	return func(yield func(ServiceName, []*Instance) bool) {
		exact := strings.TrimSuffix(s.Key.Exact(), "."+LabelService)
		if !yield(ServiceName{service: exact}, s.Instances) || s.folded == "" {
			return
		}
		head, tail, _ := s.Key.fold()
		head = strings.TrimSuffix(head, "."+LabelService)
		if !yield(ServiceName{service: head, scopes: tail}, s.Instances) {
			return
		}
		var order []Filter
		admitted := map[Filter][]*Instance{}
		admit := func(f Filter, i *Instance) {
			if _, seen := admitted[f]; !seen {
				order = append(order, f)
			}
			admitted[f] = append(admitted[f], i)
		}
		for _, i := range s.Instances {
			if i.cluster != "" {
				admit(Filter{Cluster: i.cluster}, i)
			}
			if i.version != "" {
				admit(Filter{Version: i.version}, i)
			}
			if i.cluster != "" && i.version != "" {
				admit(Filter{Cluster: i.cluster, Version: i.version}, i)
			}
		}
		for _, f := range order {
			if !yield(ServiceName{Filter: f, service: head, scopes: f.scopes() + tail}, admitted[f]) {
				return
			}
		}
	}
}

// scopes returns the labels that stand for cluster and version.
func (f Filter) scopes() (labels string) {
	if f.Cluster != "" {
		labels = "." + f.Cluster + "." + labelCluster
	}
	if f.Version != "" {
		labels += "." + f.Version + "." + labelVersion
	}
	return labels
}

func hasAddr(i *Instance) bool { return i.Addr.IsValid() }

func speaks(t AppType) func(*Instance) bool {
	return func(i *Instance) bool {
		spoken, ok := i.Type()
		return ok && spoken == t
	}
}
