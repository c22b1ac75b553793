package nacos

import (
	"encoding/json"
	"hash/fnv"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
)

// fraction is a number that is written with a fraction, as Java writes a double.
type fraction float64

// MarshalJSON implements json.Marshaler.
func (f fraction) MarshalJSON() ([]byte, error) {
	if f == fraction(math.Trunc(float64(f))) {
		return strconv.AppendFloat(nil, float64(f), 'f', 1, 64), nil
	}
	return json.Marshal(float64(f))
}

// serviceInfo is a service with its hosts: the fields of the 1.x and of the 2.x
// answer, so that every client finds its own.
type serviceInfo struct {
	Name                     string            `json:"name"`
	GroupName                string            `json:"groupName"`
	Clusters                 string            `json:"clusters"` // what the caller asked for, byte for byte: its cache key
	CacheMillis              int               `json:"cacheMillis"`
	Hosts                    []host            `json:"hosts"`
	LastRefTime              int64             `json:"lastRefTime"`
	Checksum                 string            `json:"checksum"`
	AllIPs                   bool              `json:"allIPs"`
	ReachProtectionThreshold bool              `json:"reachProtectionThreshold"`
	Valid                    bool              `json:"valid"`
	Dom                      string            `json:"dom"`
	UseSpecifiedURL          bool              `json:"useSpecifiedURL"`
	Env                      string            `json:"env"`
	Metadata                 map[string]string `json:"metadata"` // of the service
}

// host is an instance as clients of both generations read it.
type host struct {
	InstanceID  string            `json:"instanceId"`
	IP          string            `json:"ip"`
	Port        uint16            `json:"port"`
	Weight      fraction          `json:"weight"`
	Healthy     bool              `json:"healthy"`
	Valid       bool              `json:"valid"` // the same, for 1.x
	Marked      bool              `json:"marked"`
	Enabled     bool              `json:"enabled"`
	Ephemeral   bool              `json:"ephemeral"`
	ClusterName string            `json:"clusterName"`
	ServiceName string            `json:"serviceName"`
	Metadata    map[string]string `json:"metadata"`
	Interval    int64             `json:"instanceHeartBeatInterval"`
	TimeOut     int64             `json:"instanceHeartBeatTimeOut"`
	Delete      int64             `json:"ipDeleteTimeout"`
	Generator   string            `json:"instanceIdGenerator,omitempty"`
}

const (
	cacheMillis   = 10000 // between two lists of a client
	metaGenerator = "preserved.instance.id.generator"
)

func newHost(i *registry.Instance, healthy bool) host {
	return host{
		InstanceID:  instanceID(i),
		IP:          i.Key.Endpoint.Host,
		Port:        i.Key.Endpoint.Port,
		Weight:      fraction(i.Weight),
		Healthy:     healthy,
		Valid:       healthy,
		Enabled:     i.Enabled,
		Ephemeral:   i.Ephemeral(),
		ClusterName: i.Cluster,
		ServiceName: i.Key.Service.Grouped(),
		Metadata:    orEmpty(i.Metadata),
		Interval:    i.Timeouts.Interval.Milliseconds(),
		TimeOut:     i.Timeouts.Unhealthy.Milliseconds(),
		Delete:      i.Timeouts.Delete.Milliseconds(),
		Generator:   generator(i.Metadata),
	}
}

// generator is left out where metadata does not say, as Nacos leaves it out.
func generator(metadata map[string]string) string {
	if len(metadata) == 0 {
		return "simple"
	}
	return metadata[metaGenerator]
}

// instanceID names an instance. A snowflake is any number that is unique and
// stays: here a hash of the identity, so that it need not be kept.
func instanceID(i *registry.Instance) string {
	tail := "#" + i.Cluster + "#" + i.Key.Service.Grouped()
	if i.Metadata[metaGenerator] == "snowflake" {
		return number(i.Key.String()) + tail
	}
	return i.Key.Endpoint.Host + "#" + strconv.Itoa(int(i.Key.Endpoint.Port)) + tail
}

// number returns a positive number of 63 bits that stands for an identity.
func number(identity string) string {
	sum := fnv.New64a()
	sum.Write([]byte(identity))
	return strconv.FormatUint(sum.Sum64()>>1, 10)
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// instances answers the hosts of a service. With healthyOnly they are the set
// that every door answers; else all that are enabled, with their true flags,
// unless the protect threshold holds: then all are called healthy.
func (h *Handler) instances(c *call) (any, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	snap, stamp := h.read()
	info := serviceInfo{
		Name: k.Grouped(), GroupName: k.Group, Clusters: c.params["clusters"], CacheMillis: cacheMillis, Hosts: []host{},
		LastRefTime: stamp, Valid: true, Dom: k.Name, Env: c.params["env"], Metadata: map[string]string{},
	}
	if strings.HasPrefix(c.agent(), "Nacos-Java-Client") {
		info.Dom = k.Grouped()
	}
	if s := snap.Service(k); s != nil {
		s = within(s, c.value("clusters"))
		sel := s.Select(registry.Filter{})
		listed := sel.Instances
		if !c.isTrue("healthyOnly") {
			listed = enabled(s.Instances)
		}
		info.Hosts = make([]host, 0, len(listed))
		for _, i := range listed {
			info.Hosts = append(info.Hosts, newHost(i, i.Healthy || sel.Protected))
		}
		info.ReachProtectionThreshold, info.Metadata = sel.Protected, orEmpty(s.Metadata)
	}
	return info, nil
}

// within returns the service with the instances of some clusters, so that the
// registry's own rule selects among them; all of them when none is named.
func within(s *registry.Service, clusters string) *registry.Service {
	names := entries(clusters)
	if len(names) == 0 {
		return s
	}
	return s.Part(func(i *registry.Instance) bool { return slices.Contains(names, i.Cluster) })
}

func enabled(all []*registry.Instance) []*registry.Instance {
	if !slices.ContainsFunc(all, func(i *registry.Instance) bool { return !i.Enabled }) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(i *registry.Instance) bool { return !i.Enabled })
}

// detail is the answer to a question for one instance.
type detail struct {
	Service     string            `json:"service"`
	IP          string            `json:"ip"`
	Port        uint16            `json:"port"`
	ClusterName string            `json:"clusterName"`
	Weight      fraction          `json:"weight"`
	Healthy     bool              `json:"healthy"`
	InstanceID  string            `json:"instanceId"`
	Metadata    map[string]string `json:"metadata"`
}

func (h *Handler) instance(c *call) (any, error) {
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	snap, cluster := h.cfg.Registry.Snapshot(), c.or("clusterName", registry.DefaultCluster)
	i := snap.Instance(k)
	if i == nil || i.Cluster != cluster {
		return nil, missing(snap, k, cluster)
	}
	return detail{k.Service.Grouped(), k.Endpoint.Host, k.Endpoint.Port, i.Cluster, fraction(i.Weight), i.Healthy,
		instanceID(i), orEmpty(i.Metadata)}, nil
}

// missing words that an instance is not in a cluster.
func missing(snap *registry.Snapshot, k registry.InstanceKey, cluster string) error {
	s := snap.Service(k.Service)
	if s == nil || len(within(s, cluster).Instances) == 0 {
		return refuse(http.StatusNotFound, "no ips found for cluster %s in service %s", cluster, k.Service.Grouped())
	}
	return refuse(http.StatusNotFound, "no matched ip found!")
}
