package nacos

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos/rpc"
)

func namingOps() []grpcOp {
	return []grpcOp{
		{request: "InstanceRequest", response: "InstanceResponse", asks: writesService, changes: true, needs: naming, do: (*Handler).grpcInstance},
		{request: "BatchInstanceRequest", response: "BatchInstanceResponse", asks: writesService, changes: true, needs: naming, do: (*Handler).grpcBatch},
		{request: "PersistentInstanceRequest", response: "InstanceResponse", asks: writesService, changes: true, needs: naming, do: (*Handler).grpcPersistent},
		{request: "ServiceQueryRequest", response: "QueryServiceResponse", asks: readsService, needs: naming, do: (*Handler).grpcQuery},
		{request: "SubscribeServiceRequest", response: "SubscribeServiceResponse", asks: readsService, needs: naming, do: (*Handler).grpcSubscribe},
		{request: "NamingFuzzyWatchRequest", response: "NamingFuzzyWatchResponse", asks: readsServices, needs: naming, do: (*Handler).grpcWatchServices},
		{request: "ServiceListRequest", response: "ServiceListResponse", asks: readsServices, needs: naming, do: (*Handler).grpcServices,
			failed: func(r rpc.Result) any { return serviceListResponse{r, 0, []string{}} }},
	}
}

// grpcService is what every naming request has. Clients are not strict: the service may
// be group@@service, and what is blank is the default.
type grpcService struct {
	Namespace   nacoswire.Scalar `json:"namespace"`
	ServiceName nacoswire.Scalar `json:"serviceName"`
	GroupName   nacoswire.Scalar `json:"groupName"`
}

// key returns the service of a request, and with it the right to it.
func (c *grpcCall) key(s grpcService) (registry.ServiceKey, error) {
	if s.ServiceName == "" {
		return registry.ServiceKey{}, absent{"serviceName"}
	}
	k, err := serviceOf(or(s.Namespace, registry.DefaultNamespace), or(s.GroupName, registry.DefaultGroup), string(s.ServiceName))
	if err != nil {
		return k, err
	}
	c.concerns(k.Namespace, k.Group, k.Name, "")
	return k, c.may(k.Namespace, k.Group)
}

func (s grpcService) service() grpcService { return s }

// readService reads the body of a request about a service, and returns that with the right to
// it.
func readService[Q interface{ service() grpcService }](c *grpcCall) (q Q, k registry.ServiceKey, err error) {
	if err = c.read(&q); err == nil {
		k, err = c.key(q.service())
	}
	return q, k, err
}

func or(s nacoswire.Scalar, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return string(s)
}

// yes reads a boolean that may be a text; a blank one is as said.
func yes(s nacoswire.Scalar, otherwise bool) bool {
	if s == "" {
		return otherwise
	}
	return says(string(s))
}

// grpcHost is an instance as clients send it.
type grpcHost struct {
	IP          nacoswire.Scalar `json:"ip"`
	Port        nacoswire.Scalar `json:"port"`
	Weight      nacoswire.Scalar `json:"weight"`
	Healthy     nacoswire.Scalar `json:"healthy"`
	Enabled     nacoswire.Scalar `json:"enabled"`
	Ephemeral   nacoswire.Scalar `json:"ephemeral"`
	ClusterName nacoswire.Scalar `json:"clusterName"`
	Metadata    json.RawMessage  `json:"metadata"`
}

// endpoint returns where the instance is.
func (i grpcHost) endpoint() (registry.Endpoint, error) {
	for _, part := range []struct {
		name  string
		value nacoswire.Scalar
	}{{"ip", i.IP}, {"port", i.Port}} {
		if part.value == "" {
			return registry.Endpoint{}, absent{part.name}
		}
	}
	return endpoint(string(i.IP), string(i.Port))
}

// registration returns the instance of a service to register; its witness is to be set.
func (i grpcHost) registration(k registry.ServiceKey) (registry.Registration, error) {
	reg := registry.Registration{Cluster: string(i.ClusterName), Weight: 1, Enabled: yes(i.Enabled, true), Healthy: yes(i.Healthy, true)}
	e, err := i.endpoint()
	if err != nil {
		return reg, err
	}
	reg.Key = registry.InstanceKey{Service: k, Endpoint: e}
	if len(reg.Cluster) > 64 {
		return reg, tooLong("cluster", 64)
	}
	if i.Weight != "" {
		if reg.Weight, err = strconv.ParseFloat(string(i.Weight), 64); err != nil {
			return reg, illegal("weight", "the value should be a number.")
		}
	}
	if entriesOf(i.Metadata) > registry.MaxMetadata {
		return reg, tooLong("metadata", registry.MaxMetadata)
	}
	if text := strings.TrimSpace(string(i.Metadata)); text != "" && text != "null" {
		metadata, ok := nacoswire.Texts([]byte(text))
		if !ok {
			return reg, refuse(http.StatusBadRequest, "metadata format incorrect:%s", shortened(text)).as(metadataError)
		}
		reg.Metadata = registry.MetadataOf(metadata)
	}
	return reg, nil
}

