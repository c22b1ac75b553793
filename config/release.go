package config

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Release is a gray release: another content of a document, for the clients that
// a rule names.
type Release struct {
	Name     string `json:"-"`
	Rule     Rule   `json:"rule"`
	Priority int    `json:"priority"` // the highest one that matches is chosen
	Document        // what those clients get; its Revision and Seq are the release's
}

// RecordKey implements [Record].
func (r *Release) RecordKey() RecordKey { return RecordKey{KindRelease, r.Key, r.Name} }

// Names and priorities of the gray releases that Nacos knows.
const (
	BetaName      = "beta"
	TagPrefix     = "tag_"
	BetaPriority  = 1<<31 - 1
	TagPriority   = 1<<31 - 2
	maxReleases   = 10 // of one document, as in Nacos
	maxRuleIPs    = 1000
	maxRuleLabels = 16
	maxTagName    = 16 // characters of a tag, as in Nacos
)

// Rule names clients. All parts that are given must hold, and one must be given.
type Rule struct {
	// IPs are addresses, or prefixes such as 10.1.0.0/16, of which one holds the
	// client's.
	IPs []string `json:"ips,omitempty"`
	// Tag is what the client calls itself.
	Tag string `json:"tag,omitempty"`
	// Percent of all clients, above 0 and up to 100: who is in at a percentage is
	// in at every higher one.
	Percent float64 `json:"percent,omitempty"`
	// Labels are all found on the client.
	Labels map[string]string `json:"labels,omitempty"`
}

func (r Rule) validate() error {
	switch {
	case len(r.IPs) == 0 && r.Tag == "" && r.Percent == 0 && len(r.Labels) == 0:
		return invalid("rule", "", "names nobody: it must have ips, tag, percent or labels")
	case len(r.IPs) > maxRuleIPs:
		return invalid("rule.ips", strconv.Itoa(len(r.IPs)), "are more than "+strconv.Itoa(maxRuleIPs))
	case !(r.Percent >= 0 && r.Percent <= 100):
		return invalid("rule.percent", strconv.FormatFloat(r.Percent, 'g', -1, 64), "must be above 0 and at most 100")
	case len(r.Labels) > maxRuleLabels:
		return invalid("rule.labels", strconv.Itoa(len(r.Labels)), "are more than "+strconv.Itoa(maxRuleLabels))
	}
	for _, ip := range r.IPs {
		if _, err := parsePrefix(ip); err != nil {
			return invalid("rule.ips", ip, "is neither an address nor a prefix")
		}
	}
	if r.Tag != "" {
		if !namespaceForm.MatchString(r.Tag) {
			return invalid("rule.tag", r.Tag, "must be letters, digits or one of _ - . :")
		}
		if len(r.Tag) > maxTagName {
			return invalid("rule.tag", r.Tag, "is longer than "+strconv.Itoa(maxTagName)+" characters")
		}
	}
	for name, value := range r.Labels {
		if name == "" || len(name) > 128 || len(value) > 128 {
			return invalid("rule.labels", name, "must be 1 to 128 bytes, its value at most 128")
		}
	}
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return a.Prefix(a.BitLen())
}

// Client is who asks for a document.
type Client struct {
	ID     string // of an agent, or what else names it; empty: its IP does
	IP     string
	Tag    string
	Labels map[string]string
}

// why returns why a rule of a release matches a client, empty when it does not.
func (r *Release) why(c Client) string {
	var reasons []string
	if len(r.Rule.IPs) > 0 {
		within := r.Rule.holding(c.IP)
		if within == "" {
			return ""
		}
		reasons = append(reasons, "ip "+c.IP+" is within "+within)
	}
	if r.Rule.Tag != "" {
		if c.Tag != r.Rule.Tag {
			return ""
		}
		reasons = append(reasons, "tag is "+c.Tag)
	}
	if r.Rule.Percent > 0 {
		at := share(r.Key, r.Name, cmp.Or(c.ID, c.IP))
		if at >= r.Rule.Percent {
			return ""
		}
		reasons = append(reasons, fmt.Sprintf("client stands at %.2f of 100, below %g", at, r.Rule.Percent))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Rule.Labels)) {
		if value, ok := c.Labels[name]; !ok || value != r.Rule.Labels[name] {
			return ""
		}
		reasons = append(reasons, "label "+name+" is "+r.Rule.Labels[name])
	}
	return strings.Join(reasons, ", ")
}

// holding returns the address or prefix of the rule that holds ip.
func (r Rule) holding(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	for _, text := range r.IPs {
		if p, err := parsePrefix(text); err == nil && p.Contains(addr) {
			return text
		}
	}
	return ""
}

// share returns where a client stands among all, from 0 up to but not 100. It
// differs from release to release, so that not always the same go first.
func share(k Key, release, client string) float64 {
	h := fnv.New64a()
	for _, s := range []string{k.Namespace, k.Group, k.DataID, release, client} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	x := h.Sum64() // its high bits do not mix enough: finish as MurmurHash3 does
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x%10000) / 100
}

// Choice is what a client gets of a document. Where that is nothing,
// [Snapshot.Legible] says whether nothing is there.
type Choice struct {
	Document *Document // nil: nothing
	Release  string    // the gray release it is of, empty: the document's own content
	Why      string    // the release was chosen
}

// Choose returns what a client gets of a document: the gray release of the
// highest priority whose rule matches it, else the document itself.
func (s *Snapshot) Choose(k Key, c Client) Choice {
	e, ok := s.entries.Get(k)
	if !ok {
		return Choice{}
	}
	for _, r := range e.releases {
		if why := r.why(c); why != "" {
			return Choice{&r.Document, r.Name, why}
		}
	}
	return Choice{Document: e.document}
}

// Differs returns the digest of what a client gets of a document, and whether that is
// another one than it has. Nobody can tell of a document that is not legible.
func (s *Snapshot) Differs(k Key, c Client, has string) (md5 string, differs bool) {
	md5 = s.MD5(k, c)
	return md5, md5 != has && (md5 != "" || s.Legible(k) == nil)
}

// MD5 returns the digest of what a client gets of a document, empty when that is
// nothing.
func (s *Snapshot) MD5(k Key, c Client) string {
	if d := s.Choose(k, c).Document; d != nil {
		return d.MD5
	}
	return ""
}
