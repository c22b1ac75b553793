package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
)

func (f *face) mountTargets(a huma.API) {
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[[]api.TargetGroup](), true, "")
	register(a, access.Reads(access.Naming, inQuery), huma.Operation{OperationID: "prometheus-targets", Method: http.MethodGet, Path: api.PathTargets,
		Summary: "List instances for the HTTP service discovery of Prometheus", Tags: []string{"instances"},
		Responses: map[string]*huma.Response{"200": {Description: "OK",
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}}}, f.targets)
}

type targetsQuery struct {
	Namespace string `query:"namespace" doc:"Only this namespace; all when empty"`
	Group     string `query:"group" doc:"Only this group; all when empty"`
	Service   string `query:"service" doc:"Only services of this name; all when empty"`
	Cluster   string `query:"cluster" doc:"Only this cluster; all when empty"`
	Healthy   bool   `query:"healthy" doc:"Only the instances that DNS answers: Prometheus then does not see those that are down"`
}

// admits reports whether a service is asked for.
func (q *targetsQuery) admits(k registry.ServiceKey) bool {
	return (q.Namespace == "" || q.Namespace == k.Namespace) && (q.Group == "" || q.Group == k.Group) && (q.Service == "" || q.Service == k.Name)
}

func (f *face) targets(_ context.Context, q *targetsQuery) (*huma.StreamResponse, error) {
	snap, err := f.snapshot()
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		if err := q.write(patient{ctx.BodyWriter()}, snap); err != nil {
			panic(http.ErrAbortHandler) // nobody is to take a part for the whole
		}
	}}, nil
}

// write writes the targets one after another: all at once, those of a large roll
// would take gigabytes.
func (q *targetsQuery) write(to io.Writer, snap *registry.Snapshot) error {
	out := bufio.NewWriterSize(to, 32<<10)
	each, labels, separator := json.NewEncoder(out), map[string]string{}, "["
	for _, s := range snap.Services() {
		if !q.admits(s.Key) {
			continue
		}
		instances := s.Instances.All()
		if q.Healthy {
			instances = slices.Values(s.Select(registry.Filter{}).Instances)
		}
		for i := range instances {
			if q.Cluster != "" && q.Cluster != i.Cluster {
				continue
			}
			clear(labels)
			label(labels, s, i)
			_, _ = out.WriteString(separator) // the first error stays, and the encoder tells it
			if err := each.Encode(api.TargetGroup{Targets: []string{i.Key.Endpoint.String()}, Labels: labels}); err != nil {
				return err
			}
			separator = ","
		}
	}
	if separator == "[" {
		_, _ = out.WriteString(separator)
	}
	_, _ = out.WriteString("]\n")
	return out.Flush()
}

// metaLabel begins the labels of a target: Prometheus drops those that a relabeling
// does not keep.
const metaLabel = "__meta_muster_"

// label sets the labels of an instance.
func label(labels map[string]string, s *registry.Service, i *registry.Instance) {
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
	for key, value := range i.Metadata.All() {
		set("metadata_"+labelName(key), value)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
		set("service_metadata_"+labelName(key), s.Metadata[key])
	}
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
