package nacos

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
)

// serviceKey returns the service a call is about, checked, and with it the right to it.
func (c *call) serviceKey() (registry.ServiceKey, error) {
	name, err := c.required("serviceName")
	if err != nil {
		return registry.ServiceKey{}, err
	}
	return c.serviceNamed(name)
}

// serviceNamed takes apart service or group@@service; the group within wins
// over the parameter. The caller must have the right to it.
func (c *call) serviceNamed(name string) (registry.ServiceKey, error) {
	k, err := serviceOf(c.namespace(), c.or("groupName", registry.DefaultGroup), name)
	if err != nil {
		return k, err
	}
	return k, c.may(k.Namespace, k.Group)
}

// serviceOf returns a service, checked. The group within its name wins.
func serviceOf(namespace, group, name string) (registry.ServiceKey, error) {
	k := registry.ServiceKey{Namespace: namespace, Group: group, Name: name}
	if group, bare, grouped := strings.Cut(name, "@@"); grouped {
		if group == "" || bare == "" {
			return k, refusePage(http.StatusBadRequest, "Service name filter error,"+
				"Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'")
		}
		k.Group, k.Name = group, bare
	}
	for _, part := range []struct {
		name, value string
		limit       int
	}{{"namespaceId/tenant", k.Namespace, 64}, {"group", k.Group, 128}, {"serviceName", k.Name, 512}} {
		if len(part.value) > part.limit {
			return k, tooLong(part.name, part.limit)
		}
	}
	return k, k.Validate()
}

func (c *call) namespace() string { return c.or("namespaceId", registry.DefaultNamespace) }

// instanceKey returns the instance a call is about.
func (c *call) instanceKey() (registry.InstanceKey, error) {
	service, err := c.serviceKey()
	if err != nil {
		return registry.InstanceKey{}, err
	}
	ip, err := c.required("ip")
	if err != nil {
		return registry.InstanceKey{}, err
	}
	port, err := c.required("port")
	if err != nil {
		return registry.InstanceKey{}, err
	}
	e, err := endpoint(ip, port)
	return registry.InstanceKey{Service: service, Endpoint: e}, err
}

func endpoint(ip, port string) (registry.Endpoint, error) {
	if len(ip) > 128 {
		return registry.Endpoint{}, tooLong("ip", 128)
	}
	host, err := registry.CanonicalHost(ip)
	if err != nil {
		return registry.Endpoint{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return registry.Endpoint{}, illegal("port", "the value should be between 0 and 65535.")
	}
	return registry.Endpoint{Host: host, Port: uint16(n)}, nil
}

// cluster returns the cluster a call names, empty for none. Python clients send
// the word None for it.
func (c *call) cluster(names ...string) (string, error) {
	v := c.value(names...)
	if v == "None" && strings.HasPrefix(c.agent(), "Nacos-Python-Client") {
		return "", nil
	}
	if len(v) > 64 {
		return "", tooLong("cluster", 64)
	}
	return v, nil
}

// weight reads a weight, nil when there is none.
func (c *call) weight() (*float64, error) {
	v := c.value("weight")
	if v == "" {
		return nil, nil
	}
	w, err := strconv.ParseFloat(v, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinite, which the registry judges
		return nil, illegal("weight", "the value should be a number.")
	}
	return &w, nil
}

// metadata reads the metadata of a call, nil when there is none.
func (c *call) metadata() (map[string]string, error) { return parseMetadata(c.value("metadata")) }

// parseMetadata reads a JSON object of texts, numbers and booleans, or pairs
// k=v separated by commas. An empty text is nil, an empty object is not.
func parseMetadata(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	if m, ok := nacoswire.Texts([]byte(text)); ok {
		return m, nil
	}
	m := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		k, v, _ := strings.Cut(pair, "=")
		if v == "" || strings.Contains(v, "=") {
			return nil, refuse(http.StatusBadRequest, "metadata format incorrect:%s", shortened(text)).as(metadataError)
		}
		m[k] = v
	}
	return m, nil
}

// shortened keeps what a refusal repeats of a value within bounds.
func shortened(s string) string {
	if len(s) > 1024 {
		return s[:1024] + "…"
	}
	return s
}

// registration reads an instance to register.
func (c *call) registration() (registry.Registration, error) {
	reg := registry.Registration{
		Weight:  1,
		Enabled: c.flag("enabled", "enable"),
		Healthy: c.flag("healthy"),
	}
	if c.flagOr(c.h.switches.Current().DefaultInstanceEphemeral, "ephemeral") {
		reg.Witness = registry.WitnessHTTP
	} else {
		reg.Checked = true // by TCP, unless its cluster says how
	}
	var err error
	if reg.Key, err = c.instanceKey(); err != nil {
		return reg, err
	}
	if reg.Cluster, err = c.cluster("clusterName", "cluster"); err != nil {
		return reg, err
	}
	w, err := c.weight()
	if err != nil {
		return reg, err
	}
	if w != nil {
		reg.Weight = *w
	}
	metadata, err := c.metadata()
	reg.Metadata = registry.MetadataOf(metadata)
	return reg, err
}
