package source

import (
	"cmp"
	"strings"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/agent/roll"
)

// identity is what a definition is known by while its address changes.
type identity struct {
	origin, namespace, group, name, address string
	port                                    int
}

// follow has the instance k of a definition take the place of the one that it was
// at an address before, if a template yields another one now. What definitions were
// declared as before is in stood. s.mu is held.
func (s *Sources) follow(stood map[identity]roll.Key, origin string, d definition.Service, k roll.Key, m *roll.Member) {
	if text := cmp.Or(d.Address, s.cfg.Address); text != "" && !strings.Contains(text, "{{") {
		return
	}
	id := identity{origin, d.Namespace, d.Group, d.Name, d.Address, d.Port}
	if was, known := stood[id]; known && was != k {
		if _, there := s.roll.Origin(was); there {
			m.After = &was
			s.stood[id] = was
			return
		}
	}
	s.stood[id] = k
}
