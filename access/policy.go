package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/ldh"
)

const all = "*"

// Roles that every policy has and nobody changes.
const (
	RoleAdmin  = "admin"  // may everything
	RoleReader = "reader" // reads naming, configurations and zones everywhere
)

// Rule allows something to a role, or denies it: what any rule of any role of a subject
// denies is denied, whatever others allow.
type Rule struct {
	Kind      Kind   `json:"kind"`      // * is naming, config and dns; admin has to be named
	Namespace string `json:"namespace"` // exact, or * for any, or a beginning and *
	Group     string `json:"group"`     // likewise
	Verbs     string `json:"verbs"`     // r, w or rw
	Deny      bool   `json:"deny,omitempty"`
}

// String returns the rule as operators write it, such as "allow rw naming dev/*".
func (r Rule) String() string {
	word := "allow"
	if r.Deny {
		word = "deny"
	}
	return fmt.Sprintf("%s %s %s %s/%s", word, r.Verbs, r.Kind, r.Namespace, r.Group)
}

// Check returns what is wrong with a rule, nil if nothing is.
func (r Rule) Check() error {
	if !slices.Contains([]Kind{Naming, Config, DNS, Admin, all}, r.Kind) {
		return fmt.Errorf("kind: %q is none of naming, config, dns, admin and *", r.Kind)
	}
	if r.Verbs != "r" && r.Verbs != "w" && r.Verbs != "rw" {
		return fmt.Errorf("verbs: %q is none of r, w and rw", r.Verbs)
	}
	for name, pattern := range map[string]string{"namespace": r.Namespace, "group": r.Group} {
		switch at := strings.IndexByte(pattern, '*'); {
		case pattern == "":
			return fmt.Errorf("%s is missing: * stands for any", name)
		case at >= 0 && at != len(pattern)-1:
			return fmt.Errorf("%s: %q has a * that is not at its end", name, pattern)
		}
	}
	return nil
}

// allows reports whether the rule speaks of all that is asked for.
func (r *Rule) allows(verb Verb, on *Resource) bool {
	return r.of(verb, on) && covers(r.namespace(on.Kind), on.Namespace) && covers(r.Group, on.Group)
}

// denies reports whether the rule speaks of any of what is asked for.
func (r *Rule) denies(verb Verb, on *Resource) bool {
	return r.of(verb, on) && (on.Namespace == "" || bars(on.Kind, r.namespace(on.Kind), on.Namespace)) && (on.Group == "" || bars(on.Kind, r.Group, on.Group))
}

// namespace returns the pattern of the names that a kind has there. A zone is one in whatever
// case it is written, and with its last dot too: a denial must not be of nothing for that.
func (r *Rule) namespace(kind Kind) string {
	if kind != DNS {
		return r.Namespace
	}
	return strings.ToLower(strings.TrimSuffix(r.Namespace, "."))
}

func (r *Rule) of(verb Verb, on *Resource) bool {
	return (r.Kind == on.Kind || r.Kind == all && on.Kind != Admin) && strings.Contains(r.Verbs, string(verb))
}

// covers reports whether a pattern is of a name, and of any name where that is empty.
func covers(pattern, name string) bool {
	begins, open := strings.CutSuffix(pattern, all)
	if open {
		return strings.HasPrefix(name, begins) && (name != "" || begins == "")
	}
	return name != "" && pattern == name
}

// bars is covers for denials. Names of services are known to DNS by what they fold to:
// who is kept from PROD and not from prod could take the name that is PROD's there.
func bars(kind Kind, pattern, name string) bool {
	if covers(pattern, name) {
		return true
	}
	if kind != Naming {
		return false
	}
	name = ldh.Label(name)
	begins, open := strings.CutSuffix(pattern, all)
	if !open {
		return name != "" && name == ldh.Label(begins)
	}
	start := string(ldh.AppendStart(make([]byte, 0, len(begins)), begins))
	return start != "" && strings.HasPrefix(name, start)
}

// Policy says what roles may. It does not change.
type Policy struct{ roles map[string][]Rule }

