package nacos

import (
	"iter"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
)

// servicesWatched are services as they are watched by patterns.
func servicesWatched(h *Handler) fuzzyKind[registry.ServiceKey, *registry.Snapshot] {
	of := fuzzyKind[registry.ServiceKey, *registry.Snapshot]{
		of: access.Naming, batch: 10, adds: "ADD_SERVICE", deletes: "DELETE_SERVICE",
		snapshot: h.cfg.Registry.Snapshot,
		changed:  func() <-chan struct{} { return nil },
		diff: func(was, is *registry.Snapshot) iter.Seq[registry.ServiceKey] {
			return func(yield func(registry.ServiceKey) bool) {
				if was == nil {
					was = was.Apply(0, nil)
				}
				for old, now := range registry.Diff(was, is) {
					if now == nil {
						now = old
					}
					if !yield(now.Key) {
						return
					}
				}
			}
		},
		exists: func(s *registry.Snapshot, k registry.ServiceKey) bool { return s != nil && s.Service(k) != nil },
		within: func(s *registry.Snapshot, namespace string) iter.Seq[registry.ServiceKey] {
			return func(yield func(registry.ServiceKey) bool) {
				for _, v := range servicesOf(s, namespace, "") {
					if !yield(v.Key) {
						return
					}
				}
			}
		},
		parts: func(k registry.ServiceKey) (string, string, string) { return k.Namespace, k.Group, k.Name },
		parse: parseServiceKey,
		synced: func(pattern, sort string, names []fuzzyName[registry.ServiceKey], total int) (string, any) {
			message := serviceSync{"naming", pattern, sort, []serviceContext{}, total, min(total, 1)}
			for _, n := range names {
				message.Contexts = append(message.Contexts, serviceContext{n.key.String(), n.what})
			}
			return "NamingFuzzyWatchSyncRequest", message
		},
		changes: func(n fuzzyName[registry.ServiceKey]) (string, any) {
			return "NamingFuzzyWatchChangeNotifyRequest", serviceChange{"naming", "FUZZY_WATCH_RESOURCE_CHANGED", n.key.String(), n.what}
		},
	}
	if view := h.cfg.View; view != nil {
		of.changed = view.Changed
	}
	return of
}

type serviceSync struct {
	Module   string           `json:"module"`
	Pattern  string           `json:"groupKeyPattern"`
	Sort     string           `json:"syncType"`
	Contexts []serviceContext `json:"contexts"`
	Total    int              `json:"totalBatch"`
	Current  int              `json:"currentBatch"`
}

type serviceContext struct {
	Key  string `json:"serviceKey"`
	Kind string `json:"changedType"`
}

type serviceChange struct {
	Module string `json:"module"`
	Sort   string `json:"syncType"`
	Key    string `json:"serviceKey"`
	Kind   string `json:"changedType"`
}

// parseServiceKey reads namespace@@group@@service.
func parseServiceKey(text string) (registry.ServiceKey, bool) {
	namespace, rest, ok := strings.Cut(text, "@@")
	group, name, grouped := strings.Cut(rest, "@@")
	return registry.ServiceKey{Namespace: folded(namespace), Group: group, Name: name}, ok && grouped
}

func (h *Handler) grpcWatchServices(c *grpcCall) (any, error) { return h.fuzzyNames.take(c) }