type instanceRequest struct {
	grpcService

	Type     string   `json:"type"`
	Instance grpcHost `json:"instance"`
}

type instanceResponse struct {
	rpc.Result

	Type string `json:"type,omitempty"`
}

// What a request about an instance may want.
const (
	wantsRegister   = "registerInstance"
	wantsDeregister = "deregisterInstance"
	wantsBatch      = "batchRegisterInstance"
)

func unknownType(typ string) error {
	return refuse(http.StatusBadRequest, "Unsupported request type %s", shortened(typ))
}

// grpcInstance has a connection hold one instance of a service, in place of all that it
// held there, or none.
func (h *Handler) grpcInstance(c *grpcCall) (any, error) {
	q, k, err := readService[instanceRequest](c)
	if err != nil {
		return nil, err
	}
	switch q.Type {
	case wantsRegister:
		if !yes(q.Instance.Ephemeral, true) {
			return nil, refuse(http.StatusBadRequest, "errCode: 400, errMsg: an instance that a connection vouches for is ephemeral").as(instanceError)
		}
		reg, err := q.Instance.registration(k)
		if err != nil {
			return nil, err
		}
		c.concerns(k.Namespace, k.Group, k.Name, reg.Key.Endpoint.String())
		return c.written(q.Type)(h.holders.hold(c, k, []registry.Registration{reg}))
	case wantsDeregister:
		at, err := q.Instance.endpoint()
		if err != nil {
			at = registry.Endpoint{} // what the connection holds goes anyway
		} else {
			c.concerns(k.Namespace, k.Group, k.Name, at.String())
		}
		return c.written(q.Type)(h.holders.release(c.ctx, c.conn, k, at))
	}
	return nil, unknownType(q.Type)
}

type batchRequest struct {
	grpcService

	Type      string        `json:"type"`
	Instances few[grpcHost] `json:"instances"`
}

// grpcBatch has a connection hold these instances of a service, in place of all that it
// held there. Clients take single ones back by sending the others.
func (h *Handler) grpcBatch(c *grpcCall) (any, error) {
	q, k, err := readService[batchRequest](c)
	switch {
	case err != nil:
		return nil, err
	case q.Type != wantsBatch:
		return nil, unknownType(q.Type)
	}
	set := make([]registry.Registration, 0, len(q.Instances))
	for _, i := range q.Instances {
		if !yes(i.Ephemeral, true) {
			return nil, refuse(http.StatusBadRequest, "errCode: 400, errMsg: Batch registration does not allow persistent instance registration.").as(instanceError)
		}
		reg, err := i.registration(k)
		if err != nil {
			return nil, err
		}
		set = append(set, reg)
	}
	receipt, err := h.holders.hold(c, k, set)
	for n := 0; err == nil && n < len(set); n++ {
		c.trail.Part(audit.Part{Namespace: k.Namespace, Group: k.Group, Name: k.Name, Item: set[n].Key.Endpoint.String(), Change: audit.Put})
	}
	return c.written(q.Type)(receipt, err)
}

// written returns what answers a write of a type.
func (c *grpcCall) written(typ string) func(registry.Receipt, error) (any, error) {
	return func(receipt registry.Receipt, err error) (any, error) {
		c.revision = receipt.Revision
		return instanceResponse{rpc.OK(), typ}, err
	}
}

// grpcPersistent registers an instance that stands without its client.
func (h *Handler) grpcPersistent(c *grpcCall) (any, error) {
	q, k, err := readService[instanceRequest](c)
	if err != nil {
		return nil, err
	}
	switch q.Type {
	case wantsRegister:
		reg, err := q.Instance.registration(k)
		if err != nil {
			return nil, err
		}
		reg.Checked = true // by TCP, unless its cluster says how
		c.concerns(k.Namespace, k.Group, k.Name, reg.Key.Endpoint.String())
		return c.written(q.Type)(h.cfg.Registry.Register(c.ctx, reg))
	case wantsDeregister:
		at, err := q.Instance.endpoint()
		if err != nil {
			return nil, err
		}
		c.concerns(k.Namespace, k.Group, k.Name, at.String())
		return c.written(q.Type)(h.cfg.Registry.Deregister(c.ctx, registry.InstanceKey{Service: k, Endpoint: at}, false))
	}
	return nil, unknownType(q.Type)
}

