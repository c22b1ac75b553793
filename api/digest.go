package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Digest returns the digest of a declared set with health left out, and the
// digest of its health alone. The order of the set and absent defaults do not
// matter. Agent and server both call it, so equal sets have equal digests. The
// health digest is empty while any member's health is unknown.
func Digest(set []AgentInstance) (declared, health string) {
	sorted := make([]AgentInstance, len(set))
	for i, m := range set {
		sorted[i] = m.withDefaults()
	}
	slices.SortFunc(sorted, func(a, b AgentInstance) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	d, h := sha256.New(), sha256.New()
	unknown := false
	for _, m := range sorted {
		state := m.Health
		m.Health = ""
		b, _ := json.Marshal(m) // strings, numbers and a map with string keys: cannot fail
		d.Write(b)
		unknown = unknown || state != HealthPassing && state != HealthCritical
		b, _ = json.Marshal([]any{m.Namespace, m.Group, m.Service, m.Address, m.Port, state})
		h.Write(b)
	}
	if !unknown {
		health = hex.EncodeToString(h.Sum(nil)[:8])
	}
	return hex.EncodeToString(d.Sum(nil)[:8]), health
}

// withDefaults spells out what an absent field means, so that both ways of
// saying it are one.
func (m AgentInstance) withDefaults() AgentInstance {
	m.Namespace = cmp.Or(m.Namespace, "public")
	m.Group = cmp.Or(m.Group, "DEFAULT_GROUP")
	m.Cluster = cmp.Or(m.Cluster, "DEFAULT")
	if m.Weight == nil {
		m.Weight = new(1.0)
	}
	if m.Enabled == nil {
		m.Enabled = new(true)
	}
	if len(m.Metadata) == 0 {
		m.Metadata = nil
	}
	return m
}
