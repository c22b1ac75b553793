package nacos

import (
	"encoding/json"
	"hash/fnv"
	"math"
	"net/http"
	"strconv"

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
	Metadata    registry.Metadata `json:"metadata"`
	Interval    int64             `json:"instanceHeartBeatInterval"`
	TimeOut     int64             `json:"instanceHeartBeatTimeOut"`
	Delete      int64             `json:"ipDeleteTimeout"`
	Generator   string            `json:"instanceIdGenerator,omitempty"`
}

const metaGenerator = "preserved.instance.id.generator"

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
		Metadata:    i.Metadata,
		Interval:    i.Timeouts.Interval.Milliseconds(),
		TimeOut:     i.Timeouts.Unhealthy.Milliseconds(),
		Delete:      i.Timeouts.Delete.Milliseconds(),
		Generator:   generator(i.Metadata),
	}
}

// generator is left out where metadata does not say, as Nacos leaves it out.
func generator(m registry.Metadata) string {
	if m.Len() == 0 {
		return "simple"
	}
	return m.Get(metaGenerator)
}

// instanceID names an instance. A snowflake is any number that is unique and
// stays: here a hash of the identity, so that it need not be kept.
func instanceID(i *registry.Instance) string {
	tail := "#" + i.Cluster + "#" + i.Key.Service.Grouped()
	if i.Metadata.Get(metaGenerator) == "snowflake" {
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

// detail is the answer to a question for one instance; the service has another
// name in version 2.
type detail struct {
	Service     string            `json:"service,omitempty"`
	ServiceName string            `json:"serviceName,omitempty"`
	IP          string            `json:"ip"`
	Port        uint16            `json:"port"`
	ClusterName string            `json:"clusterName"`
	Weight      fraction          `json:"weight"`
	Healthy     bool              `json:"healthy"`
	InstanceID  string            `json:"instanceId"`
	Metadata    registry.Metadata `json:"metadata"`
}

// found returns the instance a call is about, which must be in the cluster that
// the call names.
func (h *Handler) found(c *call) (*registry.Instance, error) {
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	snap, cluster := h.cfg.Registry.Snapshot(), c.or("clusterName", registry.DefaultCluster)
	i := snap.Instance(k)
	if i == nil || i.Cluster != cluster {
		return nil, missing(snap, k, cluster)
	}
	return i, nil
}

func (h *Handler) instance(c *call) (any, error) {
	i, err := h.found(c)
	if err != nil {
		return nil, err
	}
	d := detail{"", "", i.Key.Endpoint.Host, i.Key.Endpoint.Port, i.Cluster, fraction(i.Weight), i.Healthy, instanceID(i), i.Metadata}
	if c.on == naming1 {
		d.Service = i.Key.Service.Grouped()
	} else {
		d.ServiceName = i.Key.Service.Grouped()
	}
	return d, nil
}

// operatorInstance answers one instance with all that a list says of it.
func (h *Handler) operatorInstance(c *call) (any, error) {
	i, err := h.found(c)
	if err != nil {
		return nil, err
	}
	return newHost(i, i.Healthy), nil
}

// missing words that an instance is not in a cluster.
func missing(snap *registry.Snapshot, k registry.InstanceKey, cluster string) error {
	s := snap.Service(k.Service)
	if s == nil || within(s, cluster).Instances.Len() == 0 {
		return refuse(http.StatusNotFound, "no ips found for cluster %s in service %s", cluster, k.Service.Grouped())
	}
	return refuse(http.StatusNotFound, "no matched ip found!")
}

// page is a part of a list, as versions 2 and 3 write it.
type page[T any] struct {
	TotalCount     int `json:"totalCount"`
	PageNumber     int `json:"pageNumber"`
	PagesAvailable int `json:"pagesAvailable"`
	PageItems      []T `json:"pageItems"`
}

// pageOf returns a page of all.
func pageOf[T any](all []T, no, size int) page[T] {
	from, to := bounds(no, size, len(all))
	p := page[T]{len(all), no, (len(all) + size - 1) / max(size, 1), []T{}}
	p.PageItems = append(p.PageItems, all[from:to]...)
	return p
}