// hostList is a service with its hosts as clients over gRPC read it.
type hostList struct {
	Name                     string `json:"name"` // without the group
	GroupName                string `json:"groupName"`
	Clusters                 string `json:"clusters"`
	CacheMillis              int64  `json:"cacheMillis"`
	Hosts                    []host `json:"hosts"`
	LastRefTime              int64  `json:"lastRefTime"`
	Checksum                 string `json:"checksum"`
	AllIPs                   bool   `json:"allIPs"`
	ReachProtectionThreshold bool   `json:"reachProtectionThreshold"`
	Valid                    bool   `json:"valid"`
}

// view returns what a client wishes to know, of the newest snapshot.
func (h *Handler) view(w wish, from *rpc.Conn) hostList {
	snap, stamp := h.read()
	if s := snap.Service(w.service); s != nil && from != nil {
		w.wants = s.Wants(from.Client().IP.Unmap())
	}
	list := h.list(snap, stamp, w)
	return hostList{w.service.Name, w.service.Group, w.clusters, list.CacheMillis, list.Hosts, list.LastRefTime, "", false,
		list.ReachProtectionThreshold, true}
}

type queryRequest struct {
	grpcService

	Cluster     string           `json:"cluster"`
	HealthyOnly nacoswire.Scalar `json:"healthyOnly"`
	HealthOnly  nacoswire.Scalar `json:"healthOnly"` // as Python writes it
}

type serviceResponse struct {
	rpc.Result

	Service hostList `json:"serviceInfo"`
}

func (h *Handler) grpcQuery(c *grpcCall) (any, error) {
	q, k, err := readService[queryRequest](c)
	if err != nil {
		return nil, err
	}
	w := wish{service: k, clusters: q.Cluster, healthy: yes(q.HealthyOnly, yes(q.HealthOnly, false))}
	return serviceResponse{rpc.OK(), h.view(w, c.conn)}, nil
}

// maxClusters bounds the names of clusters that a client wants to be told of, in all: they
// are kept as it wrote them.
const maxClusters = 4 << 10

type subscribeRequest struct {
	grpcService

	Subscribe nacoswire.Scalar `json:"subscribe"`
	Clusters  string           `json:"clusters"`
}

// grpcSubscribe has a client told of a service from now on, or no more. Either way it gets
// the service as it is.
func (h *Handler) grpcSubscribe(c *grpcCall) (any, error) {
	q, k, err := readService[subscribeRequest](c)
	if err != nil {
		return nil, err
	}
	w := wish{service: k, clusters: q.Clusters}
	if len(w.clusters) > maxClusters {
		return nil, tooLong("clusters", maxClusters)
	}
	if yes(q.Subscribe, true) {
		err = h.tells.subscribe(c, w) // before the list is read: what changes in between is told
	} else {
		h.tells.unsubscribe(c.conn, w)
	}
	if err != nil {
		return nil, err
	}
	return serviceResponse{rpc.OK(), h.view(w, c.conn)}, nil
}

type serviceListRequest struct {
	grpcService

	PageNo   nacoswire.Scalar `json:"pageNo"`
	PageSize nacoswire.Scalar `json:"pageSize"`
}

type serviceListResponse struct {
	rpc.Result

	Count int      `json:"count"`        // on all pages
	Names []string `json:"serviceNames"` // group@@service
}

func (h *Handler) grpcServices(c *grpcCall) (any, error) {
	var q serviceListRequest
	if err := c.read(&q); err != nil {
		return nil, err
	}
	namespace, group := or(q.Namespace, registry.DefaultNamespace), or(q.GroupName, registry.DefaultGroup)
	if err := validScope(namespace, group); err != nil {
		return nil, err
	}
	if err := c.may(namespace, group); err != nil {
		return nil, err
	}
	no, _ := strconv.Atoi(string(q.PageNo)) // what is no number is the first page
	size, err := strconv.Atoi(string(q.PageSize))
	if err != nil || size < 0 {
		size = 0
	}
	all := servicesOf(h.cfg.Registry.Snapshot(), namespace, group)
	from, to := bounds(max(no, 1), size, len(all))
	names := make([]string, 0, to-from)
	for _, s := range all[from:to] {
		names = append(names, s.Key.Grouped())
	}
	return serviceListResponse{rpc.OK(), len(all), names}, nil
}
