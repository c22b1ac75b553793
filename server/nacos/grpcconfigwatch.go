package nacos

import (
	"iter"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/config"
)

// documentsWatched are documents as they are watched by patterns.
func documentsWatched(h *Handler) fuzzyKind[config.Key, *config.Snapshot] {
	view := h.cfg.Configs.View()
	return fuzzyKind[config.Key, *config.Snapshot]{
		of: access.Config, batch: 20, adds: "ADD_CONFIG", deletes: "DELETE_CONFIG",
		snapshot: view.Snapshot, changed: view.Changed, diff: config.Diff,
		exists: func(s *config.Snapshot, k config.Key) bool { return s != nil && s.Head(k) != nil },
		within: func(s *config.Snapshot, namespace string) iter.Seq[config.Key] {
			return func(yield func(config.Key) bool) {
				for _, d := range s.Documents() {
					if d.Key.Namespace == namespace && !yield(d.Key) {
						return
					}
				}
			}
		},
		parts: func(k config.Key) (string, string, string) { return k.Namespace, k.Group, k.DataID },
		parse: parseFuzzyKey,
		synced: func(pattern, sort string, names []fuzzyName[config.Key], total int) (string, any) {
			message := fuzzySync{"config", pattern, sort, []fuzzyContext{}, total, min(total, 1)}
			for _, n := range names {
				message.Contexts = append(message.Contexts, fuzzyContext{fuzzyKey(n.key), n.what})
			}
			return "ConfigFuzzyWatchSyncRequest", message
		},
		changes: func(n fuzzyName[config.Key]) (string, any) {
			return "ConfigFuzzyWatchChangeNotifyRequest", fuzzyChange{"config", fuzzyKey(n.key), n.what}
		},
	}
}

type fuzzySync struct {
	Module   string         `json:"module"`
	Pattern  string         `json:"groupKeyPattern"`
	Sort     string         `json:"syncType"`
	Contexts []fuzzyContext `json:"contexts"`
	Total    int            `json:"totalBatch"`
	Current  int            `json:"currentBatch"`
}

type fuzzyContext struct {
	Key  string `json:"groupKey"`
	Kind string `json:"changedType"`
}

type fuzzyChange struct {
	Module string `json:"module"`
	Key    string `json:"groupKey"`
	Kind   string `json:"changeType"` // sic
}

var (
	escapeKey   = strings.NewReplacer("%", "%25", "+", "%2B")
	unescapeKey = strings.NewReplacer("%2B", "+", "%25", "%")
)

// fuzzyKey names a document as version 3 does: dataId+group+tenant.
func fuzzyKey(k config.Key) string {
	return escapeKey.Replace(k.DataID) + "+" + escapeKey.Replace(k.Group) + "+" + escapeKey.Replace(k.Namespace)
}

// parseFuzzyKey reads such a name; the namespace may be left out.
func parseFuzzyKey(text string) (config.Key, bool) {
	parts := strings.Split(text, "+")
	if len(parts) != 2 && len(parts) != 3 {
		return config.Key{}, false
	}
	k := config.Key{Namespace: config.DefaultNamespace, Group: unescapeKey.Replace(parts[1]), DataID: unescapeKey.Replace(parts[0])}
	if len(parts) == 3 {
		k.Namespace = folded(unescapeKey.Replace(parts[2]))
	}
	return k, true
}

func (h *Handler) grpcWatchConfigs(c *grpcCall) (any, error) { return h.fuzzy.take(c) }
