package dnsd

import (
	"github.com/miekg/dns"
)

// tsig is the transaction signature (RFC 8945) of one query and its replies. It is
// the business of the transport: only here is the message as it came.
type tsig struct {
	secrets    map[string]string // key name to secret, of the address asked
	status     error
	mac        string // of the message before: the request, then each reply
	timersOnly bool
}

// verifyTSIG checks the signature of a query, if it has one.
func verifyTSIG(query *dns.Msg, wire []byte, secrets map[string]string) tsig {
	s := tsig{secrets: secrets}
	t := query.IsTsig()
	if t == nil {
		return s
	}
	s.mac = t.MAC
	if secret, ok := secrets[dns.CanonicalName(t.Hdr.Name)]; ok {
		s.status = dns.TsigVerify(wire, secret, "", false)
	} else {
		s.status = dns.ErrSecret
	}
	return s
}

// sign packs a reply that ends in a TSIG record, and fills that in.
func (s *tsig) sign(reply *dns.Msg, t *dns.TSIG) ([]byte, error) {
	secret, ok := s.secrets[dns.CanonicalName(t.Hdr.Name)]
	if !ok && t.Error != dns.RcodeBadKey { // an answer to a bad key is not signed
		return nil, dns.ErrSecret
	}
	wire, mac, err := dns.TsigGenerate(reply, secret, s.mac, s.timersOnly)
	if err != nil {
		return nil, err
	}
	s.mac = mac
	return wire, nil
}
