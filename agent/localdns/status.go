package localdns

import (
	"cmp"
	"slices"
	"time"
)

// Status is what a Resolver says of itself.
type Status struct {
	Address    string           `json:"address"`
	Zones      []string         `json:"zones"`
	Servers    []ServerStatus   `json:"servers"`
	StaleSince time.Time        `json:"staleSince,omitzero"` // since when no server answers
	Answers    int              `json:"answers"`             // kept in memory
	Bytes      int              `json:"bytes"`               // that they take, nearly
	Upstreams  []UpstreamStatus `json:"upstreams"`
	// Forwarding says why names of other zones are not answered, empty when they are.
	Forwarding string `json:"forwarding,omitempty"`
	// Snapshot says why the answers in use are not on disk, empty when they are.
	Snapshot string `json:"snapshot,omitempty"`
}

// ServerStatus is one server as a DNS server.
type ServerStatus struct {
	Address   string    `json:"address"`
	Up        bool      `json:"up"`
	Since     time.Time `json:"since"`               // of it being up, or not
	Heard     time.Time `json:"heard,omitzero"`      // when it last answered
	LatencyMs float64   `json:"latencyMs,omitempty"` // usual time of an answer
	Error     string    `json:"error,omitempty"`     // why it is not up
}

// UpstreamStatus is one resolver for names that are not ours.
type UpstreamStatus struct {
	Address string `json:"address"`
	Loop    string `json:"loop,omitempty"` // why it is not asked
}

// Status returns the state now.
func (r *Resolver) Status() Status {
	s := Status{Address: r.Address(), Zones: r.zones.all(), Servers: []ServerStatus{}, Upstreams: []UpstreamStatus{}}
	for _, server := range r.pool.all() {
		s.Servers = append(s.Servers, server.status())
	}
	slices.SortFunc(s.Servers, func(a, b ServerStatus) int { return cmp.Compare(a.Address, b.Address) })
	if since := r.pool.away.Load(); since != nil {
		s.StaleSince = *since
	}
	s.Answers, s.Bytes = r.kept.count()
	for _, u := range r.upstreams.all() {
		s.Upstreams = append(s.Upstreams, UpstreamStatus{Address: u.addr.String(), Loop: u.loop})
	}
	_, s.Forwarding = r.upstreams.closed()
	if problem := r.saveProblem.Load(); problem != nil {
		s.Snapshot = *problem
	}
	return s
}

func (s *server) status() ServerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ServerStatus{Address: s.addr.String(), Up: !s.down, Since: s.since, Heard: s.heard, Error: s.problem,
		LatencyMs: float64(s.latency.Microseconds()) / 1000}
}

// up returns how many servers are up.
func (p *pool) up() (n int) {
	for _, s := range p.all() {
		if s.status().Up {
			n++
		}
	}
	return n
}
