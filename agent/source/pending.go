package source

import (
	"crypto/sha256"
	"path/filepath"
	"slices"
)

// Changes of a definition file since it was last read.
const (
	PendingAdded   = "added"
	PendingChanged = "changed"
	PendingRemoved = "removed"
)

// Pending returns the definition files that are not as they were when they were
// last read, by name. It takes nothing up. The error is that of the directory.
func (s *Sources) Pending() (map[string]string, error) {
	names, err := list(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pending := make(map[string]string)
	for _, name := range names {
		f := s.files[name]
		if f == nil {
			pending[name] = PendingAdded
			continue
		}
		content, err := readFile(filepath.Join(s.cfg.Dir, name))
		if err == nil && sha256.Sum256(content) != f.sum {
			pending[name] = PendingChanged
		}
	}
	for name := range s.files {
		if !slices.Contains(names, name) {
			pending[name] = PendingRemoved
		}
	}
	return pending, nil
}
