package zone

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/answer"
)

// maxString is how many octets a character-string has at most (RFC 1035, 3.3).
const maxString = 255

// maxLabel is how many octets a label has at most (RFC 1035, 2.3.4).
const maxLabel = 63

// texts returns metadata as TXT records: one for each pair (RFC 1464), or, in a
// list to browse, one for all of them (RFC 6763, 6). There a pair has one string,
// and one that is too long for it is left out.
func texts(owner string, ttl uint32, a answer.Answer) (records []dns.RR) {
	text := func(strings ...string) {
		records = append(records, &dns.TXT{Hdr: header(owner, dns.TypeTXT, ttl), Txt: strings})
	}
	if a.Listed {
		all := []string{}
		for _, pair := range pairs(a.Metadata) {
			if len(pair) <= maxString {
				all = append(all, escaped(pair))
			}
		}
		if len(all) == 0 {
			all = []string{""} // there is always one (RFC 6763, 6.1)
		}
		text(all...)
		return records
	}
	for _, pair := range pairs(a.Metadata) {
		var parts []string
		for part := range slices.Chunk([]byte(pair), maxString) {
			parts = append(parts, escaped(string(part)))
		}
		text(parts...)
	}
	return records
}

// pairs returns key=value for each pair, in order and each once.
func pairs(metadata []map[string]string) (all []string) {
	for _, m := range metadata {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if key != "" {
				all = append(all, quoteKey.Replace(key)+"="+m[key])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// quoteKey keeps a key apart from its value (RFC 1464).
var quoteKey = strings.NewReplacer("`", "``", "=", "`=", " ", "` ")

// escaped writes a string as zone files and miekg/dns have it.
func escaped(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }
