package registry

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckKind is how a server-side check asks.
type CheckKind string

// The kinds of server-side checks.
const (
	CheckNone  CheckKind = "none" // nobody asks: the health is what is declared, or the operator's say
	CheckTCP   CheckKind = "tcp"
	CheckHTTP  CheckKind = "http"
	CheckMySQL CheckKind = "mysql"
	CheckRedis CheckKind = "redis"
	CheckGRPC  CheckKind = "grpc"
)

// HealthCheck says how the servers find out whether a persistent instance works.
type HealthCheck struct {
	Kind CheckKind `json:"kind"`
	Port uint16    `json:"port,omitempty"` // 0: that of the instance

	Path    string            `json:"path,omitempty"` // of http
	Headers map[string]string `json:"headers,omitempty"`
	Expect  []int             `json:"expect,omitempty"` // statuses that pass; none: 200 to 299

	User     string `json:"user,omitempty"`     // of mysql and redis
	Password string `json:"password,omitempty"` // never shown to anybody
	Command  string `json:"command,omitempty"`  // of mysql; empty: select 1
	Service  string `json:"service,omitempty"`  // of grpc; empty: the server as a whole

	TLS      bool          `json:"tls,omitempty"`      // of http, redis and grpc; the certificate is not verified, as instances are addresses
	Interval time.Duration `json:"interval,omitempty"` // between two tries; 0: DefaultCheckInterval
	Timeout  time.Duration `json:"timeout,omitempty"`  // of one try; 0: DefaultCheckTimeout, at most the interval
	Rise     int           `json:"rise,omitempty"`     // successes in a row until healthy; 0: DefaultCheckTimes
	Fall     int           `json:"fall,omitempty"`     // failures in a row until unhealthy; 0: DefaultCheckTimes
}

// What a check does unless it says otherwise.
const (
	DefaultCheckInterval = 5 * time.Second
	DefaultCheckTimeout  = 2 * time.Second
	DefaultCheckTimes    = 3 // as in Nacos
)

// Limits of what a check may say.
const (
	minCheckInterval = time.Second
	maxCheckInterval = time.Hour
	maxCheckTimes    = 100
	maxCheckText     = 2 << 10 // of each text
	maxCheckCommand  = 1 << 10
	maxCheckHeaders  = 32
	maxCheckExpect   = 64
)

// tcpCheck is run for an instance that asks for the default.
var tcpCheck = &HealthCheck{Kind: CheckTCP}

// WithDefaults returns the check with every time and count filled in.
func (c HealthCheck) WithDefaults() HealthCheck {
	if c.Interval == 0 {
		c.Interval = DefaultCheckInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(DefaultCheckTimeout, c.Interval)
	}
	if c.Rise == 0 {
		c.Rise = DefaultCheckTimes
	}
	if c.Fall == 0 {
		c.Fall = DefaultCheckTimes
	}
	return c
}

// ID stands for what the check asks, however often: a verdict counts for as long as
// the check of its instance asks the same.
func (c *HealthCheck) ID() string {
	asks := *c
	asks.Interval, asks.Timeout, asks.Rise, asks.Fall = 0, 0, 0, 0
	sum := fnv.New64a()
	sum.Write(asks.text())
	return string(c.Kind) + ":" + strconv.FormatUint(sum.Sum64(), 36)
}

// text is the same for checks that are, and for no others.
func (c *HealthCheck) text() []byte {
	text, _ := json.Marshal(c) // texts, numbers and a map of texts: it cannot fail
	return text
}

// Equal reports whether two checks are the same in all.
func (c *HealthCheck) Equal(o *HealthCheck) bool {
	return c == o || c != nil && o != nil && bytes.Equal(c.text(), o.text())
}

// Validate returns an [*InvalidError] for a check that cannot be run.
func (c *HealthCheck) Validate() error {
	if err := c.validateKind(); err != nil {
		return err
	}
	for name, text := range map[string]string{"path": c.Path, "user": c.User, "password": c.Password, "command": c.Command, "service": c.Service} {
		if len(text) > maxCheckText {
			return invalid("check", name, "is longer than 2048 bytes")
		}
	}
	if len(c.Command) > maxCheckCommand {
		return invalid("check", "command", "is longer than 1024 bytes")
	}
	if len(c.Headers) > maxCheckHeaders || len(c.Expect) > maxCheckExpect {
		return invalid("check", "headers and expect", "are more than 32 headers or 64 statuses")
	}
	for name, value := range c.Headers {
		if !isHeaderName(name) || len(name)+len(value) > maxCheckText || strings.ContainsFunc(value, isControl) {
			return invalid("check", name, "is no header that can be sent")
		}
	}
	for _, status := range c.Expect {
		if status < 100 || status > 599 {
			return invalid("check", strconv.Itoa(status), "is no HTTP status")
		}
	}
	switch {
	case c.Interval != 0 && (c.Interval < minCheckInterval || c.Interval > maxCheckInterval):
		return invalid("check", c.Interval.String(), "is no interval from 1s to 1h")
	case c.Timeout < 0 || c.Timeout > c.WithDefaults().Interval:
		return invalid("check", c.Timeout.String(), "is no timeout up to the interval")
	case c.Rise < 0 || c.Rise > maxCheckTimes || c.Fall < 0 || c.Fall > maxCheckTimes:
		return invalid("check", strconv.Itoa(c.Rise)+"/"+strconv.Itoa(c.Fall), "are no rise and fall from 1 to 100")
	}
	return nil
}

// validateKind checks that nothing is said that the kind does not know.
func (c *HealthCheck) validateKind() error {
	may := map[CheckKind]string{
		CheckNone: "", CheckTCP: "", CheckHTTP: "path headers expect tls", CheckMySQL: "user password command",
		CheckRedis: "user password tls", CheckGRPC: "service tls",
	}
	allowed, known := may[c.Kind]
	if !known {
		return invalid("check", string(c.Kind), "is none of none, tcp, http, mysql, redis and grpc")
	}
	for name, said := range map[string]bool{
		"path": c.Path != "", "headers": len(c.Headers) > 0, "expect": len(c.Expect) > 0, "tls": c.TLS, "user": c.User != "",
		"password": c.Password != "", "command": c.Command != "", "service": c.Service != "",
	} {
		if said && !slices.Contains(strings.Fields(allowed), name) {
			return invalid("check", name, "does not belong to a check of kind "+string(c.Kind))
		}
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		return invalid("check", c.Path, "is a path that does not begin with /")
	}
	if _, err := url.Parse("http://host" + c.Path); err != nil {
		return invalid("check", c.Path, "is no path of a URL")
	}
	return nil
}

// isHeaderName reports whether s may be the name of a header (RFC 9110, 5.6.2).
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// isControl reports whether r may not stand in the value of a header.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// Check returns how the servers find out whether an instance works, nil when
// they do not: it lives by beats, or nobody asks for it.
func (s *Service) Check(i *Instance) *HealthCheck {
	if i.Ephemeral() {
		return nil
	}
	check := s.Clusters[i.Cluster].Check
	if check == nil && i.Checked {
		check = tcpCheck
	}
	if check == nil || check.Kind == CheckNone {
		return nil
	}
	return check
}
