package agent

import (
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/drain"
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
	HTTP        string                    `json:"http"`               // where the local API listens
	TLS         bool                      `json:"tls,omitempty"`      // it speaks TLS there
	TLSError    string                    `json:"tlsError,omitempty"` // why new certificates of it are not used
	Insecure    []string                  `json:"insecure,omitempty"` // what of it lies open to others than this host
	Socket      string                    `json:"socket,omitempty"`   // its unix socket
	Draining    bool                      `json:"draining"`           // it is stopping
	Drain       drain.Status              `json:"drain"`
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
		ID: a.id, Version: a.cfg.Version, Started: a.started, HTTP: a.http, TLS: a.certs != nil, TLSError: a.certsFail(), Insecure: a.cfg.exposures(), Socket: a.socket,
	}
	a.mu.Unlock()
	s.Incarnation = a.announce.Incarnation()
	s.Drain = a.drain.Status()
	s.Draining = s.Drain.State == drain.Leaving
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
		reason, standby := a.announce.Refused(m.Key())
		if standby {
			all[i].Standby = reason
		} else {
			all[i].Rejected = reason
		}
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
func (f face) Draining() bool { return f.drain.Leaving() }
