package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

func (f *face) mountTargets(a huma.API) {
	huma.Register(a, huma.Operation{OperationID: "prometheus-targets", Method: http.MethodGet, Path: api.PathTargets,
		Summary: "List instances for the HTTP service discovery of Prometheus", Tags: []string{"instances"}}, f.targets)
}

type targetsQuery struct {
	Namespace string `query:"namespace" doc:"Only this namespace; all when empty"`
	Group     string `query:"group" doc:"Only this group; all when empty"`
	Service   string `query:"service" doc:"Only services of this name; all when empty"`
	Cluster   string `query:"cluster" doc:"Only this cluster; all when empty"`
	Healthy   bool   `query:"healthy" doc:"Only the instances that DNS answers: Prometheus then does not see those that are down"`
}

type targetsAnswer struct{ Body []api.TargetGroup }

func (f *face) targets(_ context.Context, q *targetsQuery) (*targetsAnswer, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	out := &targetsAnswer{Body: []api.TargetGroup{}}
	for _, s := range snap.Services() {
		k := s.Key
		if q.Namespace != "" && q.Namespace != k.Namespace || q.Group != "" && q.Group != k.Group || q.Service != "" && q.Service != k.Name {
			continue
		}
		instances := s.Instances
		if q.Healthy {
			instances = s.Select(registry.Filter{}).Instances
		}
		for _, i := range instances {
			if q.Cluster == "" || q.Cluster == i.Cluster {
				out.Body = append(out.Body, api.TargetGroup{Targets: []string{i.Key.Endpoint.String()}, Labels: targetLabels(s, i)})
			}
		}
	}
	return out, nil
}

// metaLabel begins the labels of a target: Prometheus drops those that a relabeling
// does not keep.
const metaLabel = "__meta_muster_"

func targetLabels(s *registry.Service, i *registry.Instance) map[string]string {
	labels := map[string]string{}
	set := func(name, value string) { labels[metaLabel+name] = value }
	set("namespace", s.Key.Namespace)
	set("group", s.Key.Group)
	set("service", s.Key.Name)
	set("dns_name", s.DNSName())
	set("cluster", i.Cluster)
	set("address", i.Key.Endpoint.Host)
	set("port", strconv.Itoa(int(i.Key.Endpoint.Port)))
	set("weight", strconv.FormatFloat(i.Weight, 'f', -1, 64))
	set("healthy", strconv.FormatBool(i.Healthy))
	set("enabled", strconv.FormatBool(i.Enabled))
	set("ephemeral", strconv.FormatBool(i.Ephemeral()))
	if agent, ok := i.Witness.Agent(); ok {
		set("agent", agent)
	}
	for kind, metadata := range map[string]map[string]string{"metadata_": i.Metadata, "service_metadata_": s.Metadata} {
		for _, key := range slices.Sorted(maps.Keys(metadata)) {
			set(kind+labelName(key), metadata[key])
		}
	}
	return labels
}

// labelName makes a metadata key fit into the name of a label; of those that
// become the same the last one in their order counts.
func labelName(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, key)
}
