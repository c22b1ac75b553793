package registry

import (
	"strings"
	"unsafe"

	"github.com/musterhq/muster/internal/ldh"
)

// Name is a DNS name below the zone, taken apart (rules F5 to F7).
type Name struct {
	App, Proto string // selector _app._proto without underscores, lower case; empty without one
	Kind       string // LabelService, LabelInstance or LabelAddress; empty when no kind label was found
	Address    string // of LabelInstance: the label that spells the address, lower case
	Service    string // folded service, a single exact label, or the address label
	Cluster    string // folded filter, empty for any
	Version    string // folded filter, empty for any
	Base       string // what is claimed: service, kind (svc for an instance), group and namespace; no selector, cluster or version
}

// Scoped returns the name of the service with all scopes, without a selector, as it
// stands among the names of the snapshot. It is made in room, as texts of [ParseName].
func (n Name) Scoped(room []byte) string {
	if n.Cluster == "" && n.Version == "" {
		return n.Base
	}
	claimed := len(n.Service) + len("."+LabelService)
	room = append(room[:0], n.Base[:claimed]...)
	if n.Cluster != "" {
		room = append(append(append(room, '.'), n.Cluster...), "."+labelCluster...)
	}
	if n.Version != "" {
		room = append(append(append(room, '.'), n.Version...), "."+labelVersion...)
	}
	return made(append(room, n.Base[claimed:]...))
}

// scopeKinds are the labels behind those of scopes, the last one of a name first.
var scopeKinds = [...]string{LabelNamespace, labelGroup, labelVersion, labelCluster}

// ParseName takes apart the labels of a question below the zone, leftmost
// first, unescaped. It returns false for a name that can hold nothing: no kind
// label, a label that folds to nothing, or a wildcard. With raw false the
// service must be spelled folded already; case never matters.
//
// Texts that are no parts of labels are made in room, as far as that goes, and hold
// until it is used again: with room for a name a question in lower case allocates
// nothing. Without room they hold for ever.
func ParseName(labels []string, raw bool, room []byte) (n Name, ok bool) {
	room = room[:0]
	var scopes [len(scopeKinds)]string
	for i, kind := range scopeKinds {
		if last := len(labels) - 1; last >= 2 && Lower(labels[last]) == kind {
			if scopes[i], room = scopeLabelIn(room, labels[last-1]); scopes[i] == "" {
				return n, false
			}
			labels = labels[:last-1]
		}
	}
	n.Version, n.Cluster = scopes[2], scopes[3]
	own := labels
	base, ok := n.kind(&own)
	if !ok {
		return n, false
	}
	start := len(room)
	if room, ok = n.fold(room, own, raw); !ok || looksExact(n.Service) && n.Cluster+n.Version != "" {
		return n, false // an exact name carries no scope (F8)
	}
	room = append(append(room, '.'), base...)
	if group := scopes[1]; group != "" {
		room = append(append(append(room, '.'), group...), "."+labelGroup...)
	}
	if ns := scopes[0]; ns != "" {
		room = append(append(append(room, '.'), ns...), "."+LabelNamespace...)
	}
	n.Base = made(room[start:])
	return n, true
}

// kind takes kind, address and selector off labels without scopes. It returns the
// kind of what is claimed, and leaves the labels of the service.
func (n *Name) kind(labels *[]string) (base string, ok bool) {
	last := len(*labels) - 1
	if last < 0 {
		return "", false
	}
	kind, rest := Lower((*labels)[last]), (*labels)[:last]
	switch kind {
	case LabelService, LabelAddress:
		base = kind
	case LabelInstance:
		if len(rest) < 2 {
			return "", false
		}
		n.Address, rest, base = Lower(rest[0]), rest[1:], LabelService
	default:
		return "", false
	}
	n.Kind = kind
	if n.Address == "" && len(rest) >= 2 && len(rest[0]) > 1 && rest[0][0] == '_' && isProto(rest[1]) {
		n.App, n.Proto = Lower(rest[0][1:]), Lower(rest[1][1:])
		rest = rest[2:]
	}
	*labels = rest
	return base, true
}

// fold appends the folded service to room and sets Service, from the labels left of
// the kind. A whole label that folds to nothing ends it, else "*.order-api" would be
// order-api.
func (n *Name) fold(room []byte, labels []string, raw bool) ([]byte, bool) {
	if len(labels) == 0 { // _order-api._tcp.svc: the app is the service
		if n.App == "" {
			return room, false
		}
		labels, n.App = []string{n.App}, ""
	}
	start := len(room)
	if len(labels) == 1 && looksExact(Lower(labels[0])) {
		room = append(room, Lower(labels[0])...)
		n.Service = made(room[start:])
		return room, true
	}
	for _, l := range labels {
		switch {
		case ldh.Is(l) && len(l) <= maxLabel:
			if len(room) > start {
				room = append(room, '.')
			}
			room = append(room, l...)
		case !spelled(l, raw):
			return room, false
		default:
			var ok bool
			if room, ok = appendService(room, start, l); !ok {
				return room, false
			}
		}
	}
	n.Service = made(room[start:])
	return room, foldedService(n.Service)
}

// spelled reports whether a label may be one of those of a service.
func spelled(label string, raw bool) bool {
	if strings.Contains(label, "*") || !raw && !ldh.Is(Lower(label)) {
		return false
	}
	return strings.ContainsAny(label, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") // else nothing is left of it
}

// scopeLabelIn is scopeLabel with room for what is not spelled so already.
func scopeLabelIn(room []byte, s string) (string, []byte) {
	if ldh.Is(s) && len(s) <= maxLabel {
		return s, room
	}
	start := len(room)
	room = ldh.Append(room, s)
	if len(room)-start > maxLabel || !isASCII(s) {
		return "", room
	}
	return made(room[start:]), room
}

// made returns a text in place.
func made(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func isProto(label string) bool {
	label = Lower(label)
	return label == "_tcp" || label == "_udp"
}
