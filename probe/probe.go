// Package probe checks from outside whether something is healthy.
//
// A Check describes what to try and how often, a Prober tries it once, a Tally
// turns single results into a verdict that does not flap, and a Runner does that
// with many checks, each a Loop. A Guard keeps the checks of others off what they must not reach. What
// answers may be anything: every try is bounded in time and in what it reads. A
// further kind of check is one more entry in kinds and a field of
// Check that chooses it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Defaults and bounds of a Check.
const (
	DefaultInterval = 5 * time.Second
	// MaxDefaultTimeout caps the timeout of a check that names none; a shorter
	// interval lowers it further.
	MaxDefaultTimeout = 3 * time.Second
	MinInterval       = 10 * time.Millisecond
	MaxThreshold      = 1000
)

// ErrInvalid is what every error about a Check's definition unwraps to.
var ErrInvalid = errors.New("invalid check")

// Prober tries once. Probe returns nil when what it looks at is healthy, and
// otherwise an error that says what was wrong; it gives up when ctx ends.
type Prober interface {
	Probe(ctx context.Context) error
}

// Check is the definition of one health check. Exactly one kind is set.
type Check struct {
	// TCP is the host:port to which a connection must open.
	TCP string `json:"tcp,omitempty" yaml:"tcp,omitempty"`
	// HTTP is the http or https URL that must answer as expected.
	HTTP string `json:"http,omitempty" yaml:"http,omitempty"`
	// MySQL is the host:port of a MySQL or MariaDB server that must take a
	// command.
	MySQL string `json:"mysql,omitempty" yaml:"mysql,omitempty"`
	// Redis is the host:port of a Redis server that must answer a PING.
	Redis string `json:"redis,omitempty" yaml:"redis,omitempty"`
	// GRPC is the host:port of a gRPC server whose health service must say
	// that it is serving.
	GRPC string `json:"grpc,omitempty" yaml:"grpc,omitempty"`
	// UDP is the host:port that must not refuse a datagram, and where something
	// is expected must answer it.
	UDP string `json:"udp,omitempty" yaml:"udp,omitempty"`
	// Exec is a program of this host and its arguments, without a shell, that
	// must exit with 0.
	Exec []string `json:"exec,omitempty" yaml:"exec,omitempty"`
	// TTL is within what time word must come from outside that all is well: a
	// Loop of a Runner is told, and there is no Prober.
	TTL Duration `json:"ttl,omitzero" yaml:"ttl,omitempty"`
	// Process is the name, or the path, of a program that must run on this host.
	// PIDFile is a file that holds the id of a process that must; with both, it
	// must be of that program.
	Process string `json:"process,omitempty" yaml:"process,omitempty"`
	PIDFile string `json:"pid_file,omitempty" yaml:"pid_file,omitempty"`
	// Systemd is the unit of this host's systemd that must be active.
	Systemd string `json:"systemd,omitempty" yaml:"systemd,omitempty"`

	// Name tells the checks of an instance apart for whoever reads of them, or
	// tells one; empty means that none is needed.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`

	// Method of an HTTP check; empty means GET.
	Method string `json:"method,omitempty" yaml:"method,omitempty"`
	// Headers to send with an HTTP check. Host sets the host asked for.
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	// Expect lists the status codes that pass; empty means every 2xx.
	// Redirects are not followed: a redirect passes only when it is listed.
	Expect []int `json:"expect,omitempty" yaml:"expect,omitempty"`
	// Payload is the body of an HTTP request, or the datagram of UDP; for UDP
	// empty means DefaultPayload. PayloadHex is the same in hexadecimal digits.
	Payload    string `json:"payload,omitempty" yaml:"payload,omitempty"`
	PayloadHex string `json:"payload_hex,omitempty" yaml:"payload_hex,omitempty"`
	// Contains is text, and Matches a regular expression in the syntax of package
	// regexp, that an answer must hold: the body of HTTP, of which no more than
	// 256 KiB is looked at, or the first datagram of UDP.
	Contains string `json:"contains,omitempty" yaml:"contains,omitempty"`
	Matches  string `json:"matches,omitempty" yaml:"matches,omitempty"`
	// ExpectAnswer makes the silence of UDP a failure, which else passes.
	// Contains and Matches do so too.
	ExpectAnswer bool `json:"expect_answer,omitempty" yaml:"expect_answer,omitempty"`
	// User and Password of MySQL and Redis; empty means none.
	User     string `json:"user,omitempty" yaml:"user,omitempty"`
	Password Secret `json:"password,omitempty" yaml:"password,omitempty"`
	// Command is what MySQL must take; empty means DefaultCommand. One that
	// asks for the variable read_only fails while that is on.
	Command string `json:"command,omitempty" yaml:"command,omitempty"`
	// GRPCService is the service whose health is asked for; empty means that
	// of the whole server.
	GRPCService string `json:"grpc_service,omitempty" yaml:"grpc_service,omitempty"`
	// TLS is spoken with a Redis or gRPC server, or a TCP port.
	TLS bool `json:"tls,omitempty" yaml:"tls,omitempty"`
	// TLSSkipVerify accepts any certificate, of an https URL too.
	TLSSkipVerify bool `json:"tls_skip_verify,omitempty" yaml:"tls_skip_verify,omitempty"`
	// TLSServerName is the name that the certificate must be for, and that is
	// asked for; empty means the host of the target.
	TLSServerName string `json:"tls_server_name,omitempty" yaml:"tls_server_name,omitempty"`
	// TLSCAFile holds the authorities that the certificate must be of, in PEM;
	// empty means those of the host. It is read again when it changes, as are
	// TLSCertFile and TLSKeyFile: a certificate of the check's own.
	TLSCAFile   string `json:"tls_ca_file,omitempty" yaml:"tls_ca_file,omitempty"`
	TLSCertFile string `json:"tls_cert_file,omitempty" yaml:"tls_cert_file,omitempty"`
	TLSKeyFile  string `json:"tls_key_file,omitempty" yaml:"tls_key_file,omitempty"`

	// Interval between the starts of two tries; 0 means DefaultInterval.
	Interval Duration `json:"interval,omitzero" yaml:"interval,omitempty"`
	// Timeout of one try; 0 means the interval, at most MaxDefaultTimeout.
	Timeout Duration `json:"timeout,omitzero" yaml:"timeout,omitempty"`
	// Rise is how many successes in a row make it healthy; 0 means 1.
	Rise int `json:"rise,omitempty" yaml:"rise,omitempty"`
	// Fall is how many failures in a row make it unhealthy; 0 means 1.
	Fall int `json:"fall,omitempty" yaml:"fall,omitempty"`
	// NoDamping lets the verdict change as often as it will: see Tally.Damp.
	NoDamping bool `json:"no_damping,omitempty" yaml:"no_damping,omitempty"`
	// DeregisterAfter is how long a check must have been Critical for its
	// instance to be withdrawn; 0 means never.
	DeregisterAfter Duration `json:"deregister_after,omitzero" yaml:"deregister_after,omitempty"`
}

