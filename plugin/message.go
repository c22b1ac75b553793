package plugin

import (
	"sort"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/zone"
)

// udpSize is the largest message we send over UDP, and say we take: what passes
// every path unfragmented (RFC 9715).
const udpSize = 1232

// malformed reports whether a message is none that can be answered: it has not
// one question, or more than one OPT record or one of another name than the root
// (RFC 6891, 6.1.1), or a subnet option with a scope of the client's own (RFC
// 7871, 6).
func malformed(r *dns.Msg) bool {
	options := 0
	for _, rr := range r.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			options++
			subnet := subnetOf(opt)
			if opt.Hdr.Name != "." || subnet != nil && subnet.SourceScope != 0 {
				return true
			}
		}
	}
	return len(r.Question) != 1 || options > 1
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
	fair(answers)
	if most(len(answers), func(n int) { m.Answer = answers[:n] }) < len(answers) {
		m.Truncated = true
	}
}

// fair brings servers of one priority into any order, so that those that stay are a
// fair choice: in weighted order the heavy ones would stay, and whoever picks one of
// them by weight (RFC 2782) would count the weight twice.
func fair(answers []dns.RR) {
	priority := func(i int) int {
		if rr, ok := answers[i].(*dns.SRV); ok {
			return int(rr.Priority)
		}
		return -1
	}
	from := 0
	for to := 1; to <= len(answers); to++ {
		if to < len(answers) && priority(to) == priority(from) {
			continue
		}
		if tier := answers[from:to]; priority(from) >= 0 {
			answer.Random.Shuffle(len(tier), func(i, j int) { tier[i], tier[j] = tier[j], tier[i] })
		}
		from = to
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
