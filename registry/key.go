package registry

import (
	"net/netip"
	"strconv"
	"strings"
)

// Defaults of the Nacos world, which are ours too.
const (
	DefaultNamespace = "public"
	DefaultGroup     = "DEFAULT_GROUP"
	DefaultCluster   = "DEFAULT"
)

// ServiceKey is the identity of a service.
type ServiceKey struct{ Namespace, Group, Name string }

// String returns namespace@@group@@name, the text whose hash is the exact DNS name.
func (k ServiceKey) String() string { return k.Namespace + "@@" + k.Group + "@@" + k.Name }

// Grouped returns group@@name, the form Nacos clients know a service by.
func (k ServiceKey) Grouped() string { return k.Group + "@@" + k.Name }

// Endpoint is where an instance is reached: an IP address in canonical form or
// a host name, and a port.
type Endpoint struct {
	Host string
	Port uint16
}

// String returns host:port, an IPv6 address in brackets.
func (e Endpoint) String() string {
	port := strconv.Itoa(int(e.Port))
	if strings.Contains(e.Host, ":") {
		return "[" + e.Host + "]:" + port
	}
	return e.Host + ":" + port
}

// ParseEndpoint reads host:port as [Endpoint.String] writes it. The error is an
// [*InvalidError] that names address or port.
func ParseEndpoint(s string) (Endpoint, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return Endpoint{}, invalid("endpoint", s, "is not of the form address:port")
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return Endpoint{}, invalid("port", s[i+1:], "is not a number from 0 to 65535")
	}
	host := s[:i]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return Endpoint{}, invalid("endpoint", s, "is not of the form address:port")
		}
	}
	if host, err = CanonicalHost(host); err != nil {
		return Endpoint{}, err
	}
	return Endpoint{host, uint16(port)}, nil
}

// Addr returns the IP address, and false for a host name.
func (e Endpoint) Addr() (netip.Addr, bool) {
	a, err := netip.ParseAddr(e.Host)
	return a, err == nil
}

// compare orders endpoints by host text, then port; any total order serves. Unlike
// strings.Compare it takes a text that lies in memory which is used again.
func (e Endpoint) compare(o Endpoint) int {
	switch {
	case e.Host == o.Host:
		return int(e.Port) - int(o.Port)
	case e.Host < o.Host:
		return -1
	}
	return 1
}

// InstanceKey is the identity of an instance: one endpoint of one service.
type InstanceKey struct {
	Service  ServiceKey
	Endpoint Endpoint
}

// String returns namespace@@group@@name@@host:port.
func (k InstanceKey) String() string { return k.Service.String() + "@@" + k.Endpoint.String() }

// parseInstanceKey reverses [InstanceKey.String]. Namespace and group hold no
// "@", the endpoint neither, so the service may end with one.
func parseInstanceKey(s string) (InstanceKey, bool) {
	ns, rest, ok1 := strings.Cut(s, "@@")
	group, rest, ok2 := strings.Cut(rest, "@@")
	i := strings.LastIndex(rest, "@@")
	if !ok1 || !ok2 || i < 0 {
		return InstanceKey{}, false
	}
	e, err := ParseEndpoint(rest[i+2:])
	return InstanceKey{ServiceKey{ns, group, rest[:i]}, e}, err == nil
}