// Everything is the policy in force while nobody has to log in: all may everything.
var Everything = &Policy{}

// NewPolicy returns the policy of these roles beside the built-in ones. The error names
// a role that may not be given, or the rule that is wrong.
func NewPolicy(roles map[string][]Rule) (*Policy, error) {
	p := &Policy{roles: map[string][]Rule{RoleReader: {{Kind: all, Namespace: all, Group: all, Verbs: "r"}}}}
	for name, rules := range roles {
		if name == RoleAdmin || name == RoleReader {
			return nil, fmt.Errorf("role %s is built in", name)
		}
		if name == "" {
			return nil, errors.New("a role has no name")
		}
		for i, r := range rules {
			if err := r.Check(); err != nil {
				return nil, fmt.Errorf("role %s: rule %d: %w", name, i+1, err)
			}
		}
		p.roles[name] = slices.Clone(rules)
	}
	return p, nil
}

// Decision is whether something is allowed, and by what.
type Decision struct {
	Allowed bool

	role string // whose rule decides, "" when none does
	rule *Rule  // nil: what is built in
	why  string // where no role decides
}

// Why says what decided.
func (d Decision) Why() string {
	switch {
	case d.why != "":
		return d.why
	case d.rule != nil:
		return "role " + d.role + ": " + d.rule.String()
	case d.role != "":
		return "role " + d.role
	}
	return "no rule allows it"
}

// Decide returns whether a subject may do something. A nil policy allows nothing.
func (p *Policy) Decide(who Subject, verb Verb, on Resource) Decision {
	switch {
	case p == nil:
		return Decision{why: "nobody was let in"}
	case p == Everything:
		return Decision{Allowed: true, why: "nobody has to log in"}
	case verb != Read && verb != Write:
		return Decision{why: "there is no such verb"}
	case who.Type == Server:
		return ofServer(verb, on)
	case who.Type == Agent && (on.Kind == Admin || on.Kind != Naming && verb == Write):
		return Decision{why: "agents write naming alone"}
	case who.Type == Key && on.Kind != Naming && on.Kind != DNS:
		return Decision{why: "keys are for naming and zones alone"}
	case who.Type != User && who.Type != Agent && who.Type != Key:
		return Decision{why: "nobody has logged in"}
	}
	if who.Type == User && slices.Contains(who.Roles, RoleAdmin) {
		return Decision{Allowed: true, role: RoleAdmin}
	}
	return p.byRoles(who.Roles, verb, &on)
}

// ofServer is what servers may of each other, beside calls that are for servers alone.
func ofServer(verb Verb, on Resource) Decision {
	return Decision{Allowed: verb == Read && on.Kind != Admin, why: "servers read of each other what is no administration"}
}

func (p *Policy) byRoles(roles []string, verb Verb, on *Resource) (d Decision) {
	for _, role := range roles {
		rules := p.roles[role]
		for i := range rules {
			r := &rules[i]
			switch {
			case r.Deny && r.denies(verb, on):
				return Decision{role: role, rule: r}
			case !r.Deny && !d.Allowed && r.allows(verb, on):
				d = Decision{Allowed: true, role: role, rule: r}
			}
		}
	}
	return d
}

// Sees reports whether a subject may read anything at all of a namespace, so that a list
// of namespaces may name it.
func (p *Policy) Sees(who Subject, namespace string) bool {
	for _, kind := range []Kind{Naming, Config} {
		if p.Decide(who, Read, Resource{kind, namespace, ""}).Allowed || p.some(who.Roles, kind, namespace) {
			return true
		}
	}
	return false
}

// some reports whether roles allow to read anything of a kind in a namespace, where they
// do not deny all of it.
func (p *Policy) some(roles []string, kind Kind, namespace string) (allowed bool) {
	for _, role := range roles {
		for _, r := range p.roles[role] {
			switch {
			case !r.of(Read, &Resource{Kind: kind}):
			case r.Deny && r.Group == all && bars(kind, r.Namespace, namespace):
				return false
			case !r.Deny && covers(r.Namespace, namespace):
				allowed = true
			}
		}
	}
	return allowed
}
