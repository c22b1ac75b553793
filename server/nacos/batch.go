package nacos

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
)

// member names one instance of a batch.
type member struct {
	IP          nacoswire.Scalar `json:"ip"`
	Port        nacoswire.Scalar `json:"port"`
	ClusterName string           `json:"clusterName"`
	Ephemeral   *bool            `json:"ephemeral"`
}

// is reports whether m means the instance that is at its endpoint.
func (m member) is(i *registry.Instance) bool {
	return (m.ClusterName == "" || m.ClusterName == i.Cluster) && (m.Ephemeral == nil || *m.Ephemeral == i.Ephemeral())
}

// maxMembers bounds the text of a list of instances, in bytes: there is room for ten
// thousand.
const maxMembers = 1 << 20

// parseMembers reads a list of instances, by their endpoints. One that can be
// nobody's endpoint is left out.
func parseMembers(text string) (map[registry.Endpoint][]member, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxMembers {
		return nil, tooLong("instances", maxMembers)
	}
	var members []member
	if json.Unmarshal([]byte(text), &members) != nil {
		return nil, illegal("instances", "it should be a JSON array.")
	}
	if len(members) == 0 {
		return nil, nil
	}
	at := map[registry.Endpoint][]member{}
	for _, m := range members {
		if e, err := endpoint(string(m.IP), string(m.Port)); err == nil {
			at[e] = append(at[e], m)
		}
	}
	return at, nil
}

// batch returns the instances that a call is about: those it lists, or all of
// the kind it names.
func (h *Handler) batch(c *call) ([]*registry.Instance, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	members, err := parseMembers(c.value("instances"))
	if err != nil {
		return nil, err
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return nil, nil
	}
	ephemeral := !strings.EqualFold(c.value("consistencyType"), "persist")
	return s.Part(func(i *registry.Instance) bool {
		if members == nil {
			return i.Ephemeral() == ephemeral
		}
		return slices.ContainsFunc(members[i.Key.Endpoint], func(m member) bool { return m.is(i) })
	}).Instances.List(), nil
}

type updated struct {
	Updated []string `json:"updated"`
}

// batchMetadata lays metadata over many instances, or takes its keys back.
func (h *Handler) batchMetadata(c *call) (any, error) {
	if _, err := c.required("metadata"); err != nil {
		return nil, err
	}
	metadata, err := c.metadata()
	if err != nil {
		return nil, err
	}
	all, err := h.batch(c)
	if err != nil {
		return nil, err
	}
	answer := updated{[]string{}}
	if len(all) == 0 {
		return answer, nil
	}
	edit := registry.Edit{Metadata: metadata}
	if c.r.Method == http.MethodDelete {
		edit = registry.Edit{Drop: slices.Sorted(maps.Keys(metadata))}
	}
	keys, names := make([]registry.InstanceKey, len(all)), make(map[registry.InstanceKey]string, len(all))
	for n, i := range all {
		keys[n], names[i.Key] = i.Key, batchName(i)
	}
	lies, receipt, err := h.cfg.Registry.OverrideEach(c.r.Context(), keys, edit)
	if err != nil {
		return nil, err
	}
	c.wrote(receipt.Revision, receipt.Lagging)
	trail := audit.From(c.r.Context())
	for _, k := range lies { // not those that are gone meanwhile
		s := k.Service
		trail.Part(audit.Part{Namespace: s.Namespace, Group: s.Group, Name: s.Name, Item: k.Endpoint.String(), Change: audit.Put})
		answer.Updated = append(answer.Updated, names[k])
	}
	return answer, nil
}

// batchName is how a batch names an instance; nobody knows what stands third.
func batchName(i *registry.Instance) string {
	kind := "persist"
	if i.Ephemeral() {
		kind = "ephemeral"
	}
	return strings.Join([]string{i.Key.Endpoint.Host, strconv.Itoa(int(i.Key.Endpoint.Port)), "unknown", i.Cluster, kind}, ":")
}

type healthByAddress struct {
	IPs []string `json:"ips"`
}

// statuses answers the health of a service named [namespace##]group@@service.
func (h *Handler) statuses(c *call) (any, error) {
	key, err := c.required("key")
	if err != nil {
		return nil, err
	}
	if namespace, rest, found := strings.Cut(key, "##"); found {
		c.params["namespaceId"], key = namespace, rest
	}
	k, err := c.serviceNamed(key)
	if err != nil {
		return nil, err
	}
	answer := healthByAddress{[]string{}}
	if s := h.cfg.Registry.Snapshot().Service(k); s != nil {
		for i := range s.Instances.All() {
			answer.IPs = append(answer.IPs, i.Key.Endpoint.Host+":"+strconv.Itoa(int(i.Key.Endpoint.Port))+"_"+strconv.FormatBool(i.Healthy))
		}
	}
	return answer, nil
}
