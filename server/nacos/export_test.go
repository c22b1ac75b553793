package nacos

import (
	"github.com/musterhq/muster/access"
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

// RulesOf returns the rules that a permission is to a role, as operators write them.
func RulesOf(resource, action string) (all []string, err error) {
	rules, err := permission{"r", resource, action}.rules()
	for _, r := range rules {
		all = append(all, r.String())
	}
	return all, err
}

// PermissionsOf returns the permissions that rules are, as resource and action.
func PermissionsOf(rules []access.Rule) (all []string) {
	for _, p := range permissionsOf("r", rules) {
		all = append(all, p.Resource+" "+p.Action)
	}
	return all
}

// Again returns the rules of a permission, and those of the permissions that these are.
func Again(resource, action string) (rules, again []access.Rule, err error) {
	rules, err = permission{"r", resource, action}.rules()
	for _, p := range permissionsOf("r", rules) {
		more, err := p.rules()
		if err != nil {
			return nil, nil, err
		}
		again = append(again, more...)
	}
	return rules, again, err
}
