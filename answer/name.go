package answer

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
)

// AppendAddress appends the name below the zone under which addr is found:
// ip-10-0-0-1.addr, or ip6- and eight groups without shortening.
func AppendAddress(b []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		b = append(b, "ip"...)
		for _, octet := range addr.As4() {
			b = strconv.AppendUint(append(b, '-'), uint64(octet), 10)
		}
	} else {
		b = append(b, "ip6"...)
		groups := addr.As16()
		for i := 0; i < len(groups); i += 2 {
			b = strconv.AppendUint(append(b, '-'), uint64(groups[i])<<8|uint64(groups[i+1]), 16)
		}
	}
	return append(b, "."+registry.LabelAddress...)
}

// ParseAddress returns the address that a label as of [AppendAddress] spells, in
// lower case. There is one spelling for each address, so that no address has
// two names.
func ParseAddress(label string) (netip.Addr, bool) {
	text, v6 := strings.CutPrefix(label, "ip6-")
	if v6 {
		text = strings.ReplaceAll(text, "-", ":")
	} else if text, v6 = strings.CutPrefix(label, "ip-"); v6 {
		text, v6 = strings.ReplaceAll(text, "-", "."), false
	} else {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is6() != v6 || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	spelled := AppendAddress(make([]byte, 0, 64), addr)
	return addr, string(spelled) == label+"."+registry.LabelAddress
}

// split takes the labels of a name apart and resolves what is escaped in them
// (RFC 1035, 5.1).
func split(name string) []string {
	labels := make([]string, 0, 8)
	if strings.IndexByte(name, '\\') < 0 {
		for label := range strings.SplitSeq(name, ".") {
			labels = append(labels, label)
		}
		return labels
	}
	var label []byte
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			labels = append(labels, string(label))
			label = label[:0]
		case c != '\\' || i+1 == len(name):
			label = append(label, c)
		case i+3 < len(name) && decimal(name[i+1:i+4]):
			n, _ := strconv.Atoi(name[i+1 : i+4])
			label = append(label, byte(n))
			i += 3
		default:
			i++
			label = append(label, name[i])
		}
	}
	return append(labels, string(label))
}

func decimal(s string) bool { return strings.Trim(s, "0123456789") == "" }

// lower returns s with ASCII letters in lower case, the only ones of which DNS
// disregards the case (RFC 4343).
func lower(s string) string {
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

func isProto(label string) bool {
	return strings.EqualFold(label, "_tcp") || strings.EqualFold(label, "_udp")
}
