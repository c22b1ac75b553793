package update

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// readTexts takes in the metadata that TXT records add, by name. Each name needs
// an SRV record as well, as metadata is an instance's.
func (d *draft) readTexts(records []dns.RR) error {
	servers := map[string]bool{}
	for _, rr := range records {
		if h := rr.Header(); h.Class == dns.ClassINET && h.Rrtype == dns.TypeSRV {
			servers[dns.CanonicalName(h.Name)] = true
		}
	}
	d.texts = map[string]map[string]string{}
	for _, rr := range records {
		h := rr.Header()
		if h.Class != dns.ClassINET || h.Rrtype != dns.TypeTXT {
			continue
		}
		txt, ok := rr.(*dns.TXT)
		name := dns.CanonicalName(h.Name)
		switch {
		case !ok || len(txt.Txt) == 0:
			return fail(dns.RcodeFormatError, "%s TXT: the record has no data", h.Name)
		case !servers[name]:
			return refuse("%s TXT: metadata goes with the instances that the same message adds there, and it adds none", h.Name)
		}
		said, err := attributes(h.Name, txt.Txt)
		if err != nil {
			return err
		}
		if d.texts[name] == nil {
			d.texts[name] = map[string]string{}
		}
		if err := merge(h.Name, d.texts[name], said); err != nil {
			return err
		}
	}
	return nil
}

// attributes reads the strings of a TXT record as key=value (RFC 1464). A string
// without a letter says nothing (RFC 6763, 6.1).
func attributes(name string, texts []string) (map[string]string, error) {
	said := map[string]string{}
	for _, text := range texts {
		text = unescape(text)
		if text == "" {
			continue
		}
		key, value, ok := cutAttribute(text)
		switch {
		case !utf8.ValidString(text):
			return nil, refuse("%s TXT: %q is not valid UTF-8", name, text)
		case !ok || key == "":
			return nil, refuse("%s TXT: %q is not of the form key=value", name, text)
		case isLeaseKey(key):
			return nil, refuse("%s TXT: %s follows from the lease of the update (RFC 9664)", name, key)
		}
		if err := merge(name, said, map[string]string{key: value}); err != nil {
			return nil, err
		}
	}
	return said, nil
}

// cutAttribute cuts a string at its first = that no grave accent quotes. Of the
// key, white space at both ends is no part unless it is quoted; the value is
// taken as it is (RFC 1464, 2).
func cutAttribute(s string) (key, value string, ok bool) {
	var b []byte
	kept := 0 // how much of b is not white space at its end
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '=':
			return string(b[:kept]), s[i+1:], true
		case c == '`' && i+1 < len(s):
			i++
			b = append(b, s[i])
			kept = len(b)
		case c == ' ' || c == '\t':
			if kept > 0 {
				b = append(b, c)
			}
		default:
			b = append(b, c)
			kept = len(b)
		}
	}
	return "", "", false
}

// unescape returns the octets of a string that is escaped as in zone files (RFC
// 1035, 5.1), as the records of a message are.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			if i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i:i+3], 10, 8); err == nil {
					b = append(b, byte(n))
					i += 2
					continue
				}
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
