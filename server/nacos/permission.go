package nacos

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
)

// permission is a right as Nacos writes it: the resource is namespace:group:kind/name.
type permission struct {
	Role     string `json:"role"`
	Resource string `json:"resource"`
	Action   string `json:"action"`
}

// plain is the text of a pattern that means the same to a rule, which knows * at the
// end alone, and to Nacos, for which the rest is a regular expression. A dot is a dot.
var plain = regexp.MustCompile(`^[\w.:-]*\*?$`)

// rules returns what a permission is to a role: one rule for each kind of what it is
// for. The error says what of it no rule can say.
func (p permission) rules() ([]access.Rule, error) {
	if p.Action != "r" && p.Action != "w" && p.Action != "rw" {
		return nil, fmt.Errorf("action '%s' is none of r, w and rw", p.Action)
	}
	namespace, rest, found := strings.Cut(p.Resource, ":")
	at := strings.LastIndexByte(rest, ':') // a group may hold one
	if !found || at < 0 {
		return nil, fmt.Errorf("resource '%s' is not of the form namespace:group:kind/name, such as dev:*:*", p.Resource)
	}
	group, of := rest[:at], rest[at+1:]
	if namespace == "" {
		namespace = registry.DefaultNamespace
	}
	if group == "" {
		group = "*"
	}
	for _, pattern := range []string{namespace, group} {
		if !plain.MatchString(pattern) || pattern == ".*" {
			return nil, fmt.Errorf("resource '%s': '%s' is neither a name nor the beginning of one and *", p.Resource, pattern)
		}
	}
	kinds, ok := map[string][]access.Kind{"*": bothKinds, "*/*": bothKinds, "config/*": {access.Config}, "naming/*": {access.Naming}}[of]
	if !ok {
		return nil, fmt.Errorf("resource '%s': '%s' is none of *, naming/* and config/*: rights are of whole groups", p.Resource, of)
	}
	all := make([]access.Rule, 0, len(kinds))
	for _, kind := range kinds {
		all = append(all, access.Rule{Kind: kind, Namespace: namespace, Group: group, Verbs: p.Action})
	}
	return all, nil
}

// bothKinds are those that Nacos knows.
var bothKinds = []access.Kind{access.Naming, access.Config}

// everyKind is of a rule for zones as well, which no permission makes.
const everyKind access.Kind = "*"

// permissionsOf returns the rules of a role that are permissions: not those that deny,
// and none of zones or of administration.
func permissionsOf(role string, rules []access.Rule) (all []permission) {
	for _, r := range rules {
		if r.Deny || r.Kind == access.DNS || r.Kind == access.Admin {
			continue
		}
		of := string(r.Kind) + "/*"
		both := r
		both.Kind = access.Config
		switch {
		case r.Kind == everyKind, r.Kind == access.Naming && slices.Contains(rules, both):
			of = "*"
		case r.Kind == access.Config:
			if both.Kind = access.Naming; slices.Contains(rules, both) {
				continue // that one stands for both
			}
		}
		all = append(all, permission{role, r.Namespace + ":" + r.Group + ":" + of, r.Verbs})
	}
	return all
}
