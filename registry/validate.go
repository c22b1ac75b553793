package registry

import (
	"iter"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of names and values, as Nacos has them unless said otherwise.
const (
	MaxWeight = 10000
	// MaxMetadata bounds the summed length of an instance's keys and values.
	// Nacos stops at 1024, which its own users exceed.
	MaxMetadata = 16 << 10
)

var (
	namespaceForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	groupForm     = regexp.MustCompile(`^[0-9A-Za-z_:.-]{1,128}$`)
	clusterForm   = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	labelForm     = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?$`)
	agentForm     = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,128}$`)
)

// Validate returns an [*InvalidError] for a key that no service may have.
func (k ServiceKey) Validate() error {
	switch {
	case !namespaceForm.MatchString(k.Namespace):
		return invalid("namespace", k.Namespace, "must be 1 to 64 letters, digits, - or _")
	case !groupForm.MatchString(k.Group):
		return invalid("group", k.Group, "must be 1 to 128 letters, digits or one of - _ : .")
	case k.Name == "":
		return invalid("service", k.Name, "is missing")
	case len(k.Name) > 512:
		return invalid("service", k.Name, "is longer than 512 bytes")
	case !utf8.ValidString(k.Name):
		return invalid("service", strings.ToValidUTF8(k.Name, "?"), "is not valid UTF-8")
	case strings.HasPrefix(k.Name, "@") || strings.Contains(k.Name, "@@"):
		return invalid("service", k.Name, "must not start with @ or contain @@")
	case strings.ContainsFunc(k.Name, illegalInName):
		return invalid("service", k.Name, "contains an illegal character")
	}
	return nil
}

// illegalInName is what Nacos's parameter check refuses (white space, CJK
// ideographs) and what no name needs (control characters).
func illegalInName(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || r >= 0x4E00 && r <= 0x9FA5
}

// ValidateAgentID returns an [*InvalidError] unless id is 1 to 128 letters,
// digits or one of - _ and dot.
func ValidateAgentID(id string) error {
	if !agentForm.MatchString(id) {
		return invalid("agent id", id, "must be 1 to 128 letters, digits or one of - _ .")
	}
	return nil
}

// CanonicalHost returns the canonical text of an IP address, or a host name as
// it is. What looks like an address and is none is an [*InvalidError], as is an
// address no one else can reach by its text (one with an IPv6 zone).
func CanonicalHost(host string) (string, error) {
	if host == "" {
		return "", invalid("ip", host, "is missing")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", invalid("ip", host, "has an IPv6 zone")
		}
		return a.Unmap().String(), nil
	}
	name := strings.TrimSuffix(host, ".")
	if strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":") {
		return "", invalid("ip", host, "is not a valid IP address")
	}
	for label := range strings.SplitSeq(name, ".") {
		if !labelForm.MatchString(label) || len(name) > 128 {
			return "", invalid("ip", host, "is neither an IP address nor a host name")
		}
	}
	return host, nil
}

// CleanWeight returns the weight that stands for w: NaN counts as 1, +Inf as
// [MaxWeight] (dns.md 3); a weight outside 0 to MaxWeight is an [*InvalidError].
func CleanWeight(w float64) (float64, error) {
	switch {
	case math.IsNaN(w):
		return 1, nil
	case math.IsInf(w, 1):
		return MaxWeight, nil
	case w < 0 || w > MaxWeight:
		return 0, invalid("weight", strconv.FormatFloat(w, 'g', -1, 64), "is not between 0 and 10000")
	}
	return w, nil
}

func validateMetadata(m map[string]string) error { return validatePairs(maps.All(m)) }

func validatePairs(pairs iter.Seq2[string, string]) error {
	n := 0
	for k, v := range pairs {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalid("metadata", strings.ToValidUTF8(k, "?"), "is not valid UTF-8")
		}
		n += len(k) + len(v)
	}
	if n > MaxMetadata {
		return invalid("metadata", strconv.Itoa(n)+" bytes", "is longer than 16384 bytes in all")
	}
	return nil
}

// clean returns r with defaults filled in and every field checked.
func (r Registration) clean() (Registration, error) {
	if err := r.Key.Service.Validate(); err != nil {
		return r, err
	}
	host, err := CanonicalHost(r.Key.Endpoint.Host)
	if err != nil {
		return r, err
	}
	r.Key.Endpoint.Host = host
	if r.Cluster == "" {
		r.Cluster = DefaultCluster
	}
	if !clusterForm.MatchString(r.Cluster) {
		return r, invalid("cluster", r.Cluster, "must be 1 to 64 letters, digits or -")
	}
	if r.Weight, err = CleanWeight(r.Weight); err != nil {
		return r, err
	}
	if err := validatePairs(r.Metadata.All()); err != nil {
		return r, err
	}
	return r, timeoutsOf(r.Metadata).validate()
}

// Metadata keys by which an instance sets its own times, in milliseconds.
const (
	MetaBeatInterval = "preserved.heart.beat.interval"
	MetaBeatTimeout  = "preserved.heart.beat.timeout"
	MetaDeleteAfter  = "preserved.ip.delete.timeout"
)

// Timeouts are the times an instance is judged by.
type Timeouts struct {
	Interval  time.Duration // between beats, 5 s by default
	Unhealthy time.Duration // silence until it is unhealthy, 15 s by default
	Delete    time.Duration // silence until it is removed, 30 s by default
}

// DefaultTimeouts are those of an instance that sets none.
var DefaultTimeouts = Timeouts{5 * time.Second, 15 * time.Second, 30 * time.Second}

// timeoutsOf reads the three preserved keys; digits only, otherwise the default.
func timeoutsOf(m Metadata) Timeouts {
	t := DefaultTimeouts
	for key, value := range m.All() {
		var to *time.Duration
		switch key {
		case MetaBeatInterval:
			to = &t.Interval
		case MetaBeatTimeout:
			to = &t.Unhealthy
		case MetaDeleteAfter:
			to = &t.Delete
		default:
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 31); err == nil {
			*to = time.Duration(n) * time.Millisecond
		}
	}
	return t
}

// validate holds the one constraint Nacos checks at registration.
func (t Timeouts) validate() error {
	if t.Unhealthy < t.Interval || t.Delete < t.Interval {
		return invalid("metadata", MetaBeatInterval,
			"must not be longer than "+MetaBeatTimeout+" and "+MetaDeleteAfter)
	}
	return nil
}
