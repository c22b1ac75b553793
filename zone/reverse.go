package zone

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	arpa4 = "in-addr.arpa."
	arpa6 = "ip6.arpa."
)

// ParseReverse reads a name in lower case as a reverse name (RFC 1035, 3.5; RFC
// 3596, 2.5). It returns the address, or the network of those that the name leads
// to; false for any other name.
func ParseReverse(name string) (netip.Prefix, bool) {
	if text, ok := strings.CutSuffix(name, "."+arpa4); ok {
		var b [4]byte
		n, ok := spelled(text, len(b), func(i int, label string) bool {
			octet, err := strconv.ParseUint(label, 10, 8)
			b[i] = byte(octet)
			return err == nil && strconv.Itoa(int(octet)) == label
		})
		return netip.PrefixFrom(netip.AddrFrom4(b), n*8), ok
	}
	text, ok := strings.CutSuffix(name, "."+arpa6)
	if !ok {
		return netip.Prefix{}, false
	}
	nibbles := []byte(strings.Repeat("0", 32))
	n, ok := spelled(text, len(nibbles), func(i int, label string) bool {
		nibbles[i] = label[0]
		return len(label) == 1 && strings.Contains("0123456789abcdef", label)
	})
	var b [16]byte
	_, err := hex.Decode(b[:], nibbles)
	return netip.PrefixFrom(netip.AddrFrom16(b), n*4), ok && err == nil
}

// reverseName returns the reverse name of an address.
func reverseName(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		octets := a.As4()
		for i := len(octets) - 1; i >= 0; i-- {
			b.WriteString(strconv.Itoa(int(octets[i])) + ".")
		}
		return b.String() + arpa4
	}
	nibbles := hex.EncodeToString(a.AsSlice())
	for i := len(nibbles) - 1; i >= 0; i-- {
		b.WriteString(nibbles[i:i+1] + ".")
	}
	return b.String() + arpa6
}

// spelled hands the labels of text to take, the last one first, and returns how
// many there are; false when there are more than most or take refuses one.
func spelled(text string, most int, take func(i int, label string) bool) (int, bool) {
	labels := strings.Split(text, ".")
	slices.Reverse(labels)
	if len(labels) > most {
		return 0, false
	}
	for i, label := range labels {
		if label == "" || !take(i, label) {
			return 0, false
		}
	}
	return len(labels), true
}
