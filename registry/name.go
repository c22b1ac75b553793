package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Kind labels of names below a zone (dns.md 2).
const (
	LabelService   = "svc"
	LabelInstance  = "inst"
	LabelAddress   = "addr"
	labelCluster   = "cl"
	labelVersion   = "ver"
	labelGroup     = "grp"
	LabelNamespace = "ns"
)

// Exact returns the name below the zone under which the service is always
// found: h- and ten hex digits of a hash of its identity, then svc.
func (k ServiceKey) Exact() string {
	sum := sha256.Sum256([]byte(k.String()))
	return "h-" + hex.EncodeToString(sum[:5]) + "." + LabelService
}

// Hash returns a number that is the same everywhere, of which each bit is as good
// as any: where a choice of services is to be fair and not left to chance.
func (k ServiceKey) Hash() uint64 {
	sum := sha256.Sum256([]byte(k.String()))
	return binary.BigEndian.Uint64(sum[len(sum)-8:])
}

// maxFolded leaves room for a zone in the 255 octets of a name.
const maxFolded = 190

// Folded returns the friendly name below the zone, and false when the identity
// has none (rules F1 to F4): then only the exact name works.
func (k ServiceKey) Folded() (string, bool) {
	head, scope, ok := k.fold()
	return head + scope, ok && len(head)+len(scope) <= maxFolded
}

// fold returns the folded name in two parts, as the labels of cluster and
// version go between them: service and kind, then group and namespace.
func (k ServiceKey) fold() (head, scope string, ok bool) {
	service, ok := foldService(k.Name)
	if !ok {
		return "", "", false
	}
	if k.Group != DefaultGroup {
		group := scopeLabel(k.Group)
		if group == "" {
			return "", "", false
		}
		scope = "." + group + "." + labelGroup
	}
	ns, ok := k.Label()
	if !ok {
		return "", "", false
	}
	if ns != "" {
		scope += "." + ns + "." + LabelNamespace
	}
	return service + "." + LabelService, scope, true
}

// Label returns the label of the service's namespace in names, empty for the
// default one, and false when another one folds to nothing (F3, F4).
func (k ServiceKey) Label() (label string, ok bool) {
	if k.Namespace == DefaultNamespace {
		return "", true
	}
	label = scopeLabel(k.Namespace)
	return label, label != ""
}

// scopeLabel folds a group, namespace, cluster or version, which are one label
// each; empty when it has none (F4).
func scopeLabel(s string) string {
	label := foldLabel(s)
	if len(label) > 63 || !isASCII(s) {
		return ""
	}
	return label
}

// foldService applies F1, F2 and F4 to the service part.
func foldService(name string) (string, bool) {
	var labels []string
	for piece := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '.' || r == ':' || r == '/' }) {
		label := foldLabel(piece)
		if !isASCII(piece) || len(label) > 63 {
			return "", false
		}
		if label != "" {
			labels = append(labels, label)
		}
	}
	folded := strings.Join(labels, ".")
	return folded, folded != "" && len(folded) <= 120 && !looksExact(folded)
}

// foldLabel applies F2 to one label: lower case, - for all that is not a
// letter, digit or hyphen, runs squeezed, both ends trimmed.
func foldLabel(s string) string {
	if plainLabel(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		default:
			c = '-'
		}
		if c == '-' && (len(b) == 0 || b[len(b)-1] == '-') {
			continue
		}
		b = append(b, c)
	}
	return strings.TrimSuffix(string(b), "-")
}

// plainLabel reports whether folding s would change nothing, without a copy.
func plainLabel(s string) bool {
	last := byte('-')
	for i := range len(s) {
		c := s[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') || c == '-' && last == '-' {
			return false
		}
		last = c
	}
	return last != '-'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Lower lower-cases ASCII letters and no others (F6): unlike strings.ToLower it
// makes no k of a Kelvin sign, and what it returns is as long as s.
func Lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// looksExact reports whether a folded service could be taken for an exact name.
func looksExact(s string) bool {
	digits, ok := strings.CutPrefix(s, "h-")
	return ok && len(digits) == 10 && strings.Trim(digits, "0123456789abcdef") == ""
}

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
// stands among the names of the snapshot.
func (n Name) Scoped() string {
	kind := n.Service + "." + LabelService
	return kind + Filter{Cluster: n.Cluster, Version: n.Version}.scopes() + strings.TrimPrefix(n.Base, kind)
}

// ParseName takes apart the labels of a question below the zone, leftmost
// first, unescaped. It returns false for a name that can hold nothing: no kind
// label, a label that folds to nothing, or a wildcard. With raw false the
// service must be spelled folded already; case never matters.
func ParseName(labels []string, raw bool) (Name, bool) {
	var n Name
	var group, ns string
	rest := labels
	for _, scope := range []struct {
		label string
		to    *string
	}{{LabelNamespace, &ns}, {labelGroup, &group}, {labelVersion, &n.Version}, {labelCluster, &n.Cluster}} {
		if i := len(rest) - 2; i >= 1 && Lower(rest[i+1]) == scope.label {
			if *scope.to = scopeLabel(rest[i]); *scope.to == "" {
				return n, false
			}
			rest = rest[:i]
		}
	}
	if len(rest) == 0 {
		return n, false
	}
	n.Kind = Lower(rest[len(rest)-1])
	rest = rest[:len(rest)-1]
	base := n.Kind
	switch n.Kind {
	case LabelService, LabelAddress:
	case LabelInstance:
		if len(rest) < 2 {
			return n, false
		}
		n.Address, rest, base = Lower(rest[0]), rest[1:], LabelService
	default:
		return n, false
	}
	if n.Address == "" && len(rest) >= 2 && len(rest[0]) > 1 && rest[0][0] == '_' && isProto(rest[1]) {
		n.App, n.Proto = Lower(rest[0][1:]), Lower(rest[1][1:])
		rest = rest[2:]
	}
	if len(rest) == 0 && n.App != "" { // _order-api._tcp.svc: the app is the service
		rest, n.App = []string{n.App}, ""
	}
	if !n.fold(rest, raw) || looksExact(n.Service) && n.Cluster+n.Version != "" {
		return n, false // an exact name carries no scope (F8)
	}
	n.Base = n.Service + "." + base
	if group != "" {
		n.Base += "." + group + "." + labelGroup
	}
	if ns != "" {
		n.Base += "." + ns + "." + LabelNamespace
	}
	return n, true
}

// fold sets Service from the labels left of the kind. A whole label that folds
// to nothing ends it, else "*.order-api" would be order-api.
func (n *Name) fold(labels []string, raw bool) bool {
	if len(labels) == 1 && looksExact(Lower(labels[0])) {
		n.Service = Lower(labels[0])
		return true
	}
	for _, l := range labels {
		if strings.Contains(l, "*") || !raw && !plainLabel(Lower(l)) {
			return false
		}
		if strings.Trim(l, ".:/") == "" || foldLabel(strings.Trim(l, ".:/")) == "" {
			return false
		}
	}
	var ok bool
	n.Service, ok = foldService(strings.Join(labels, "."))
	return ok
}

func isProto(label string) bool {
	label = Lower(label)
	return label == "_tcp" || label == "_udp"
}

// ScopeLabel returns the label that a namespace, group, cluster or version has in
// names (F3), empty when it has none.
func ScopeLabel(s string) string { return scopeLabel(s) }
