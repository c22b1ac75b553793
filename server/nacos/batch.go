package nacos

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/registry"
)

// member names one instance of a batch.
type member struct {
	IP          scalar `json:"ip"`
	Port        scalar `json:"port"`
	ClusterName string `json:"clusterName"`
	Ephemeral   *bool  `json:"ephemeral"`
}

func (m member) is(i *registry.Instance) bool {
	host, err := registry.CanonicalHost(string(m.IP))
	return err == nil && i.Key.Endpoint.Host == host && strconv.Itoa(int(i.Key.Endpoint.Port)) == string(m.Port) &&
		(m.ClusterName == "" || m.ClusterName == i.Cluster) && (m.Ephemeral == nil || *m.Ephemeral == i.Ephemeral())
}

// batch returns the instances that a call is about: those it lists, or all of
// the kind it names.
func (h *Handler) batch(c *call) ([]*registry.Instance, error) {
	k, err := c.serviceKey()
	if err != nil {
		return nil, err
	}
	var members []member
	if text := c.value("instances"); text != "" && json.Unmarshal([]byte(text), &members) != nil {
		return nil, illegal("instances", "it should be a JSON array.")
	}
	s := h.cfg.Registry.Snapshot().Service(k)
	if s == nil {
		return nil, nil
	}
	ephemeral := !strings.EqualFold(c.value("consistencyType"), "persist")
	return s.Part(func(i *registry.Instance) bool {
		if len(members) == 0 {
			return i.Ephemeral() == ephemeral
		}
		return slices.ContainsFunc(members, func(m member) bool { return m.is(i) })
	}).Instances, nil
}

type updated struct {
	Updated []string `json:"updated"`
}

// batchWriters bounds how many instances of a batch are written at once.
const batchWriters = 32

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
	edit := registry.Edit{Metadata: metadata}
	if c.r.Method == http.MethodDelete {
		edit = registry.Edit{Drop: slices.Sorted(maps.Keys(metadata))}
	}
	changed := make([]bool, len(all))
	g, ctx := errgroup.WithContext(c.r.Context())
	g.SetLimit(batchWriters)
	for n, i := range all {
		g.Go(func() error {
			_, err := h.cfg.Registry.Override(ctx, i.Key, edit)
			changed[n] = err == nil
			if errors.Is(err, registry.ErrNotFound) || errors.Is(err, context.Canceled) {
				return nil // gone meanwhile; or another one's error is told
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	answer := updated{[]string{}}
	for n, i := range all {
		if changed[n] {
			answer.Updated = append(answer.Updated, batchName(i))
		}
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
		for _, i := range s.Instances {
			answer.IPs = append(answer.IPs, i.Key.Endpoint.Host+":"+strconv.Itoa(int(i.Key.Endpoint.Port))+"_"+strconv.FormatBool(i.Healthy))
		}
	}
	return answer, nil
}
