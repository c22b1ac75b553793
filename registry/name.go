package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/musterhq/muster/internal/ldh"
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
// each (F2, as package ldh does); empty when it has none (F4).
func scopeLabel(s string) string {
	label := ldh.Label(s)
	if len(label) > maxLabel || !isASCII(s) {
		return ""
	}
	return label
}

// foldService applies F1, F2 and F4 to the service part.
func foldService(name string) (string, bool) {
	if ldh.Is(name) && len(name) <= maxLabel {
		return name, foldedService(name)
	}
	b, ok := appendService(make([]byte, 0, len(name)), 0, name)
	folded := string(b)
	return folded, ok && foldedService(folded)
}

// appendService appends the labels of a service, or of a part of one, that is called
// name to a text that begins at start. False: there is no folded name (F4).
func appendService(b []byte, start int, name string) ([]byte, bool) {
	for piece := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '.' || r == ':' || r == '/' }) {
		before := len(b)
		if before > start {
			b = append(b, '.')
		}
		from := len(b)
		b = ldh.Append(b, piece)
		switch n := len(b) - from; {
		case n > maxLabel || !isASCII(piece):
			return b, false
		case n == 0:
			b = b[:before]
		}
	}
	return b, true
}

// foldedService reports whether the folded text of a service may be one (F4).
func foldedService(s string) bool { return s != "" && len(s) <= 120 && !looksExact(s) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Lower lower-cases ASCII letters and no others (F6, RFC 4343): unlike strings.ToLower
// it makes no k of a Kelvin sign, and what it returns is as long as s.
func Lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// looksExact reports whether a folded service could be taken for an exact name.
func looksExact(s string) bool {
	digits, ok := strings.CutPrefix(s, "h-")
	return ok && len(digits) == 10 && strings.Trim(digits, "0123456789abcdef") == ""
}

// ScopeLabel returns the label that a namespace, group, cluster or version has in
// names (F3), empty when it has none.
func ScopeLabel(s string) string { return scopeLabel(s) }
