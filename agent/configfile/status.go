package configfile

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/client"
)

// States of a file or a bundle.
const (
	StateWaiting  = "waiting"  // nothing is known of its documents yet, or they do not exist yet
	StateDelayed  = "delayed"  // a change waits for this host's turn
	StateInStep   = "in step"  // it holds the documents
	StateFailed   = "failed"   // it does not, or the reload is still due; Error says why
	StateRejected = "rejected" // so, and it is not tried again until something changes
	StateGone     = "gone"     // the document was deleted on the server
)

// FileStatus is what a Keeper says of one file or bundle.
type FileStatus struct {
	Config    string           `json:"config"`              // namespace/group/dataId, the template, or how many files
	Path      string           `json:"path,omitempty"`      // empty: kept for the local API alone; of a mirror, its directory
	State     string           `json:"state"`               // one of the State constants
	MD5       string           `json:"md5,omitempty"`       // of the document, where that is the file
	Release   string           `json:"release,omitempty"`   // and the gray release it came from
	Documents []DocumentStatus `json:"documents,omitempty"` // what it is made of, where that is several
	Error     string           `json:"error,omitempty"`     // why it failed, with the command's output
	Until     time.Time        `json:"until,omitzero"`      // when its turn comes
	Written   time.Time        `json:"written,omitzero"`
}

// DocumentStatus is one document of a file or a bundle.
type DocumentStatus struct {
	Config  string `json:"config"`
	MD5     string `json:"md5"`
	Release string `json:"release,omitempty"`
}

// Status is what a Keeper says of itself.
type Status struct {
	Reached time.Time    `json:"reached,omitzero"` // when the server last answered
	Error   string       `json:"error,omitempty"`  // why it did not since
	Files   []FileStatus `json:"files"`
}

// Status returns the state of all files, by path.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Reached: k.reached, Files: []FileStatus{}}
	if k.err != nil {
		s.Error = k.err.Error()
	}
	for _, n := range k.bare {
		s.Files = append(s.Files, bareStatus(n, k.documents[n]))
	}
	for _, m := range k.mirrors {
		s.Files = append(s.Files, m.status())
	}
	for _, t := range k.targets {
		s.Files = append(s.Files, t.status())
	}
	slices.SortFunc(s.Files, func(a, b FileStatus) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Config, b.Config))
	})
	return s
}

// bareStatus is the status of a document that is kept for the local API alone.
func bareStatus(n client.Name, d *document) FileStatus {
	s := FileStatus{Config: n.String(), State: StateWaiting}
	switch {
	case d == nil:
	case d.exists:
		s.State, s.MD5, s.Release = StateInStep, d.content.MD5, d.content.Release
	case d.known:
		s.State = StateGone
	}
	return s
}

// status returns the state of a target. The Keeper's mutex is held.
func (t *target) status() FileStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := FileStatus{Config: t.title(), Path: t.path, State: StateWaiting, Written: t.written, Until: t.until}
	if t.next == nil {
		return s
	}
	switch {
	case t.err != nil && t.err.final:
		s.State, s.Error = StateRejected, t.err.Error()
	case t.err != nil:
		s.State, s.Error = StateFailed, t.err.Error()
	case !t.until.IsZero():
		s.State = StateDelayed
	case t.next != t.done:
	case t.next.deleted:
		s.State = StateGone
	default:
		s.State = StateInStep
	}
	if t.plain() {
		d := t.next.documents[t.sources[0].document]
		s.MD5, s.Release = d.MD5, d.Release
		return s
	}
	for _, n := range slices.SortedFunc(maps.Keys(t.next.documents), compareNames) {
		d := t.next.documents[n]
		s.Documents = append(s.Documents, DocumentStatus{Config: n.String(), MD5: d.MD5, Release: d.Release})
	}
	return s
}

func compareNames(a, b client.Name) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Group, b.Group), strings.Compare(a.Name, b.Name))
}
