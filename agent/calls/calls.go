// Package calls is the agent's local API as its callers see it: paths, bodies,
// and a client.
//
// The API is that of one host: it listens on loopback and on a unix socket.
// Failures carry an api.Problem, as those of the servers do.
package calls

import (
	"time"

	"github.com/musterhq/muster/api"
)

// Paths of what an operator asks of an agent. The text between braces is a path
// variable.
const (
	PathReload      = "/v1/reload"
	PathDrain       = "/v1/drain"
	PathLeave       = "/v1/leave"
	PathMaintenance = "/v1/services/{name}/maintenance"
	PathExplain     = "/v1/explain"
	PathDiff        = "/v1/diff"
)

// What a reload found of one source of definitions.
const (
	ChangeAdded     = "added"
	ChangeChanged   = "changed"
	ChangeRemoved   = "removed"
	ChangeUnchanged = "unchanged"
	ChangeWrong     = "wrong" // its present content does not count; what it last said stands
)

// Reloaded answers POST PathReload, once the definitions have been read. Whether
// the servers have them by then is not awaited.
type Reloaded struct {
	Files     []FileChange `json:"files"`
	Added     []string     `json:"added,omitempty"`   // instances, as namespace/group/service/address:port
	Changed   []string     `json:"changed,omitempty"` //
	Removed   []string     `json:"removed,omitempty"` //
	Unchanged int          `json:"unchanged"`         // how many stay as they were
	Error     string       `json:"error,omitempty"`   // why the directory cannot be read
}

// FileChange is what a reload found of one source of definitions.
type FileChange struct {
	Origin   string   `json:"origin"`             // "file NAME" or "app NAME"
	Change   string   `json:"change"`             // one of the Change constants
	Services int      `json:"services"`           // how many of it stand
	Error    string   `json:"error,omitempty"`    // why its present content does not count, with file and line
	Problems []string `json:"problems,omitempty"` // what of it could not be declared
}

// Wrong reports whether something of what was read does not count.
func (r Reloaded) Wrong() bool {
	for _, f := range r.Files {
		if f.Error != "" || len(f.Problems) > 0 {
			return true
		}
	}
	return r.Error != ""
}

// States of a drain.
const (
	DrainNone     = "none"
	DrainDraining = "draining" // the servers get the weights, or answers from before are still kept
	DrainDrained  = "drained"  // nobody should hold an answer from before
	DrainLeaving  = "leaving"  // it drains, and deregisters and ends after that
)

// DrainOrder is the body of POST PathDrain and PathLeave. An empty one is fine.
type DrainOrder struct {
	// WaitMs is how long answers from before the drain are waited for, in
	// milliseconds; absent means the agent's drain_wait.
	WaitMs *int64 `json:"waitMs,omitempty"`
	// Skip ends the wait of the drain or leave that is under way.
	Skip bool `json:"skip,omitempty"`
}

// Drain says how far a drain of the whole agent is.
type Drain struct {
	State     string    `json:"state"` // one of the Drain constants
	Instances int       `json:"instances"`
	Since     time.Time `json:"since,omitzero"`
	LeftMs    int64     `json:"leftMs,omitempty"` // how long the wait still takes, in milliseconds
	// Untold: no server has the weights yet, or, of an agent that leaves, that it
	// is deregistered. The wait begins when one has the weights.
	Untold  bool   `json:"untold,omitempty"`
	Problem string `json:"problem,omitempty"` // why it is untold, or what else is wrong
}

// MaintenanceOrder is the body of PUT PathMaintenance.
type MaintenanceOrder struct {
	Enabled bool   `json:"enabled"`
	Reason  string `json:"reason,omitempty"`
}

// Maintained answers it.
type Maintained struct {
	Instances []string `json:"instances"` // those that it was said of, as namespace/group/service/address:port
	Enabled   bool     `json:"enabled"`
	Reason    string   `json:"reason,omitempty"`
	Problem   string   `json:"problem,omitempty"` // it holds, but for a restart: it could not be kept on disk
}

