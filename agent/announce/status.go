package announce

import (
	"cmp"
	"time"
)

// Status is what became of the latest announcement.
type Status struct {
	URL      string        `json:"url"`
	Reached  time.Time     `json:"reached,omitzero"`  // when it last took one
	Error    string        `json:"error,omitempty"`   // why it did not since
	Interval time.Duration `json:"-"`                 // the server's, 0 when it named none
	DNS      []string      `json:"dns,omitempty"`     // addresses of the servers' DNS
	Revision int64         `json:"revision,omitzero"` //
	Hold     time.Duration `json:"-"`                 // how long DNS answers of the set may be kept, maxHold at most; 0 when not known
	Sets     uint64        `json:"sets"`              // whole sets that a server took of this run
	Failed   uint64        `json:"-"`                 // calls of this run that no server took
	Retries  uint64        `json:"-"`                 // calls that followed one of those
	Standby  string        `json:"standby,omitempty"` // which other agent has this one's id
	State    string        `json:"state,omitempty"`   // why the state is not kept on disk
}

// Status returns what became of the latest announcement.
func (a *Announcer) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.server
	s.URL = cmp.Or(s.URL, a.client.Server())
	return s
}
