package zone

import (
	"math/rand/v2"

	"github.com/musterhq/muster/answer"
)

// Finder finds what is at the names of zones, for one question at a time. What it
// returns is good until the next.
type Finder struct {
	*Zones

	resolver answer.Resolver
	random   *rand.Rand
	question answer.Question
	target   [256]byte // a name that is being spelled
}

// NewFinder returns a Finder that draws from random.
func (zs *Zones) NewFinder(random *rand.Rand) *Finder {
	return &Finder{Zones: zs, random: random, question: answer.Question{Raw: zs.cfg.Raw, Mode: zs.cfg.Mode}}
}

// place is where a name lies in its zone.
type place uint8

const (
	inRoll place = iota // where the roll says what is there
	atApex
	atHost // a name server of ours
	inReverse
)

// place returns where a name, in lower case and with the dot at the end, lies in z.
func (zs *Zones) place(z *Zone, name string) place {
	switch {
	case len(name) == len(z.Name):
		return atApex
	case zs.hosts.has(name):
		return atHost
	case z.reverse:
		return inReverse
	}
	return inRoll
}

// The least octets that a record takes: a pointer to the owner, the fixed fields,
// and a name of one letter.
const (
	leastPointer = 2 + 10 + 3
	leastServer  = leastPointer + 6
)

// ask puts into a, which is zero, what the roll says to a name in z, of which a reply
// has room for so many octets.
func (f *Finder) ask(a *answer.Answer, st *State, z *Zone, name string, typ answer.Type, room int, from answer.Place) {
	q := &f.question
	q.Name, q.Type, q.Max, q.From = name[:len(name)-len(z.Name)-1], typ, f.cfg.Answers, from
	switch typ {
	case answer.SRV:
		q.Max = room / leastServer
	case answer.PTR:
		q.Max = room / leastPointer
	}
	f.resolver.ResolveTo(a, st.Snapshot, q, f.random)
	if a.Status == answer.NoName && f.hosts.above[name] {
		a.Status = answer.NoData
	}
}