// Explanation answers GET PathExplain: all that is known of one thing, by
// whoever knows it.
type Explanation struct {
	Of        string              `json:"of"`
	Instances []InstanceExplained `json:"instances,omitempty"`
	Files     []FileExplained     `json:"files,omitempty"`
}

// InstanceExplained is one instance, from its definition to the answers.
type InstanceExplained struct {
	Instance string       `json:"instance"`       // namespace/group/service/address:port
	Origin   string       `json:"origin"`         // "file NAME" or "app NAME"
	Line     int          `json:"line,omitempty"` // of that file, where it is known
	Health   string       `json:"health"`         // passing, critical or unknown
	Weight   float64      `json:"weight"`         // as the agent declares it now
	Because  []string     `json:"because"`        // why it is so, the weightiest first
	Checks   []CheckFound `json:"checks,omitempty"`
	// Server is what the servers say of it; nil when they do not have it, or
	// do not answer. ServerError says why.
	Server      *api.Instance    `json:"server,omitempty"`
	ServerError string           `json:"serverError,omitempty"`
	DNS         *api.Explanation `json:"dns,omitempty"` // where it was asked for
	DNSError    string           `json:"dnsError,omitempty"`
}

// CheckFound is one check and its latest result.
type CheckFound struct {
	Check string    `json:"check"` // kind and target
	State string    `json:"state"`
	Error string    `json:"error,omitempty"`
	At    time.Time `json:"at,omitzero"` // when it last ended
	Note  string    `json:"note,omitempty"`
}

// FileExplained is one configuration file, or one definition file.
type FileExplained struct {
	Path    string   `json:"path"`
	Config  string   `json:"config,omitempty"` // what it is made of
	State   string   `json:"state"`
	Because []string `json:"because"`
}

// Difference answers GET PathDiff: what is not as it should be, between the
// definitions, the agent, the servers and the host's files.
type Difference struct {
	Definitions      []Entry      `json:"definitions"`                // what the files say and the agent does not declare
	DefinitionsError string       `json:"definitionsError,omitempty"` // why that cannot be said
	Servers          []Entry      `json:"servers"`                    // what the agent declares and the servers have otherwise
	ServersError     string       `json:"serversError,omitempty"`
	Configs          []ConfigPlan `json:"configs"` // configuration files that would change
	ConfigsError     string       `json:"configsError,omitempty"`
}

// None reports whether everything is as it should be, as far as is known.
func (d Difference) None() bool {
	return len(d.Definitions)+len(d.Servers)+len(d.Configs) == 0 &&
		d.DefinitionsError == "" && d.ServersError == "" && d.ConfigsError == ""
}

// Kinds of an Entry.
const (
	EntryMissing = "missing" // the first has it, the second does not
	EntryExtra   = "extra"   // the second has it alone
	EntryDiffers = "differs"
	EntryWrong   = "wrong" // what the first says does not count
)

// Entry is one thing that two sides do not have alike.
type Entry struct {
	Of     string   `json:"of"`             // an instance, or a definition file
	Kind   string   `json:"kind"`           // one of the Entry constants
	What   []string `json:"what,omitempty"` // fields: "weight: 3 here, 0 there"; or why it is wrong
	Reason string   `json:"reason,omitempty"`
}

// ConfigPlan is what would become of one configuration file.
type ConfigPlan struct {
	Path  string `json:"path"`           // of the file, or of the link of a bundle
	Name  string `json:"name,omitempty"` // of the file in its bundle
	From  string `json:"from"`
	Error string `json:"error,omitempty"`
	// Diff is the change as a unified diff, where contents were asked for and
	// both are text.
	Diff string `json:"diff,omitempty"`
	// Removed: the file would go, for its document is gone.
	Removed bool `json:"removed,omitempty"`
}
