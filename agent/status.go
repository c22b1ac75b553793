package agent

import (
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/localdns"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/agent/source"
)

// Status is what an agent says of itself, at GET /v1/status of its local API.
type Status struct {
	ID          string                    `json:"id"`
	Incarnation string                    `json:"incarnation"`
	Version     string                    `json:"version,omitempty"`
	Started     time.Time                 `json:"started"`
	HTTP        string                    `json:"http"`             // where the local API listens
	Socket      string                    `json:"socket,omitempty"` // its unix socket
	Draining    bool                      `json:"draining"`         // it is stopping
	Server      announce.Status           `json:"server"`
	Directory   source.DirectoryStatus    `json:"directory"`
	Definitions []source.DefinitionStatus `json:"definitions"`
	Instances   []roll.InstanceStatus     `json:"instances"`
	Configs     configfile.Status         `json:"configs"`
	LocalDNS    *localdns.Status          `json:"localDNS,omitempty"` // absent when it is off
}

// Status returns the agent's state now.
func (a *Agent) Status() Status {
	a.mu.Lock()
	s := Status{
		ID: a.id, Incarnation: a.incarnation, Version: a.cfg.Version, Started: a.started, HTTP: a.http, Socket: a.socket, Draining: a.draining,
	}
	a.mu.Unlock()
	s.Server = a.announce.Status()
	s.Directory, s.Definitions = a.sources.Status()
	s.Instances = a.instances()
	s.Configs = a.keeper.Status()
	s.LocalDNS = a.dnsStatus()
	return s
}

// instances returns the declared instances with what the server says of them.
func (a *Agent) instances() []roll.InstanceStatus {
	all := a.roll.Status()
	for i, m := range all {
		all[i].Rejected = a.announce.Rejected(m.Key())
	}
	return all
}

// face is the agent as its local API sees it.
type face struct{ *Agent }

func (f face) Status() any                      { return f.Agent.Status() }
func (f face) Instances() []roll.InstanceStatus { return f.instances() }
func (f face) Changes() <-chan struct{} {
	_, news := f.roll.Version()
	return news
}
func (f face) Draining() bool { return f.isDraining() }
