package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/probe"
)

// Status is what an agent says of itself, at GET /v1/status of its local API.
type Status struct {
	ID          string             `json:"id"`
	Incarnation string             `json:"incarnation"`
	Version     string             `json:"version,omitempty"`
	Started     time.Time          `json:"started"`
	HTTP        string             `json:"http"`     // where the local API listens
	Draining    bool               `json:"draining"` // it is stopping
	Server      ServerStatus       `json:"server"`
	Directory   DirectoryStatus    `json:"directory"`
	Definitions []DefinitionStatus `json:"definitions"`
	Instances   []InstanceStatus   `json:"instances"`
	Configs     configfile.Status  `json:"configs"`
}

// ServerStatus is what became of the latest announcement.
type ServerStatus struct {
	URL      string        `json:"url"`
	Reached  time.Time     `json:"reached,omitzero"`  // when it last took one
	Error    string        `json:"error,omitempty"`   // why it did not since
	Interval time.Duration `json:"-"`                 // the server's, 0 when it named none
	DNS      []string      `json:"dns,omitempty"`     // addresses of the servers' DNS
	Revision int64         `json:"revision,omitzero"` //
}

// DirectoryStatus tells of the services directory.
type DirectoryStatus struct {
	Path  string `json:"path"`
	Error string `json:"error,omitempty"` // why it cannot be read
}

// DefinitionStatus tells of one definition file or registration.
type DefinitionStatus struct {
	Origin   string   `json:"origin"`             // "file NAME" or "app NAME"
	Services int      `json:"services"`           // how many of it stand
	Error    string   `json:"error,omitempty"`    // why its present content does not count
	Problems []string `json:"problems,omitempty"` // what of it could not be declared
}

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
	Rejected  string            `json:"rejected,omitempty"` // why the server refuses it
	Checks    []CheckStatus     `json:"checks,omitempty"`
}

// CheckStatus is one check of an instance and its latest result.
type CheckStatus struct {
	Check string      `json:"check"` // kind and target
	State probe.State `json:"state"`
	Error string      `json:"error,omitempty"`
	At    time.Time   `json:"at,omitzero"` // when it last ended
}

// Status returns the agent's state now.
func (a *Agent) Status() Status {
	a.mu.Lock()
	s := Status{
		ID: a.id, Incarnation: a.incarnation, Version: a.cfg.Version, Started: a.started, HTTP: a.http, Draining: a.draining,
	}
	a.mu.Unlock()
	s.Server = a.announce.status()
	s.Directory, s.Definitions = a.sources.status()
	s.Instances = a.instances()
	s.Configs = a.keeper.Status()
	return s
}

// instances returns the declared instances with what the server says of them.
func (a *Agent) instances() []InstanceStatus {
	all := a.roll.status()
	a.announce.mu.Lock()
	defer a.announce.mu.Unlock()
	for i, m := range all {
		all[i].Rejected = a.announce.rejected[key{m.Namespace, m.Group, m.Service, m.Address, m.Port}]
	}
	return all
}

func (a *announcer) status() ServerStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.server
	s.URL = cmp.Or(s.URL, a.client.Server())
	return s
}

func (s *sources) status() (DirectoryStatus, []DefinitionStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := DirectoryStatus{Path: s.cfg.ServicesDir, Error: text(s.dirErr)}
	all := []DefinitionStatus{}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[name]
		all = append(all, DefinitionStatus{
			Origin: fileOrigin(name), Services: len(f.services), Error: text(f.err), Problems: s.problems[fileOrigin(name)],
		})
	}
	for _, id := range slices.Sorted(maps.Keys(s.apps)) {
		all = append(all, DefinitionStatus{Origin: appOrigin(id), Services: 1, Problems: s.problems[appOrigin(id)]})
	}
	return d, all
}

// status returns the members in a fixed order.
func (r *roll) status() []InstanceStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]InstanceStatus, 0, len(r.members))
	for _, k := range slices.SortedFunc(maps.Keys(r.members), key.compare) {
		m := r.members[k]
		s := InstanceStatus{
			Namespace: k.namespace, Group: k.group, Service: k.service, Address: k.address, Port: k.port,
			Cluster: m.instance.Cluster, Weight: m.instance.Weight, Enabled: m.instance.Enabled, Metadata: m.instance.Metadata,
			Health: m.health, Origin: m.origin,
		}
		if r.draining {
			s.Weight = new(0.0)
		}
		for _, c := range m.running {
			s.Checks = append(s.Checks, c.status())
		}
		all = append(all, s)
	}
	return all
}

// status returns the check's latest result. The roll's mutex is held.
func (c *check) status() CheckStatus {
	s := CheckStatus{Check: c.definition.String(), State: c.state}
	if c.loop != nil {
		last := c.loop.Last()
		s.Error, s.At = text(last.Err), last.At
	}
	return s
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
