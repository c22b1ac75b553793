package answer

import (
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/musterhq/muster/registry"
)

// list is what is browsed for in one namespace (RFC 6763).
type list struct {
	what      listing
	namespace string           // its label, empty for the default one
	speaking  registry.AppType // of services
}

type listing uint8

const (
	domains  listing = iota // where there is something to browse (RFC 6763, 11)
	types                   // what is spoken (RFC 6763, 9)
	services                // who speaks one of these (RFC 6763, 4)
)

// The names of lists.
const (
	labelDNSSD    = "_dns-sd"
	labelServices = "_services"
)

// findList returns what a name that ends with _tcp or _udp is, once the label of
// a namespace is taken off; false is for any other name. Such names do not depend
// on health, so that what was found stays found.
func findList(snap *registry.Snapshot, labels []string) (target, bool) {
	var l list
	if n := len(labels) - 2; n > 0 && registry.Lower(labels[n+1]) == registry.LabelNamespace && isProto(labels[n-1]) {
		l.namespace = registry.ScopeLabel(registry.Lower(labels[n]))
		if l.namespace != registry.Lower(labels[n]) {
			return target{}, true
		}
		labels = labels[:n]
	}
	n := len(labels) - 1
	if !isProto(labels[n]) {
		return target{}, false
	}
	proto, app := registry.Lower(labels[n][1:]), ""
	if n > 0 {
		app = registry.Lower(labels[n-1])
	}
	switch {
	case n == 0:
		return target{kind: absent(snap, l.below("_"+proto))}, true
	case app == labelDNSSD && proto == "udp":
		return l.enumeration(snap, labels[:n-1]), true
	case n > 2 || !strings.HasPrefix(app, "_"):
		return target{}, true
	}
	l.what, l.speaking = services, registry.AppType{App: app[1:], Proto: proto}
	if !snap.Speaks(l.namespace, l.speaking) {
		return target{}, true
	}
	if n == 1 {
		return target{kind: browsed, list: l}, true
	}
	s := snap.ByBrowsed(l.namespace, labels[0])
	if s == nil || !slices.Contains(s.Types(), l.speaking) {
		return target{}, true
	}
	return target{kind: service, service: s, filter: registry.Filter{Type: l.speaking}, selected: true, listed: true}, true
}

// enumeration returns what the labels in front of _dns-sd._udp ask for.
func (l list) enumeration(snap *registry.Snapshot, labels []string) target {
	name := labelDNSSD + "._udp"
	if len(labels) > 0 {
		name = registry.Lower(labels[len(labels)-1]) + "." + name
	}
	if len(labels) > 1 || !snap.HasName(l.below(name)) {
		return target{}
	}
	switch {
	case len(labels) == 0:
		return target{kind: leading}
	case registry.Lower(labels[0]) == labelServices:
		l.what = types
	default: // b and lb
		l.what = domains
	}
	return target{kind: browsed, list: l}
}

// browse answers a list: to PTR, and to nothing else.
func browse(snap *registry.Snapshot, t *target, q *Question, rnd *rand.Rand) Answer {
	switch q.Type {
	case Any:
		return Answer{}
	case PTR:
	default:
		return Answer{Status: NoData}
	}
	if t.list.what != services {
		names, cut := some(listed(snap, t.list), q.Max, rnd)
		return Answer{Names: names, Cut: cut}
	}
	// There may be many: only those that are told are spelled.
	speaking, _ := snap.Speaking(t.list.namespace, t.list.speaking)
	keys, cut := some(speaking, q.Max, rnd)
	a := Answer{Names: make([]string, len(keys)), Cut: cut}
	for i, k := range keys {
		a.Names[i] = t.list.entry(snap.Service(k))
	}
	return a
}

// Lists yields the lists of a snapshot by their names below the zone, each with
// the names that it holds; they are spelled as those of [Answer].
func Lists(snap *registry.Snapshot) iter.Seq2[string, iter.Seq[string]] {
	return func(yield func(string, iter.Seq[string]) bool) {
		enumerate := func(l list) bool {
			return yield(l.below("b."+labelDNSSD+"._udp"), listed(snap, l)) &&
				yield(l.below("lb."+labelDNSSD+"._udp"), listed(snap, l))
		}
		if snap.HasName(labelDNSSD+"._udp") && !enumerate(list{}) {
			return
		}
		for namespace := range snap.Browsable() {
			l := list{namespace: namespace}
			if namespace != "" && !enumerate(l) {
				return
			}
			l.what = types
			if !yield(l.below(labelServices+"."+labelDNSSD+"._udp"), listed(snap, l)) {
				return
			}
			l.what = services
			for _, l.speaking = range snap.Types(namespace) {
				if !yield(l.below(l.speaking.String()), listed(snap, l)) {
					return
				}
			}
		}
	}
}

// below returns a name in the domain of the list's namespace.
func (l list) below(name string) string {
	switch {
	case l.namespace == "":
		return name
	case name == "":
		return l.namespace + "." + registry.LabelNamespace
	}
	return name + "." + l.namespace + "." + registry.LabelNamespace
}

// listed yields what a list holds.
func listed(snap *registry.Snapshot, l list) iter.Seq[string] {
	return func(yield func(string) bool) {
		switch l.what {
		case domains:
			if l.namespace != "" { // nothing is below it
				yield(l.below(""))
				return
			}
			for namespace := range snap.Browsable() {
				if !yield(list{namespace: namespace}.below("")) {
					return
				}
			}
		case types:
			for _, t := range snap.Types(l.namespace) {
				if !yield(l.below(t.String())) {
					return
				}
			}
		case services:
			speaking, _ := snap.Speaking(l.namespace, l.speaking)
			for k := range speaking {
				if !yield(l.entry(snap.Service(k))) {
					return
				}
			}
		}
	}
}

// entry returns the name by which a service is found in the list.
func (l list) entry(s *registry.Service) string {
	return l.below(escape(s.Browsed()) + "." + l.speaking.String())
}

// some returns at most limit of a list in any order, each with the same chance,
// and whether there are more; 0 is all of them.
func some[T any](list iter.Seq[T], limit int, rnd *rand.Rand) (chosen []T, cut bool) {
	seen := 0
	for v := range list {
		seen++
		if limit == 0 || len(chosen) < limit {
			chosen = append(chosen, v)
		} else if i := rnd.IntN(seen); i < limit {
			chosen[i] = v
		}
	}
	// Of what does not fit after all the last ones are dropped.
	rnd.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen, len(chosen) < seen
}

// escape writes a label as zone files have it (RFC 1035, 5.1).
func escape(label string) string {
	if !strings.ContainsAny(label, `.\@();" $`) {
		return label
	}
	var b strings.Builder
	for _, c := range []byte(label) {
		if strings.IndexByte(`.\@();" $`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
