package nacos

import (
	"errors"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/internal/nacoswire"
)

// What Nacos means by nothing.
const (
	defaultNamespace = "public"
	defaultGroup     = "DEFAULT_GROUP"
	defaultCluster   = "DEFAULT"
)

// Limits of names and values, as the servers have them.
const (
	maxNamespace = 64
	maxGroup     = 128
	maxName      = 512
	maxCluster   = 64
	maxHost      = 128
	maxWeight    = 10000
	maxMetadata  = 16 << 10
)

var (
	namespaceForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	groupForm     = regexp.MustCompile(`^[0-9A-Za-z_:.-]{1,128}$`)
	clusterForm   = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
)

// service names a service as a call does.
type service struct{ namespace, group, name string }

// service returns the service a call is about, checked; the group within the name
// wins over the parameter.
func (c *call) service() (service, error) {
	name, err := c.required("serviceName")
	if err != nil {
		return service{}, err
	}
	s := service{c.or("namespaceId", defaultNamespace), c.or("groupName", defaultGroup), name}
	if group, bare, grouped := strings.Cut(name, "@@"); grouped {
		if group == "" || bare == "" {
			return s, refusePage(http.StatusBadRequest, "Service name filter error,"+
				"Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'")
		}
		s.group, s.name = group, bare
	}
	return s, s.validate()
}

func (s service) validate() error {
	switch {
	case len(s.namespace) > maxNamespace:
		return tooLong("namespaceId/tenant", maxNamespace)
	case len(s.group) > maxGroup:
		return tooLong("group", maxGroup)
	case len(s.name) > maxName:
		return tooLong("serviceName", maxName)
	case !namespaceForm.MatchString(s.namespace):
		return illegalCharacters("namespaceId/tenant")
	case !groupForm.MatchString(s.group):
		return illegalCharacters("group")
	case !utf8.ValidString(s.name), strings.HasPrefix(s.name, "@"), strings.Contains(s.name, "@@"), strings.ContainsFunc(s.name, illegalInName):
		return illegalCharacters("serviceName")
	}
	return nil
}

// illegalInName is what Nacos's parameter check refuses (white space, CJK
// ideographs) and what no name needs (control characters).
func illegalInName(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || r >= 0x4E00 && r <= 0x9FA5
}

// key returns the instance a call is about.
func (c *call) key() (roll.Key, error) {
	s, err := c.service()
	if err != nil {
		return roll.Key{}, err
	}
	ip, err := c.required("ip")
	if err != nil {
		return roll.Key{}, err
	}
	text, err := c.required("port")
	if err != nil {
		return roll.Key{}, err
	}
	if len(ip) > maxHost {
		return roll.Key{}, tooLong("ip", maxHost)
	}
	host, ok := canonicalHost(ip)
	if !ok {
		return roll.Key{}, illegalCharacters("ip")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return roll.Key{}, illegal("port", "the value should be between 0 and 65535.")
	}
	return roll.Key{Namespace: s.namespace, Group: s.group, Service: s.name, Address: host, Port: uint16(port)}, nil
}

// labelForm is one label of a host name.
var labelForm = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?$`)

// canonicalHost returns the canonical text of an IP address, or a host name as
// it is.
func canonicalHost(host string) (string, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), a.Zone() == ""
	}
	if strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":") {
		return "", false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if !labelForm.MatchString(label) {
			return "", false
		}
	}
	return host, true
}

// cluster returns the cluster a call names, empty for none. Python clients send
// the word None for it.
func (c *call) cluster(names ...string) (string, error) {
	v := c.value(names...)
	switch {
	case v == "None" && strings.HasPrefix(c.agent(), "Nacos-Python-Client"):
		return "", nil
	case len(v) > maxCluster:
		return "", tooLong("cluster", maxCluster)
	case v != "" && !clusterForm.MatchString(v):
		return "", refuse(http.StatusBadRequest, "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: %s)", v)
	}
	return v, nil
}

// weightOf reads a weight, nil when there is none.
func weightOf(text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	w, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil, illegal("weight", "the value should be a number.")
	}
	switch {
	case math.IsNaN(w):
		w = 1
	case math.IsInf(w, 1):
		w = maxWeight
	case w < 0 || w > maxWeight:
		return nil, refuse(http.StatusBadRequest, "instance format invalid: The weights range from 0.0 to %d.0", maxWeight)
	}
	return &w, nil
}

// metadataOf reads a JSON object of texts, numbers and booleans, or pairs k=v
// separated by commas. An empty text is nil, an empty object is not.
func metadataOf(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	m, ok := nacoswire.Texts([]byte(text))
	if !ok {
		m = map[string]string{}
		for pair := range strings.SplitSeq(text, ",") {
			k, v, _ := strings.Cut(pair, "=")
			if v == "" || strings.Contains(v, "=") {
				return nil, refuse(http.StatusBadRequest, "metadata format incorrect:%s", text[:min(len(text), 1024)])
			}
			m[k] = v
		}
	}
	for k, v := range m {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, illegal("metadata", "it is not valid UTF-8")
		}
	}
	return m, soundMetadata(m)
}

// soundMetadata refuses what is too long, or asks for times that nobody keeps.
func soundMetadata(m map[string]string) error {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	if n > maxMetadata {
		return tooLong("metadata", maxMetadata)
	}
	return timesOf(m).validate()
}

// Metadata keys by which an instance sets its own times, in milliseconds.
const (
	metaInterval = "preserved.heart.beat.interval"
	metaTimeout  = "preserved.heart.beat.timeout"
	metaDelete   = "preserved.ip.delete.timeout"
)

// times are those by which an instance is judged.
type times struct{ interval, unhealthy, gone time.Duration }

// timesOf reads the three keys; digits only, otherwise the default.
func timesOf(metadata map[string]string) times {
	ms := func(key string, otherwise time.Duration) time.Duration {
		n, err := strconv.ParseUint(metadata[key], 10, 31)
		if err != nil {
			return otherwise
		}
		return time.Duration(n) * time.Millisecond
	}
	return times{ms(metaInterval, 5*time.Second), ms(metaTimeout, 15*time.Second), ms(metaDelete, 30*time.Second)}
}

func (t times) validate() error {
	if t.unhealthy < t.interval || t.gone < t.interval {
		return refuse(http.StatusBadRequest, "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.")
	}
	return nil
}
