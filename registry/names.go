package registry

import (
	"iter"
	"slices"
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
		for n := range s.namesAndHeld() {
			if !yield(n) {
				return
			}
		}
	}
}

// held is what any of the instances that a name admits has.
type held struct {
	addr     bool
	tcp, udp bool // an application over it
	own      bool // the service itself as its application over udp
}

func (h held) or(o held) held {
	return held{h.addr || o.addr, h.tcp || o.tcp, h.udp || o.udp, h.own || o.own}
}

// namesAndHeld yields the names with what their instances have.
func (s *Service) namesAndHeld() iter.Seq2[ServiceName, held] {
	return func(yield func(ServiceName, held) bool) {
		var all held
		scopes := s.scopes(&all)
		exact := strings.TrimSuffix(s.exact, "."+LabelService)
		underExact := all
		underExact.own = slices.Contains(s.types, AppType{exact, "udp"})
		if !yield(ServiceName{service: exact}, underExact) || s.folded == "" {
			return
		}
		head, tail, _ := s.Key.fold()
		head = strings.TrimSuffix(head, "."+LabelService)
		if !yield(ServiceName{service: head, scopes: tail}, all) {
			return
		}
		for _, sc := range scopes {
			if !yield(ServiceName{Filter: sc.Filter, service: head, scopes: sc.scopes() + tail}, sc.held) {
				return
			}
		}
	}
}

// scoped is what is held in a cluster, of a version, or of both.
type scoped struct {
	Filter
	held
}

// scopes returns each cluster, version and pair of them that an instance has, and
// puts into all what all of them hold.
func (s *Service) scopes(all *held) (found []scoped) {
	at := map[Filter]int{}
	hold := func(f Filter, h held) {
		if f == (Filter{}) {
			return
		}
		i, ok := at[f]
		if !ok {
			i = len(found)
			at[f], found = i, append(found, scoped{Filter: f})
		}
		found[i].held = found[i].or(h)
	}
	for _, f := range s.allFacets() {
		h := f.held()
		*all = all.or(h)
		hold(Filter{Cluster: f.cluster}, h)
		hold(Filter{Version: f.version}, h)
		if f.cluster != "" && f.version != "" {
			hold(Filter{Cluster: f.cluster, Version: f.version}, h)
		}
	}
	return found
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
