package registry

import (
	"iter"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/trie"
)

// dnsSD is the application whose names hold lists to browse (RFC 6763, 9).
const dnsSD = "dns-sd"

// AppType is what an instance speaks, as the two labels in front of a service
// say it (RFC 2782): the application and tcp or udp, without underscores.
type AppType struct{ App, Proto string }

// String returns the two labels.
func (t AppType) String() string { return "_" + t.App + "._" + t.Proto }

// Type returns what the instance says it speaks, and false when it says nothing
// that fits into a label.
func (i *Instance) Type() (AppType, bool) {
	says := i.Metadata.Get(MetaProtocol)
	if says == "" {
		return AppType{}, false
	}
	app, proto, ok := strings.Cut(Lower(says), "/")
	switch {
	case !ok && app == "udp":
		// The application is the service, if it is called by one label.
		folded, ok := foldService(i.Key.Service.Name)
		return AppType{folded, "udp"}, ok && appLabel(folded)
	case !ok:
		proto = "tcp"
	}
	if app == dnsSD { // its names are those of lists
		return AppType{}, false
	}
	return AppType{app, proto}, appLabel(app) && (proto == "udp" || proto == "tcp" && !ok)
}

// isOwn reports whether a type is what the service of the instance is called after.
func (i *Instance) isOwn(t AppType) bool {
	folded, ok := foldService(i.Key.Service.Name)
	return ok && t.App == folded
}

// appLabel reports whether an application fits into a label, with an underscore
// in front, and needs no escapes there.
func appLabel(app string) bool {
	return app != "" && len(app) < 63 && strings.Trim(app, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Types returns what the instances of the service speak, each once, in order; the
// slice is not to be modified.
func (s *Service) Types() []AppType { return s.types }

func (s *Service) ownTypes() []AppType {
	var types []AppType
	for f := range s.facets.All() {
		if is := f.Value(); is.typed && !slices.Contains(types, is.speaks) {
			types = append(types, is.speaks)
		}
	}
	slices.SortFunc(types, func(a, b AppType) int { return strings.Compare(a.String(), b.String()) })
	return types
}

// Browsed returns the text by which a service is found among those that speak the
// same in its namespace: its folded service name, with @ and the folded group where
// that is not the default one; or the label of its exact name, when another service
// holds its folded one or the text is longer than a label may be.
func (s *Service) Browsed() string {
	text, _ := foldService(s.Key.Name)
	if s.Key.Group != DefaultGroup {
		text += "@" + scopeLabel(s.Key.Group)
	}
	if s.folded == "" || len(text) > 63 {
		return strings.TrimSuffix(s.Key.Exact(), "."+LabelService)
	}
	return text
}

// ByBrowsed returns the service that a text as of [Service.Browsed] stands for in
// the namespace that folds to label, or nil.
func (s *Snapshot) ByBrowsed(label, text string) *Service {
	service, group, grouped := strings.Cut(Lower(text), "@")
	base := service + "." + LabelService
	if looksExact(service) {
		found := s.ByName(base)
		if found == nil || grouped || found.Browsed() != service {
			return nil
		}
		if own, _ := found.Key.Label(); own != label {
			return nil
		}
		return found
	}
	if grouped {
		base += "." + group + "." + labelGroup
	}
	if label != "" {
		base += "." + label + "." + LabelNamespace
	}
	found := s.ByName(base)
	if found == nil || found.folded != base {
		return nil
	}
	return found
}

// browsing is what speaks what in one namespace.
type browsing = trie.Map[AppType, speaking]

// speaking are the services of which an instance speaks something.
type speaking = trie.Map[ServiceKey, struct{}]

// browse moves a service from the types it spoke to those it does; either may be
// nil. Namespaces that fold to one label are browsed as one, and one that folds to
// nothing not at all.
func (b *builder) browse(was, is *Service) {
	var before, after []AppType
	var k ServiceKey
	if was != nil {
		before, k = was.types, was.Key
	}
	if is != nil {
		after, k = is.types, is.Key
	}
	label, ok := k.Label()
	if slices.Equal(before, after) || !ok {
		return
	}
	of, browsed := b.types.Get(label)
	for _, t := range before {
		services, _ := of.Get(t)
		services = services.Without(b.e, k)
		of = set(of, b.e, t, services, services.Len() > 0)
		if services.Len() == 0 {
			b.count([]string{listName(t.String(), label)}, -1)
		}
	}
	for _, t := range after {
		services, spoken := of.Get(t)
		of = of.With(b.e, t, services.With(b.e, k, struct{}{}))
		if !spoken {
			b.count([]string{listName(t.String(), label)}, +1)
		}
	}
	b.types = set(b.types, b.e, label, of, of.Len() > 0)
	if by := b2i(of.Len() > 0) - b2i(browsed); by != 0 {
		b.count(enumerations(label), by)
	}
}

// listName returns the name below the zone of a list in the namespace that folds
// to label.
func listName(name, label string) string {
	if label == "" {
		return name
	}
	return name + "." + label + "." + LabelNamespace
}

// enumerations returns the names of the lists that say that there is something to
// browse in the namespace that folds to label, those of the zone among them.
func enumerations(label string) []string {
	const below = "_" + dnsSD + "._udp"
	names := []string{"b." + below, "lb." + below, listName("_services."+below, label)}
	if label != "" {
		names = append(names, listName("b."+below, label), listName("lb."+below, label))
	}
	return names
}

// Browsable yields the labels of the namespaces that have something to browse, in
// no order; that of the default one is empty.
func (s *Snapshot) Browsable() iter.Seq[string] {
	return func(yield func(string) bool) {
		for label := range s.types.All() {
			if !yield(label) {
				return
			}
		}
	}
}

// Types returns what is spoken in the namespace that folds to label, in order.
func (s *Snapshot) Types(label string) []AppType {
	of, _ := s.types.Get(label)
	types := make([]AppType, 0, of.Len())
	for t := range of.All() {
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b AppType) int { return strings.Compare(a.String(), b.String()) })
	return types
}

// Speaks reports whether an instance of a service in the namespace that folds to
// label speaks t.
func (s *Snapshot) Speaks(label string, t AppType) bool {
	of, _ := s.types.Get(label)
	_, ok := of.Get(t)
	return ok
}

// Speaking yields the services of the namespace that folds to label of which an
// instance speaks t, in no order, and returns how many there are.
func (s *Snapshot) Speaking(label string, t AppType) (iter.Seq[ServiceKey], int) {
	of, _ := s.types.Get(label)
	speaking, _ := of.Get(t)
	return func(yield func(ServiceKey) bool) {
		for k := range speaking.All() {
			if !yield(k) {
				return
			}
		}
	}, speaking.Len()
}
