package labels

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of a table.
const (
	maxEntries = 1_000_000
	maxLabels  = 64  // of one entry
	maxName    = 128 // bytes
	maxValue   = 512 // bytes
	maxHost    = 253 // bytes
)

// builder gathers the entries of a table. Labels that are the same are held once:
// a large table has few sets and many addresses.
type builder struct {
	most   int // entries
	rows   []row
	hosts  map[string]*set
	lines  map[string]int // where each key was given
	sets   map[string]*set
	joined map[[2]*set]*set
	buf    []byte
}

// label is a name with its value.
type label struct{ name, value string }

func newBuilder(most int) *builder {
	return &builder{most: most, hosts: map[string]*set{}, lines: map[string]int{}, sets: map[string]*set{}, joined: map[[2]*set]*set{}}
}

// add takes what a line says of an address, a network or a host name. It sorts
// said, and keeps nothing of it but the strings.
func (b *builder) add(line int, key string, said []label) error {
	network, host, err := parseKey(key)
	if err != nil {
		return err
	}
	name := cmp.Or(host, network.String())
	if first, ok := b.lines[name]; ok {
		return fmt.Errorf("%q is given twice, first in line %d", key, first)
	}
	b.lines[name] = line
	if len(b.lines) > b.most {
		return fmt.Errorf("more than %d entries", b.most)
	}
	labels, err := b.setOf(said)
	if err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	if host != "" {
		b.hosts[host] = labels
		return nil
	}
	b.rows = append(b.rows, row{Prefix: network, labels: labels})
	return nil
}

// parseKey reads what has labels: a network, an address as the network of it
// alone, or else a host name in lower case.
func parseKey(s string) (network netip.Prefix, host string, err error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return network, "", fmt.Errorf("%q has a zone, which is another one on every host", s)
		}
		return canonical(netip.PrefixFrom(addr, addr.BitLen())), "", nil
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return network, "", fmt.Errorf("%q is not a network such as 192.0.2.0/24", s)
		case p.Masked() != p:
			return network, "", fmt.Errorf("%q has bits behind its length: %s is meant, or another one", s, p.Masked())
		}
		return canonical(p), "", nil
	}
	host = strings.ToLower(strings.TrimSuffix(s, "."))
	if !isHost(host) {
		return network, "", fmt.Errorf("%q is neither an address nor a network nor a host name", s)
	}
	return network, host, nil
}

// isHost reports whether s may be the name of a host. One that ends in a number is
// a broken address (RFC 1123, 2.1).
func isHost(s string) bool {
	parts := strings.Split(s, ".")
	last := parts[len(parts)-1]
	if len(s) > maxHost || strings.Trim(last, "0123456789") == "" {
		return false
	}
	return !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || len(part) > 63 || strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		})
	})
}

// setOf returns the one set of these labels.
func (b *builder) setOf(said []label) (*set, error) {
	slices.SortFunc(said, func(x, y label) int { return strings.Compare(x.name, y.name) })
	b.buf = b.buf[:0]
	for i, l := range said {
		if i > 0 && said[i-1].name == l.name {
			return nil, fmt.Errorf("label %q is given twice", l.name)
		}
		if err := l.check(); err != nil {
			return nil, err
		}
		if l.value != "" { // neither may hold a NUL
			b.buf = append(append(append(append(b.buf, l.name...), 0), l.value...), 0)
		}
	}
	if len(said) > maxLabels {
		return nil, fmt.Errorf("has %d labels, more than %d", len(said), maxLabels)
	}
	if one := b.sets[string(b.buf)]; one != nil {
		return one, nil
	}
	one := &set{}
	for _, l := range said {
		if l.value == "" {
			continue
		}
		if one.labels == nil {
			one.labels = map[string]string{}
		}
		one.labels[l.name] = l.value
	}
	b.sets[string(b.buf)] = one
	return one, nil
}

// join returns what an entry has that says inner, in a network that has outer.
func (b *builder) join(outer, inner *set) *set {
	switch {
	case len(outer.labels) == 0:
		return inner
	case len(inner.labels) == 0:
		return outer
	}
	both := [2]*set{outer, inner}
	if one := b.joined[both]; one != nil {
		return one
	}
	one := &set{maps.Clone(outer.labels)}
	maps.Copy(one.labels, inner.labels)
	b.joined[both] = one
	return one
}

// table returns the table of all that was added.
func (b *builder) table() *Table {
	slices.SortFunc(b.rows, func(x, y row) int { return compare(x.Prefix, y.Prefix) })
	t := &Table{rows: slices.Clip(b.rows), hosts: b.hosts}
	around := int32(-1)
	for i := range t.rows {
		r := &t.rows[i]
		for around >= 0 && !t.rows[around].Contains(r.Addr()) {
			around = t.rows[around].around
		}
		if r.around = around; around >= 0 {
			r.labels = b.join(t.rows[around].labels, r.labels)
		}
		around = int32(i)
		if r.Addr().Is4() {
			t.ipv4 = append(t.ipv4, ipv4(r.Addr()))
		}
	}
	return t
}
