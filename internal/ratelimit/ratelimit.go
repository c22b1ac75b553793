// Package ratelimit decides which questions a DNS server answers when there are
// more of them than their senders can have use for.
//
// Each client prefix may have so many responses a second, and some more after
// it was silent. What goes beyond is dropped, but for every so many-th, which
// is to be answered truncated: who asks from there in earnest comes back over
// TCP, and a forged source gets nothing that is larger than what it sent.
//
// It is for questions whose source may be forged: over UDP and without a good
// cookie. The decision is made before anything is looked up, so it costs less
// than an answer; it takes no lock, no memory that grows, and no clock.
package ratelimit

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"time"
)

// Verdict says what to do with a question.
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota // answer it
	Drop                // do not answer
	Slip                // answer it truncated and empty
)

// Limits of a Config.
const (
	MaxRate    = 100_000
	MaxWindow  = time.Hour
	MaxBuckets = 1 << 24
)

// Config says how much is too much.
type Config struct {
	Rate    int            // responses a second that one prefix may have, 1 to MaxRate
	Window  time.Duration  // for how long a silent prefix saves what it may have; zero: 1 s, at most MaxWindow
	Slip    int            // every so many-th question that is refused slips; 1: each, zero: none
	Buckets int            // how many prefixes are known at once, rounded up to a power of two; zero: 65536, of 12 octets each
	IPv4    int            // length of a client's prefix; zero: 24
	IPv6    int            // zero: 56
	Exempt  []netip.Prefix // these pass always
}

func (c *Config) setDefaults() {
	if c.Window == 0 {
		c.Window = time.Second
	}
	if c.Buckets == 0 {
		c.Buckets = 1 << 16
	}
	if c.IPv4 == 0 {
		c.IPv4 = 24
	}
	if c.IPv6 == 0 {
		c.IPv6 = 56
	}
}

func (c *Config) validate() error {
	switch {
	case c.Rate < 1 || c.Rate > MaxRate:
		return fmt.Errorf("rate: %d is not between 1 and %d responses a second", c.Rate, MaxRate)
	case c.Window < 0 || c.Window > MaxWindow:
		return fmt.Errorf("window: %v is not between 0s and %v", c.Window, MaxWindow)
	case c.Slip < 0:
		return fmt.Errorf("slip: %d is below 0", c.Slip)
	case c.Buckets < 1 || c.Buckets > MaxBuckets:
		return fmt.Errorf("buckets: %d is not between 1 and %d", c.Buckets, MaxBuckets)
	case c.IPv4 < 1 || c.IPv4 > 32:
		return fmt.Errorf("ipv4 prefix: %d is not between 1 and 32", c.IPv4)
	case c.IPv6 < 1 || c.IPv6 > 128:
		return fmt.Errorf("ipv6 prefix: %d is not between 1 and 128", c.IPv6)
	}
	for _, p := range c.Exempt {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("exempt: %v is not the prefix of an IPv4 or IPv6 network", p)
		}
	}
	return nil
}

// Limiter counts what each prefix is answered. It is safe for concurrent use.
type Limiter struct {
	bucket
	slip       uint32
	ipv4, ipv6 int
	exempt     []netip.Prefix
	seed       maphash.Seed // nobody outside can tell which prefixes share a set
	sets       []set
}

// New returns a limiter to which no prefix has come yet. The error names the
// item of the configuration that is wrong.
func New(c Config) (*Limiter, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	n := max(1, 1<<bits.Len(uint(c.Buckets-1))/ways)
	return &Limiter{
		bucket: newBucket(c.Rate, c.Window), slip: uint32(min(c.Slip, 1<<31)), ipv4: c.IPv4, ipv6: c.IPv6,
		exempt: append([]netip.Prefix(nil), c.Exempt...), seed: maphash.MakeSeed(), sets: make([]set, n),
	}, nil
}

// Allow takes one question into account that came from an address at now, and
// says what to do with it. Calls may come a little out of order. A clock that is
// set back or forth gives every prefix its full credit, once.
func (l *Limiter) Allow(from netip.Addr, now time.Time) Verdict {
	from = from.Unmap().WithZone("")
	if !from.IsValid() || l.isExempt(from) {
		return Pass
	}
	set, mark := l.place(from)
	refusals, passed := set.take(&l.bucket, mark, ticksOf(now))
	switch {
	case passed:
		return Pass
	case l.slip > 0 && refusals.Add(1)%l.slip == 0:
		return Slip
	}
	return Drop
}

// AllowName takes one call into account by whatever it is counted by, and reports whether
// it may pass. Names and addresses of one limiter are to be told apart by the caller.
func (l *Limiter) AllowName(name string, now time.Time) bool {
	hash := maphash.String(l.seed, name)
	set := &l.sets[hash&uint64(len(l.sets)-1)]
	_, passed := set.take(&l.bucket, max(1, hash>>markShift), ticksOf(now))
	return passed
}

func (l *Limiter) isExempt(from netip.Addr) bool {
	for _, p := range l.exempt {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

// place returns the set that the prefix of an address belongs to, and the mark
// by which it is told from others there.
func (l *Limiter) place(from netip.Addr) (*set, uint64) {
	length := l.ipv6
	if from.Is4() {
		length = l.ipv4
	}
	prefix, _ := from.Prefix(length) // fails for lengths that validate refused
	key := prefix.Addr().As16()      // IPv4 in its mapped form, apart from IPv6
	hash := maphash.Bytes(l.seed, key[:])
	return &l.sets[hash&uint64(len(l.sets)-1)], max(1, hash>>markShift) // 0 is nobody's
}
