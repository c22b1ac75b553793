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
			b = appendOctet(b, octet)
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

// hyphenated are the texts of all octets, with a hyphen in front.
var hyphenated = func() (texts [256][4]byte) {
	for n := range texts {
		copy(texts[n][:], "-"+strconv.Itoa(n))
	}
	return texts
}()

// appendOctet appends a hyphen and an octet in decimal digits: always as many, of which
// those that are too many are cut off.
func appendOctet(b []byte, n byte) []byte {
	text := &hyphenated[n]
	b = append(b, text[0], text[1], text[2], text[3])
	switch {
	case n >= 100:
		return b
	case n >= 10:
		return b[:len(b)-1]
	}
	return b[:len(b)-2]
}

// ParseAddress returns the address that a label as of [AppendAddress] spells, in
// lower case. There is one spelling for each address, so that no address has
// two names.
func ParseAddress(label string) (netip.Addr, bool) {
	if text, ok := strings.CutPrefix(label, "ip-"); ok {
		var octets [4]byte
		for i := range octets {
			n, rest, ok := number(text, 10, i == len(octets)-1)
			if !ok || n > 0xff {
				return netip.Addr{}, false
			}
			octets[i], text = byte(n), rest
		}
		return netip.AddrFrom4(octets), true
	}
	text, ok := strings.CutPrefix(label, "ip6-")
	if !ok {
		return netip.Addr{}, false
	}
	var groups [16]byte
	for i := 0; i < len(groups); i += 2 {
		n, rest, ok := number(text, 16, i == len(groups)-2)
		if !ok || n > 0xffff {
			return netip.Addr{}, false
		}
		groups[i], groups[i+1], text = byte(n>>8), byte(n), rest
	}
	return netip.AddrFrom16(groups), true
}

// number reads the number in front of text, up to its end or a hyphen. It has no
// zeros in front, and no digit more than the largest one.
func number(text string, base uint32, last bool) (n uint32, rest string, ok bool) {
	digits := 0
	for ; digits < len(text) && digits < 5 && text[digits] != '-'; digits++ {
		c := text[digits]
		switch {
		case '0' <= c && c <= '9':
			n = n*base + uint32(c-'0')
		case 'a' <= c && c <= 'f' && base == 16:
			n = n*base + uint32(c-'a'+10)
		default:
			return 0, "", false
		}
	}
	if digits == 0 || digits > 1 && text[0] == '0' || last != (digits == len(text)) {
		return 0, "", false
	}
	if !last {
		digits++ // the hyphen
	}
	return n, text[min(digits, len(text)):], true
}

// split appends the labels of a name to labels, without what is escaped in them
// (RFC 1035, 5.1).
func split(labels []string, name string) []string {
	if strings.IndexByte(name, '\\') < 0 {
		for {
			label, rest, more := strings.Cut(name, ".")
			labels = append(labels, label)
			if !more {
				return labels
			}
			name = rest
		}
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

func isProto(label string) bool {
	return len(label) == len("_tcp") && (strings.EqualFold(label, "_tcp") || strings.EqualFold(label, "_udp"))
}