// Validate returns nil when the check can be run, and otherwise an error that
// unwraps to ErrInvalid and names what is wrong.
func (c Check) Validate() error {
	_, err := c.prober(nil)
	return err
}

// Prober returns what tries this check once, wherever that leads. It fails as
// Validate does, and for a ttl check. It holds neither connections nor
// goroutines between tries.
func (c Check) Prober() (Prober, error) {
	p, err := c.prober(nil)
	if err == nil && p == nil {
		err = fmt.Errorf("%w: ttl: nothing can be tried, a Runner is told", ErrInvalid)
	}
	return p, err
}

// Guarded is Prober for checks that others define: nothing is reached that g
// refuses, and nothing of this host is looked at, nor run.
func (c Check) Guarded(g *Guard) (Prober, error) {
	k, err := c.kind()
	if err != nil {
		return nil, err
	}
	field := c.LocalField()
	if field == "" && k.ofHost {
		field = k.name
	}
	if field != "" {
		return nil, fmt.Errorf("%w: %s: a check that others define has none of this", ErrInvalid, field)
	}
	return c.prober(g)
}

// LocalField returns the key of a setting that names a program to run or a file
// to read: it is for definitions that come from files of the host alone. It
// returns "" when none is set.
func (c Check) LocalField() string {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"exec", c.Exec != nil},
		{"pid_file", c.PIDFile != ""},
		{"tls_ca_file", c.TLSCAFile != ""},
		{"tls_cert_file", c.TLSCertFile != ""},
		{"tls_key_file", c.TLSKeyFile != ""},
	} {
		if f.set {
			return f.name
		}
	}
	return ""
}

// prober returns nil without an error for a ttl check.
func (c Check) prober(g *Guard) (Prober, error) {
	k, err := c.kind()
	if err != nil {
		return nil, err
	}
	if err := c.validateTiming(); err != nil {
		return nil, err
	}
	if err := c.validateSettings(k); err != nil {
		return nil, err
	}
	if c.Name != "" && !namePattern.MatchString(c.Name) {
		return nil, fmt.Errorf("%w: name %q is not 1 to 64 letters, digits, spaces and ._:/-, a letter or digit first", ErrInvalid, c.Name)
	}
	p, err := k.prober(c, g)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, k.name, err)
	}
	return p, nil
}

var namePattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z ._:/-]{0,63}$`)

func (c Check) validateTiming() error {
	if c.Interval != 0 && time.Duration(c.Interval) < MinInterval {
		return fmt.Errorf("%w: interval %v is below %v", ErrInvalid, c.Interval, MinInterval)
	}
	for _, d := range []struct {
		name  string
		value Duration
	}{{"timeout", c.Timeout}, {"ttl", c.TTL}, {"deregister_after", c.DeregisterAfter}} {
		if d.value < 0 {
			return fmt.Errorf("%w: %s %v is negative", ErrInvalid, d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"rise", c.Rise}, {"fall", c.Fall}} {
		if n.value < 0 || n.value > MaxThreshold {
			return fmt.Errorf("%w: %s %d is not within 0 to %d", ErrInvalid, n.name, n.value, MaxThreshold)
		}
	}
	return nil
}
