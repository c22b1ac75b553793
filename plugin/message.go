package plugin

import (
	"sort"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// udpSize is the largest message we send over UDP, and say we take: what passes
// every path unfragmented (RFC 9715).
const udpSize = 1232

// options counts the OPT records of a message. More than one makes it malformed
// (RFC 6891, 6.1.1).
func options(r *dns.Msg) int {
	n := 0
	for _, rr := range r.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			n++
		}
	}
	return n
}

// room returns how many octets a reply may have.
func room(w dns.ResponseWriter, r *dns.Msg) int {
	state := request.Request{W: w, Req: r}
	if state.Proto() == "tcp" {
		return dns.MaxMsgSize
	}
	if opt := r.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), dns.MinMsgSize), udpSize)
	}
	return dns.MinMsgSize
}

// seal makes reply fit and gives it an OPT record if the request has one, which
// carries errors (RFC 8914) and returns the client's subnet with scope 0: the
// answer holds for everybody (RFC 7871, 7.2.1).
func seal(reply *dns.Msg, w dns.ResponseWriter, r *dns.Msg, errors ...*dns.EDNS0_EDE) {
	size := room(w, r)
	if asked := r.IsEdns0(); asked != nil {
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(udpSize)
		opt.SetDo(asked.Do())
		for _, e := range errors {
			opt.Option = append(opt.Option, e)
		}
		for _, o := range asked.Option {
			if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
				echo := *subnet
				echo.SourceScope = 0
				opt.Option = append(opt.Option, &echo)
			}
		}
		reply.Extra = append(reply.Extra, opt)
		// The server fits the reply once more, by the size in the request's OPT,
		// which is also the one that our OPT announces in the end. It undoes the
		// compression of what fits without: so no more than fits is announced.
		asked.SetUDPSize(min(max(asked.UDPSize(), dns.MinMsgSize), udpSize))
	}
	fit(reply, size)
	if size == dns.MaxMsgSize {
		// Nobody can ask for more than this: who is told that it was cut can only
		// fail, and what is left is a fair choice.
		reply.Truncated = false
	}
}

// fit drops from m what does not fit into size: first addresses in Additional,
// then answers, and says so by TC only for answers.
func fit(m *dns.Msg, size int) {
	if m.Len() <= size {
		return
	}
	m.Compress = true
	if m.Len() <= size {
		return
	}
	var opt []dns.RR
	glue := m.Extra
	if n := len(glue); n > 0 && glue[n-1].Header().Rrtype == dns.TypeOPT {
		glue, opt = glue[:n-1:n-1], glue[n-1:]
	}
	most := func(n int, keep func(n int)) int {
		n = max(0, sort.Search(n+1, func(n int) bool { keep(n); return m.Len() > size })-1)
		keep(n)
		return n
	}
	if m.Extra = opt; m.Len() <= size {
		most(len(glue), func(n int) { m.Extra = append(glue[:n:n], opt...) })
		return
	}
	answers := m.Answer
	if most(len(answers), func(n int) { m.Answer = answers[:n] }) < len(answers) {
		m.Truncated = true
	}
}

func extended(code uint16, text string) *dns.EDNS0_EDE {
	return &dns.EDNS0_EDE{InfoCode: code, ExtraText: text}
}

// reply returns the message that says what was found.
func reply(r *dns.Msg, found zone.Result) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative = true
	m.Answer, m.Ns, m.Extra, m.Truncated = found.Answer, found.Ns, found.Extra, found.Cut
	if found.Status == answer.NoName {
		m.Rcode = dns.RcodeNameError
	}
	return m
}

// explained returns what RFC 8914 has a code for.
func explained(st zone.State, found zone.Result) (errors []*dns.EDNS0_EDE) {
	if st.Stale {
		errors = append(errors, extended(dns.ExtendedErrorCodeStaleAnswer, ""))
	}
	switch found.Reason {
	case answer.NoneHealthy:
		errors = append(errors, extended(dns.ExtendedErrorCodeOther, "no healthy instance"))
	case answer.Protected:
		errors = append(errors, extended(dns.ExtendedErrorCodeOther, "protected"))
	}
	return errors
}
