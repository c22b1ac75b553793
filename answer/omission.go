package answer

import "github.com/musterhq/muster/registry"

// Omission is why an instance is not answered.
type Omission string

// Why instances are not answered.
const (
	OtherCluster  Omission = "other cluster"
	OtherVersion  Omission = "other version"
	OtherProtocol Omission = "other protocol"
	Disabled      Omission = "disabled"
	Weightless    Omission = "weight 0"
	Unhealthy     Omission = "unhealthy" // as it was declared
	Silent        Omission = "silent"    // judged, as nobody beat for it
	Failing       Omission = "failing"   // judged, as a check of the servers fails
	OtherLabels   Omission = "other labels"
	FurtherAway   Omission = "further away"
	NoAddress     Omission = "no address of this family"
	HostName      Omission = "host name"
	NoALPN        Omission = "no alpn"
	NotOfType     Omission = "not of this type" // no instance is answered to the question
)

// rejected returns why a filter does not admit an instance.
func rejected(i *registry.Instance, f registry.Filter) Omission {
	switch {
	case !registry.Filter{Cluster: f.Cluster}.Admits(i):
		return OtherCluster
	case !registry.Filter{Version: f.Version}.Admits(i):
		return OtherVersion
	case !registry.Filter{Type: f.Type}.Admits(i):
		return OtherProtocol
	}
	return ""
}

// unfit returns why an instance is not in the set that is answered.
func unfit(i *registry.Instance, protected bool) Omission {
	switch {
	case !i.Enabled:
		return Disabled
	case !(i.Weight > 0):
		return Weightless
	case i.Healthy || protected:
		return ""
	case i.Silent:
		return Silent
	case i.Failing:
		return Failing
	}
	return Unhealthy
}

// divide says of each instance in the tiers whether q reaches it and with what
// share: all goes to the nearest tier that q reaches, while it works.
func (e *Explanation) divide(tiers []tier, q Question) {
	heaviest := 0.0
	for i := range tiers {
		heaviest = max(heaviest, tiers[i].heaviest)
	}
	in := make(map[*registry.Instance]*Candidate, len(e.Instances))
	for n := range e.Instances {
		in[e.Instances[n].Instance] = &e.Instances[n]
	}
	f, aliased := reach(tiers, q)
	served := false // by a nearer tier
	for n := range tiers {
		t := &tiers[n]
		var answered []*Candidate
		sum := 0.0
		for at := range t.members {
			i := t.instance(at)
			c := in[i]
			c.SRVWeight, c.Priority = SRVWeight(i.Weight, heaviest), t.priority
			if c.Why = unreached(i, f, q.Type, aliased); c.Why == "" && served && (aliased || !onward(q)) {
				c.Why = FurtherAway
			}
			if c.Why == "" {
				answered, sum = append(answered, c), sum+i.Weight
			}
		}
		for _, c := range answered {
			if !served && sum > 0 {
				c.Share = c.Weight / sum
			}
		}
		served = served || len(answered) > 0
	}
}

// reach returns what q reaches instances by, and whether that is a host name for
// want of addresses.
func reach(tiers []tier, q Question) (f family, aliased bool) {
	switch q.Type {
	case A:
		f = v4
	case AAAA:
		f = v6
	case SVCB:
		return secured, false
	case CNAME:
		f = host
	default:
		return families, false
	}
	for i := range tiers {
		if tiers[i].reached[v4]+tiers[i].reached[v6] > 0 {
			return f, false
		}
	}
	return host, true
}

// unreached returns why a question does not reach an instance of the set.
func unreached(i *registry.Instance, f family, typ Type, aliased bool) Omission {
	switch {
	case typ == SRV || f != families && f.reaches(i) && (f != host || aliased):
		return ""
	case f == families:
		return NotOfType
	case f == secured:
		return NoALPN
	case !hasAddr(i):
		return HostName
	case f == host:
		return NotOfType
	}
	return NoAddress
}

// onward reports whether a question is answered with further tiers behind the
// nearest one.
func onward(q Question) bool {
	return q.Type == SRV || (q.Type == A || q.Type == AAAA) && (q.Mode == "" || q.Mode == registry.ModeOrdered)
}
