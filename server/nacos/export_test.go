package nacos

import (
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
)

// ParseParams reads encoded texts as a call's query and body are read.
func ParseParams(texts ...string) (map[string]string, error) {
	p := params{}
	for _, t := range texts {
		if err := p.add(t); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ParseMetadata reads metadata.
func ParseMetadata(text string) (map[string]string, error) { return parseMetadata(text) }

// ParseListened returns the keys of a listener's text and their text again.
func ParseListened(text string) (keys []config.Key, again string, err error) {
	all, err := parseListened(text)
	for _, l := range all {
		keys = append(keys, l.key)
	}
	return keys, encodeListened(all), err
}

// NewerThan204 reads a client's version.
func NewerThan204(version string) bool { return newerThan204(version) }

// Held returns how many long polls are held, and how many bytes of bodies.
func (h *Handler) Held() (polls int, bodies int64) {
	return h.polls.Taken(), h.bodies.held.Load()
}

// ParseSelector reads a selector.
func ParseSelector(text string) (registry.Selector, error) { return parseSelector(text) }

// ParseChecker reads a checker, and writes it again.
func ParseChecker(text string) (*registry.HealthCheck, string, error) {
	check, err := parseChecker(text)
	if err != nil {
		return check, "", err
	}
	again, err := encode(newChecker(check))
	return check, again, err
}
