package registry

import (
	"hash/maphash"
	"sync/atomic"
)

// profile is what many instances have in common, kept once for all of them as far
// as it is noticed.
type profile struct {
	Cluster  string
	Metadata Metadata // the effective one
	Timeouts Timeouts

	cluster, version string // folded, for scoped names
}

func newProfile(cluster string, m Metadata) *profile {
	return &profile{
		Cluster: cluster, Metadata: m, Timeouts: timeoutsOf(m),
		cluster: scopeLabel(cluster), version: scopeLabel(m.Get(MetaVersion)),
	}
}

// profiles are those met last, in sets of a few by their hash. One that is pushed out
// though instances have it still is made once more, which costs memory and nothing
// else: so nothing is counted, and nothing kept for long. It is safe for concurrent use.
type profiles [1 << 11][4]atomic.Pointer[profile]

var profileSeed = maphash.MakeSeed()

// of returns a profile that says this.
func (p *profiles) of(cluster string, m Metadata) *profile {
	set := &p[(maphash.String(profileSeed, m.text)+maphash.String(profileSeed, cluster))%uint64(len(p))]
	for n := range set {
		if is := set[n].Load(); is != nil && is.Cluster == cluster && is.Metadata == m {
			return is
		}
	}
	for n := len(set) - 1; n > 0; n-- {
		set[n].Store(set[n-1].Load())
	}
	is := newProfile(cluster, m)
	set[0].Store(is)
	return is
}
