// Package probe checks from outside whether something is healthy.
//
// A Check describes what to try and how often, a Prober tries it once, a Tally
// turns single results into a verdict that does not flap, and a Loop runs all
// of it. A further kind of check is one more entry in kinds and a field of
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

	// Method of an HTTP check; empty means GET.
	Method string `json:"method,omitempty" yaml:"method,omitempty"`
	// Headers to send with an HTTP check. Host sets the host asked for.
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	// Expect lists the status codes that pass; empty means every 2xx.
	// Redirects are not followed: a redirect passes only when it is listed.
	Expect []int `json:"expect,omitempty" yaml:"expect,omitempty"`
	// TLSSkipVerify accepts any certificate of an https URL.
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

// kind is one way of checking: the text that chooses it, and how its Prober is
// made once the rest of the Check is known to be sound.
type kind struct {
	name   string
	target func(Check) string
	prober func(Check) (Prober, error)
}

var kinds = []kind{
	{"tcp", func(c Check) string { return c.TCP }, newTCP},
	{"http", func(c Check) string { return c.HTTP }, newHTTP},
}

// kind returns the one kind that is set.
func (c Check) kind() (kind, error) {
	var found []kind
	for _, k := range kinds {
		if k.target(c) != "" {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return kind{}, fmt.Errorf("%w: neither tcp nor http is set", ErrInvalid)
	case 1:
		return found[0], nil
	}
	return kind{}, fmt.Errorf("%w: both %s and %s are set, one check has one kind", ErrInvalid, found[0].name, found[1].name)
}

// String returns the kind and the target, such as "tcp 192.0.2.1:80".
func (c Check) String() string {
	k, err := c.kind()
	if err != nil {
		return err.Error()
	}
	return k.name + " " + k.target(c)
}

// Validate returns nil when the check can be run, and otherwise an error that
// unwraps to ErrInvalid and names what is wrong.
func (c Check) Validate() error {
	_, err := c.Prober()
	return err
}

// Prober returns what tries this check once. It fails as Validate does.
func (c Check) Prober() (Prober, error) {
	k, err := c.kind()
	if err != nil {
		return nil, err
	}
	if err := c.validateTiming(); err != nil {
		return nil, err
	}
	p, err := k.prober(c)
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
