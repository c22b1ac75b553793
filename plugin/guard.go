package plugin

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/internal/cookie"
	"github.com/musterhq/muster/internal/ratelimit"
)

// guard keeps those who flood, or have others flooded, from being served at the
// cost of the rest. Its zero value lets everything pass.
type guard struct {
	jar     *cookie.Jar        // nil: there are no cookies
	limiter *ratelimit.Limiter // nil: there is no limit
	outside atomic.Bool        // whoever reads the packets has asked before
}

// ownSecret is the secret of cookies where none is configured. It outlives a
// reload of the Corefile, and so do the cookies.
var ownSecret = sync.OnceValue(func() (secret [16]byte) {
	_, _ = rand.Read(secret[:]) // it never fails
	return secret
})

// Admit reports whether a packet over UDP is to be answered, or else to be answered
// at once, truncated and empty, so that one who asks in earnest comes back over
// TCP. A server that reads packets by itself asks before it looks into one: what
// is not answered then costs next to nothing. It is safe for concurrent use.
func (g *guard) Admit(query []byte, from netip.AddrPort) (answer, truncated bool) {
	if g.limiter == nil {
		return true, false
	}
	if !g.outside.Load() {
		g.outside.Store(true)
	}
	return g.admit(from.Addr(), func() []byte { return cookieIn(query) })
}

// admit decides for a client, whose cookie is asked for only if it matters.
func (g *guard) admit(from netip.Addr, cookieOf func() []byte) (answer, truncated bool) {
	now := time.Now()
	verdict := g.limiter.Allow(from, now)
	if verdict == ratelimit.Pass || g.jar != nil && g.jar.Check(cookieOf(), from, now) == cookie.Good {
		return true, false
	}
	return false, verdict == ratelimit.Slip
}

// limited reports whether a message is one too many, where nobody asked Admit.
func (e *exchange) limited() (limited, truncated bool) {
	if e.limiter == nil || e.outside.Load() || e.tcp {
		return false, false
	}
	answer, truncated := e.admit(addrOf(e.w.RemoteAddr()), func() []byte { return cookieOf(e.opt) })
	return !answer, truncated
}

// badCookie reports whether the message has a cookie that is none.
func (e *exchange) badCookie() bool {
	c := cookieOf(e.opt)
	return c != nil && e.jar != nil && e.jar.Check(c, addrOf(e.w.RemoteAddr()), e.began) == cookie.Malformed
}

// cookie returns the option with which the message's cookie is answered, nil when
// it has none. Also one that was not good is answered with a good one (RFC 7873,
// 5.2.4): it shows only if the next question is.
func (e *exchange) cookie() dns.EDNS0 {
	c := cookieOf(e.opt)
	if c == nil || e.jar == nil {
		return nil
	}
	made := e.jar.Append(nil, c, addrOf(e.w.RemoteAddr()), e.began)
	if len(made) == 0 {
		return nil
	}
	return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(made)}
}

// cookieOf returns the data of a message's cookie, nil when it has none.
func cookieOf(opt *dns.OPT) []byte {
	if opt == nil {
		return nil
	}
	for _, o := range opt.Option {
		if c, ok := o.(*dns.EDNS0_COOKIE); ok {
			data, _ := hex.DecodeString(c.Cookie) // made from octets
			return append([]byte{}, data...)      // empty is not absent
		}
	}
	return nil
}

// cookieIn returns the data of the cookie in a packet, nil when it has none or is
// not the plain question that a client with a cookie sends: one name and an OPT
// record first behind it.
func cookieIn(packet []byte) []byte {
	const header, root, fixed = 12, 1, 10 // an OPT record: the root, then type, class, TTL and length
	if len(packet) < header || [6]byte(packet[4:10]) != [6]byte{0, 1} || [2]byte(packet[10:12]) == [2]byte{} {
		return nil
	}
	rest := packet[header:]
	for len(rest) > 0 && rest[0] != 0 {
		label := int(rest[0])
		if label > 63 || len(rest) < 1+label {
			return nil
		}
		rest = rest[1+label:]
	}
	if len(rest) < root+4+root+fixed {
		return nil
	}
	rest = rest[root+4:]
	if rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != dns.TypeOPT {
		return nil
	}
	options := rest[root+fixed:]
	if length := int(binary.BigEndian.Uint16(rest[9:])); len(options) >= length {
		options = options[:length]
	} else {
		return nil
	}
	for len(options) >= 4 {
		code, length := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if len(options) < 4+length {
			return nil
		}
		if code == dns.EDNS0COOKIE {
			return options[4 : 4+length : 4+length]
		}
		options = options[4+length:]
	}
	return nil
}
