package source

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/musterhq/muster/agent/definition"
)

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
	Fault    *Fault   `json:"fault,omitempty"`    // the same in parts, where it is about the content
	Problems []string `json:"problems,omitempty"` // what of it could not be declared
	UID      *int     `json:"uid,omitempty"`      // the user that registered it, where that is known

	Sum [sha256.Size]byte `json:"-"` // of a file's content that was last read
}

// Fault is what is wrong with a definition file, and where.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func faultOf(err error) *Fault {
	if e, ok := errors.AsType[*definition.Error](err); ok {
		return new(Fault(*e))
	}
	return nil
}

// Status returns how the directory and each definition are.
func (s *Sources) Status() (DirectoryStatus, []DefinitionStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := DirectoryStatus{Path: s.cfg.Dir, Error: text(s.dirErr)}
	all := []DefinitionStatus{}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[name]
		all = append(all, DefinitionStatus{
			Origin: fileOrigin(name), Services: len(f.services), Error: text(f.err), Fault: faultOf(f.err), Problems: s.problems[fileOrigin(name)], Sum: f.sum,
		})
	}
	for _, id := range slices.Sorted(maps.Keys(s.apps)) {
		all = append(all, DefinitionStatus{Origin: AppOrigin(id), Services: 1, Problems: s.problems[AppOrigin(id)], UID: s.apps[id].UID})
	}
	return d, all
}

// Mistakes returns how often something new was found to be wrong with a definition
// file, a registration, or the directory of the files once that had been read. What
// stays wrong in the same way counts once.
func (s *Sources) Mistakes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mistakes
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
