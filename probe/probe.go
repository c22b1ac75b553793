// Package probe checks from outside whether something is healthy.
//
// A Check describes what to try and how often, a Prober tries it once, a Tally
// turns single results into a verdict that does not flap, and a Loop runs all
// of it. A Guard keeps the checks of others off what they must not reach. What
// answers may be anything: every try is bounded in time and in what it reads. A
// further kind of check is one more entry in kinds and a field of
// Check that chooses it.
package probe

import (
	"context"
	"errors"
	"fmt"
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

	// Method of an HTTP check; empty means GET.
	Method string `json:"method,omitempty" yaml:"method,omitempty"`
	// Headers to send with an HTTP check. Host sets the host asked for.
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	// Expect lists the status codes that pass; empty means every 2xx.
	// Redirects are not followed: a redirect passes only when it is listed.
	Expect []int `json:"expect,omitempty" yaml:"expect,omitempty"`
	// User and Password of MySQL and Redis; empty means none.
	User     string `json:"user,omitempty" yaml:"user,omitempty"`
	Password Secret `json:"password,omitempty" yaml:"password,omitempty"`
	// Command is what MySQL must take; empty means DefaultCommand. One that
	// asks for the variable read_only fails while that is on.
	Command string `json:"command,omitempty" yaml:"command,omitempty"`
	// GRPCService is the service whose health is asked for; empty means that
	// of the whole server.
	GRPCService string `json:"grpc_service,omitempty" yaml:"grpc_service,omitempty"`
	// TLS is spoken with a Redis or gRPC server.
	TLS bool `json:"tls,omitempty" yaml:"tls,omitempty"`
	// TLSSkipVerify accepts any certificate, of an https URL too.
	TLSSkipVerify bool `json:"tls_skip_verify,omitempty" yaml:"tls_skip_verify,omitempty"`

	// Interval between the starts of two tries; 0 means DefaultInterval.
	Interval Duration `json:"interval,omitzero" yaml:"interval,omitempty"`
	// Timeout of one try; 0 means the interval, at most MaxDefaultTimeout.
	Timeout Duration `json:"timeout,omitzero" yaml:"timeout,omitempty"`
	// Rise is how many successes in a row make it healthy; 0 means 1.
	Rise int `json:"rise,omitempty" yaml:"rise,omitempty"`
	// Fall is how many failures in a row make it unhealthy; 0 means 1.
	Fall int `json:"fall,omitempty" yaml:"fall,omitempty"`
}

// Validate returns nil when the check can be run, and otherwise an error that
// unwraps to ErrInvalid and names what is wrong.
func (c Check) Validate() error {
	_, err := c.Prober()
	return err
}

// Prober returns what tries this check once, wherever that leads. It fails as
// Validate does. It holds neither connections nor goroutines between tries.
func (c Check) Prober() (Prober, error) { return c.Guarded(nil) }

// Guarded is Prober for checks that others define: nothing is reached that g
// refuses.
func (c Check) Guarded(g *Guard) (Prober, error) {
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
	p, err := k.prober(c, g)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, k.name, err)
	}
	return p, nil
}

func (c Check) validateTiming() error {
	if c.Interval != 0 && time.Duration(c.Interval) < MinInterval {
		return fmt.Errorf("%w: interval %v is below %v", ErrInvalid, c.Interval, MinInterval)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("%w: timeout %v is negative", ErrInvalid, c.Timeout)
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
