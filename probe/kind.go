package probe

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// kind is one way of checking: the text that chooses it, the settings that go
// with it beside those of all, and how its Prober is made once the rest of the
// Check is known to be sound.
type kind struct {
	name     string
	target   func(Check) string
	settings []string
	prober   func(Check, *Guard) (Prober, error)
}

var kinds = []kind{
	{"tcp", func(c Check) string { return c.TCP }, nil, newTCP},
	{"http", func(c Check) string { return c.HTTP }, []string{"method", "headers", "expect", "tls_skip_verify"}, newHTTP},
	{"mysql", func(c Check) string { return c.MySQL }, []string{"user", "password", "command"}, newMySQL},
	{"redis", func(c Check) string { return c.Redis }, []string{"user", "password", "tls", "tls_skip_verify"}, newRedis},
	{"grpc", func(c Check) string { return c.GRPC }, []string{"grpc_service", "tls", "tls_skip_verify"}, newGRPC},
}

// kind returns the one kind that is set.
func (c Check) kind() (kind, error) {
	var found []kind
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
		if k.target(c) != "" {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return kind{}, fmt.Errorf("%w: none of %s is set", ErrInvalid, strings.Join(names, ", "))
	case 1:
		return found[0], nil
	}
	return kind{}, fmt.Errorf("%w: both %s and %s are set, one check has one kind", ErrInvalid, found[0].name, found[1].name)
}

// validateSettings refuses those that would do nothing.
func (c Check) validateSettings(k kind) error {
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"method", c.Method != ""},
		{"headers", len(c.Headers) > 0},
		{"expect", len(c.Expect) > 0},
		{"user", c.User != ""},
		{"password", c.Password != ""},
		{"command", c.Command != ""},
		{"grpc_service", c.GRPCService != ""},
		{"tls", c.TLS},
		{"tls_skip_verify", c.TLSSkipVerify},
	} {
		if s.set && !slices.Contains(k.settings, s.name) {
			return fmt.Errorf("%w: %s does not go with %s", ErrInvalid, s.name, k.name)
		}
	}
	return nil
}

// String returns the kind and the target, such as "tcp 192.0.2.1:80".
func (c Check) String() string {
	k, err := c.kind()
	if err != nil {
		return err.Error()
	}
	return k.name + " " + withoutPassword(k.target(c))
}

// GoString and LogValue are String, for what a check sends may be secret.
func (c Check) GoString() string { return c.String() }

// LogValue is String.
func (c Check) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Secret is text that is not shown. Its JSON and YAML are the text itself, for
// whoever keeps a Check.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
