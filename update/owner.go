package update

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
)

// owner is the name of a service in a message, and whose it is.
type owner struct {
	registry.Name

	text     string            // as the message spells it
	protocol string            // that a selector asks for; empty: any
	service  *registry.Service // nil: the name is nobody's
}

// owner takes a name apart at which something is to change.
func (r *reader) owner(name string) (owner, error) {
	below, _ := r.below(name) // it has been looked at before
	o, ok := r.parse(name, below)
	switch {
	case below == "":
		return o, refuse("%s: the apex of the zone is not for updates", name)
	case !ok || o.Kind != registry.LabelService:
		return o, refuse("%s: only names of services are for updates, as SERVICE.%s.%s", name, registry.LabelService, r.zone)
	case o.spelled() != below:
		return o, refuse("%s: the name is spelled %s.%s", name, o.spelled(), r.zone)
	}
	return o, nil
}

// parse takes apart what stands before the zone. It returns false for what can
// be nobody's name; a name with characters that need a backslash is one.
func (r *reader) parse(name, below string) (owner, bool) {
	n, ok := registry.ParseName(dns.SplitDomainName(below), false, nil)
	o := owner{Name: n, text: name, protocol: n.App}
	if !ok || strings.Contains(below, `\`) {
		return o, false
	}
	if n.Proto == "udp" { // as answers have it: app/udp, or just udp
		o.protocol = strings.TrimPrefix(n.App+"/udp", "/")
	}
	o.service = r.snap.ByName(n.Base)
	return o, true
}

// scope returns what of the name stands behind its kind: group and namespace.
func (o *owner) scope() string { return strings.TrimPrefix(o.Base, o.Service+"."+o.Kind) }

// spelled returns the one spelling of the name that ParseName reads as it is.
func (o *owner) spelled() string {
	name := o.Service + "." + o.Kind
	switch {
	case o.Proto != "" && o.App == "":
		name = "_" + o.Service + "._" + o.Proto + "." + o.Kind
	case o.Proto != "":
		name = "_" + o.App + "._" + o.Proto + "." + name
	}
	if o.Cluster != "" {
		name += "." + o.Cluster + ".cl"
	}
	if o.Version != "" {
		name += "." + o.Version + ".ver"
	}
	return name + o.scope()
}

// home returns the namespace and the group of the service of this name, or of the one
// that would be made for it.
func (o *owner) home() (namespace, group string) {
	if o.service != nil {
		return o.service.Key.Namespace, o.service.Key.Group
	}
	namespace, group = registry.DefaultNamespace, registry.DefaultGroup
	for labels := dns.SplitDomainName(o.scope()[min(1, len(o.scope())):]); len(labels) >= 2; labels = labels[2:] {
		if labels[1] == "grp" {
			group = labels[0]
		} else {
			namespace = labels[0]
		}
	}
	return namespace, group
}

// key returns the service that an instance added at the name belongs to: the one
// whose name it is, else a new one that is called as the name says.
func (o *owner) key(snap *registry.Snapshot) (registry.ServiceKey, error) {
	if o.service != nil {
		return o.service.Key, nil
	}
	k := registry.ServiceKey{Name: o.Service}
	k.Namespace, k.Group = o.home()
	folded, ok := k.Folded()
	holder, _, held := snap.Holder(folded)
	switch {
	case !ok:
		return k, refuse("%s: no service has this name, and a new one cannot get it", o.text)
	case folded != o.Base:
		return k, refuse("%s: the service is found as %s", o.text, folded)
	case snap.Service(k) != nil:
		return k, refuse("%s: service %s is there without this name; it is found as %s", o.text, k, k.Exact())
	case held && holder != k: // else the new service would be found by its exact name alone
		return k, refuse("%s: the name is kept for service %s, which is gone", o.text, holder)
	}
	return k, nil
}

// cluster returns the cluster of what is added at the name, spelled as the
// service's other instances spell it; empty when the name says none.
func (o *owner) cluster() string {
	if o.Cluster == registry.ScopeLabel(registry.DefaultCluster) {
		return registry.DefaultCluster
	}
	if o.Cluster != "" && o.service != nil {
		for i := range o.service.Instances.All() {
			if sameLabel(o.Cluster, i.Cluster) {
				return i.Cluster
			}
		}
	}
	return o.Cluster
}

// admits reports whether an instance is found under the name.
func (o *owner) admits(cluster string, m registry.Metadata) bool {
	return (o.Cluster == "" || sameLabel(o.Cluster, cluster)) &&
		(o.Version == "" || sameLabel(o.Version, m.Get(registry.MetaVersion))) &&
		(o.protocol == "" || sameProtocol(o.protocol, m.Get(registry.MetaProtocol)))
}

// sameLabel reports whether names ask by a label for a cluster or a version.
func sameLabel(label, s string) bool { return registry.ScopeLabel(s) == label }

// sameProtocol compares without the case of ASCII letters: no other letter is as
// long as the one that it folds to.
func sameProtocol(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// claim makes true of metadata what the name asks for. Metadata that says it
// already, in its own spelling, stays as it is.
func (o *owner) claim(metadata map[string]string) error {
	for _, ask := range []struct {
		key, value string
		same       func(a, b string) bool
	}{{registry.MetaProtocol, o.protocol, sameProtocol}, {registry.MetaVersion, o.Version, sameLabel}} {
		switch was, said := metadata[ask.key]; {
		case ask.value == "":
		case !said:
			metadata[ask.key] = ask.value
		case !ask.same(ask.value, was):
			return refuse("%s: metadata %s is %q, and the name asks for %q", o.text, ask.key, was, ask.value)
		}
	}
	return nil
}

// names reports whether a service is the one of this name, or will be.
func (o *owner) names(k registry.ServiceKey, snap *registry.Snapshot) bool {
	own, err := o.key(snap)
	return err == nil && own == k
}
