package zone

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/registry"
)

// TTLRules are times to live in seconds by name of service: that of the name
// itself is stronger than that of the longest beginning, whatever the case. The
// zero TTLRules are empty.
type TTLRules struct {
	names   map[string]uint32
	begins  map[string]uint32
	longest int // of begins
}

// Add adds the rule for services called pattern or, where that ends with *, for
// those whose names begin so. A second one for the same is an error.
func (r *TTLRules) Add(pattern string, ttl uint32) error {
	to, text := &r.names, strings.ToLower(pattern)
	if begin, ok := strings.CutSuffix(text, "*"); ok {
		to, text = &r.begins, begin
		r.longest = max(r.longest, len(begin))
	}
	if pattern == "" || strings.Contains(text, "*") {
		return fmt.Errorf("%q is neither the name of a service nor, with * at the end, the beginning of one", pattern)
	}
	if *to == nil {
		*to = map[string]uint32{}
	}
	if _, ok := (*to)[text]; ok {
		return fmt.Errorf("%q is given twice", pattern)
	}
	(*to)[text] = ttl
	return nil
}

// Longest returns the longest time to live of any rule, 0 without one.
func (r TTLRules) Longest() (ttl uint32) {
	for _, rules := range []map[string]uint32{r.names, r.begins} {
		for _, t := range rules {
			ttl = max(ttl, t)
		}
	}
	return ttl
}

func (r *TTLRules) none() bool { return len(r.names)+len(r.begins) == 0 }

// of returns the time to live for a service, otherwise when no rule is about it.
func (r TTLRules) of(name string, otherwise uint32) uint32 {
	if r.none() {
		return otherwise
	}
	name = strings.ToLower(name)
	if ttl, ok := r.names[name]; ok {
		return ttl
	}
	for n := min(len(name), r.longest); n >= 0 && len(r.begins) > 0; n-- {
		if ttl, ok := r.begins[name[:n]]; ok {
			return ttl
		}
	}
	return otherwise
}

// TTL returns the time to live in seconds of the records of a service: as it says
// itself, else as the rules do. Nil stands for names that are of no service.
func (zs *Zones) TTL(s *registry.Service) uint32 {
	switch {
	case s == nil:
		return zs.cfg.TTL
	case s.DNS.TTL != nil:
		return *s.DNS.TTL
	}
	return zs.cfg.Rules.of(s.Key.Name, zs.cfg.TTL)
}

// ttlOf is TTL of the service of an answer, at which it does not look when it need not.
func (zs *Zones) ttlOf(a *answer.Answer) uint32 {
	if a.Usual && zs.cfg.Rules.none() {
		return zs.cfg.TTL
	}
	return zs.TTL(a.Service)
}

// Kept returns the longest time in seconds for which anybody keeps an answer, but
// for what services say themselves.
func (zs *Zones) Kept() uint32 { return max(zs.cfg.TTL, zs.cfg.NegativeTTL, zs.cfg.Rules.Longest()) }

// Rule returns what the zones say of any question, but for who asks.
func (zs *Zones) Rule() answer.Rule {
	return answer.Rule{TTL: zs.TTL, Mode: cmp.Or(zs.cfg.Mode, registry.ModeOrdered), Raw: zs.cfg.Raw}
}
