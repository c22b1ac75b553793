package update

import (
	"math"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
)

// LeaseBounds are the shortest and the longest lease that is granted.
type LeaseBounds struct {
	Min time.Duration // zero: 1 s
	Max time.Duration // zero: what an instance can say of itself, 24 days
}

// longest is how many milliseconds an instance's metadata can hold.
const longest = math.MaxInt32 * time.Millisecond

// lease is for how long what a message registers stands unless it is renewed
// (RFC 9664).
type lease struct {
	granted time.Duration // 0: none was asked for
	option  *dns.EDNS0_UL // that grants it
	none    bool          // a lease of no time was asked for
}

// leaseOf returns the lease that is granted to a message. The option is of the
// form that the message's was (RFC 9664, 4.3); of KEY records there are none.
func leaseOf(m *dns.Msg, bounds LeaseBounds) lease {
	opt := m.IsEdns0()
	if opt == nil {
		return lease{}
	}
	for _, o := range opt.Option {
		if asked, ok := o.(*dns.EDNS0_UL); ok {
			l := lease{granted: bounds.grant(asked.Lease), none: asked.Lease == 0}
			l.option = &dns.EDNS0_UL{Code: dns.EDNS0UL, Lease: uint32(l.granted / time.Second)}
			if asked.KeyLease != 0 {
				l.option.KeyLease = uint32(bounds.grant(asked.KeyLease) / time.Second)
			}
			return l
		}
	}
	return lease{}
}

// grant returns what is granted to who asks for so many seconds. A lower bound
// above the upper one counts for nothing.
func (b LeaseBounds) grant(seconds uint32) time.Duration {
	upper := longest
	if b.Max > 0 {
		upper = min(upper, b.Max)
	}
	granted := min(max(time.Duration(seconds)*time.Second, b.Min), upper)
	return max(granted.Truncate(time.Second), time.Second)
}

// apply makes reg live by its lease. A renewal is expected well before the end
// (RFC 9664, 5.2), and nothing is said about the health of an instance that is
// late with it: it goes when its lease is over.
func (l lease) apply(reg *registry.Registration) {
	if l.granted == 0 {
		return
	}
	reg.Witness = registry.WitnessHTTP
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	reg.Metadata = reg.Metadata.Over(map[string]string{
		registry.MetaBeatInterval: ms(l.granted / 2), registry.MetaBeatTimeout: ms(l.granted), registry.MetaDeleteAfter: ms(l.granted),
	})
}

func isLeaseKey(key string) bool {
	return key == registry.MetaBeatInterval || key == registry.MetaBeatTimeout || key == registry.MetaDeleteAfter
}
