// Package history holds what happened during a run of the fault harness, as
// those who asked saw it.
//
// All times are durations since the recorder was made, by the monotonic clock
// of the one machine everything runs on, so that they can be compared whoever
// took them.
package history

import "time"

// Key names an instance: a service of namespace public and group
// DEFAULT_GROUP, and address:port.
type Key struct {
	Service  string `json:"service"`
	Endpoint string `json:"endpoint"`
}

func (k Key) String() string { return k.Service + "/" + k.Endpoint }

// Span is from before a call was sent until after its answer was read.
type Span struct {
	Begin time.Duration `json:"begin"`
	End   time.Duration `json:"end"`
}

// Outcome is what a caller may conclude from how a write ended.
type Outcome string

// Outcomes of a write.
const (
	Done    Outcome = "done"    // acknowledged
	Refused Outcome = "refused" // certainly not done
	Unknown Outcome = "unknown" // done, or not, or still to be done
)

// Write is one registration or deregistration of a persistent instance.
type Write struct {
	Span
	Key

	Server  string  `json:"server"`
	Present bool    `json:"present"` // registers; false: deregisters
	Outcome Outcome `json:"outcome"`
	// Retryable tells of a write that is not done that the caller was told so
	// in a way that asks for another try: 503, 429, or a connection refused.
	Retryable bool   `json:"retryable,omitempty"`
	Revision  int64  `json:"revision,omitempty"` // it was committed at, when Done
	Lagging   bool   `json:"lagging,omitempty"`  // committed, not yet to be read there
	Detail    string `json:"detail,omitempty"`
}

// Beat is one sign of life of ephemeral instances: a beat or a registration.
type Beat struct {
	Span

	Keys     []Key  `json:"keys"`
	Server   string `json:"server"`
	Accepted bool   `json:"accepted"` // answered as taken, for all of Keys
	Detail   string `json:"detail,omitempty"`
}

// Doors by which a service is read.
const (
	HTTP    = "http"    // every instance, with its health
	Healthy = "healthy" // what the HTTP API says that DNS answers
	Nacos   = "nacos"   // the list of the Nacos API, with health
	DNS     = "dns"     // SRV
)

// Read is one answer to the question who is in a service.
type Read struct {
	Span

	Server    string   `json:"server"`
	Door      string   `json:"door"`
	Service   string   `json:"service"`
	Answered  bool     `json:"answered"`            // false: an error, which says nothing of the service
	Healthy   []string `json:"healthy,omitempty"`   // endpoints, sorted
	Unhealthy []string `json:"unhealthy,omitempty"` // listed but not healthy; DNS and Healthy show none
	Revision  int64    `json:"revision,omitempty"`  // 0: not told
	// Serial is the SOA serial that stood at this server before and after the
	// read, and so during it.
	Serial    uint32 `json:"serial,omitempty"`
	HasSerial bool   `json:"hasSerial,omitempty"`
	// Age is what the server published with the answer; negative: nothing.
	Age    time.Duration `json:"age"`
	Detail string        `json:"detail,omitempty"`
}

// Serial is one SOA serial.
type Serial struct {
	Span

	Server string `json:"server"`
	Serial uint32 `json:"serial"`
}

// Lookup is one question of a resolver that has all servers as name servers.
type Lookup struct {
	Span

	Service  string   `json:"service"`
	Answered bool     `json:"answered"` // some server answered in time
	Healthy  []string `json:"healthy,omitempty"`
	Server   string   `json:"server,omitempty"` // that answered
	Detail   string   `json:"detail,omitempty"` // errors on the way
}

// State is what a server said of itself.
type State struct {
	Span

	Server   string            `json:"server"`
	Judge    bool              `json:"judge"`
	Ready    bool              `json:"ready"`
	Stale    bool              `json:"stale"`
	Revision int64             `json:"revision"`
	Age      time.Duration     `json:"age"`
	Digests  map[string]string `json:"digests,omitempty"`
	// Silenced is how many verdicts of silence this process of the server has
	// written; negative: not asked.
	Silenced int64 `json:"silenced"`
}

// Kinds of marks.
const (
	Fault = "fault" // something was broken
	Heal  = "heal"  // and repaired
	// Judged: after what was broken or repaired last a server judges again.
	Judged = "judged"
	Quiet  = "quiet" // from here on nothing is broken, and no write is under way
)

// Mark is what the harness itself did.
type Mark struct {
	At   time.Duration `json:"at"`
	Kind string        `json:"kind"`
	What string        `json:"what"`
}

// Timeouts of an ephemeral instance, as its metadata say.
type Timeouts struct {
	Interval  time.Duration `json:"interval"`
	Unhealthy time.Duration `json:"unhealthy"`
	Delete    time.Duration `json:"delete"`
}

// History is everything of one run. Slices are in the order in which the calls
// ended.
type History struct {
	Beating map[Key]Timeouts // ephemeral instances
	Writes  []Write
	Beats   []Beat
	Reads   []Read
	Serials []Serial
	Lookups []Lookup
	States  []State
	Marks   []Mark
}
