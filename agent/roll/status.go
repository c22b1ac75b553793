package roll

import (
	"maps"
	"slices"
	"time"

	"github.com/musterhq/muster/probe"
)

// InstanceStatus is one declared instance with its health.
type InstanceStatus struct {
	Namespace string            `json:"namespace"`
	Group     string            `json:"group"`
	Service   string            `json:"service"`
	Address   string            `json:"address"`
	Port      uint16            `json:"port"`
	Cluster   string            `json:"cluster,omitempty"`
	Weight    *float64          `json:"weight,omitempty"`
	Enabled   *bool             `json:"enabled,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Health    string            `json:"health"`             // passing, critical or unknown
	Origin    string            `json:"origin"`             // "file NAME" or "app NAME"
	Line      int               `json:"line,omitempty"`     // of the file, where it begins
	Rejected  string            `json:"rejected,omitempty"` // why the server refuses it
	Standby   string            `json:"standby,omitempty"`  // why it waits for another agent's to go
	// Withdrawn says that a check was critical for its deregister_after: the
	// instance is not registered until its checks pass again.
	Withdrawn bool          `json:"withdrawn,omitempty"`
	Checks    []CheckStatus `json:"checks,omitempty"`
	// Maintenance keeps it out of rotation; nil when none does.
	Maintenance *Rest `json:"maintenance,omitempty"`
}

// Key returns which instance it is.
func (s InstanceStatus) Key() Key {
	return Key{Namespace: s.Namespace, Group: s.Group, Service: s.Service, Address: s.Address, Port: s.Port}
}

// CheckStatus is one check of an instance and its latest result.
type CheckStatus struct {
	Name     string      `json:"name,omitempty"`
	Check    string      `json:"check"` // kind and target
	State    probe.State `json:"state"`
	Since    time.Time   `json:"since,omitzero"`     // when that came to be
	Flapping bool        `json:"flapping,omitempty"` // it is critical because it changed too often
	Error    string      `json:"error,omitempty"`    // why the latest try failed
	Note     string      `json:"note,omitempty"`     // what came with the word for a ttl check
	At       time.Time   `json:"at,omitzero"`        // when the latest try ended
	Took     string      `json:"took,omitempty"`     // how long it took, such as 1.5ms
}

// Status returns the members in a fixed order.
func (r *Roll) Status() []InstanceStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]InstanceStatus, 0, len(r.members))
	for _, k := range slices.SortedFunc(maps.Keys(r.members), Key.Compare) {
		m := r.members[k]
		s := InstanceStatus{
			Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port,
			Cluster: m.Instance.Cluster, Weight: m.Instance.Weight, Enabled: m.Instance.Enabled, Metadata: m.Instance.Metadata,
			Health: m.health, Origin: m.Origin, Line: m.Line, Withdrawn: m.withdrawn,
		}
		s.Maintenance = r.rest(k, m)
		if r.draining || s.Maintenance != nil {
			s.Weight = new(0.0)
		}
		for _, c := range m.running {
			s.Checks = append(s.Checks, c.status())
		}
		all = append(all, s)
	}
	return all
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
