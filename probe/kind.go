package probe

import (
	"cmp"
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
	ofHost   bool // it is about what runs on this host
}

// tlsSettings go with every kind that can speak TLS.
var tlsSettings = []string{"tls_skip_verify", "tls_server_name", "tls_ca_file", "tls_cert_file", "tls_key_file"}

var kinds = []kind{
	{"tcp", func(c Check) string { return c.TCP }, append([]string{"tls"}, tlsSettings...), newTCP, false},
	{"udp", func(c Check) string { return c.UDP }, []string{"payload", "payload_hex", "contains", "matches", "expect_answer"}, newUDP, false},
	{"http", func(c Check) string { return c.HTTP },
		append([]string{"method", "headers", "expect", "payload", "payload_hex", "contains", "matches"}, tlsSettings...), newHTTP, false},
	{"mysql", func(c Check) string { return c.MySQL }, []string{"user", "password", "command"}, newMySQL, false},
	{"redis", func(c Check) string { return c.Redis }, append([]string{"user", "password", "tls"}, tlsSettings...), newRedis, false},
	{"grpc", func(c Check) string { return c.GRPC }, append([]string{"grpc_service", "tls"}, tlsSettings...), newGRPC, false},
	{"exec", func(c Check) string { return first(c.Exec) }, nil, newExec, true},
	{"ttl", func(c Check) string { return shown(c.TTL) }, nil, newTTL, true},
	{"process", func(c Check) string { return cmp.Or(c.Process, c.PIDFile) }, []string{"pid_file"}, newProcess, true},
	{"systemd", func(c Check) string { return c.Systemd }, nil, newSystemd, true},
}

// first returns the first word of a command, which alone is shown of it: the
// others may be secret.
func first(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}

func shown(d Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
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
		if c.Exec != nil {
			return kind{}, fmt.Errorf("%w: exec names no program", ErrInvalid)
		}
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
		{"tls_server_name", c.TLSServerName != ""},
		{"tls_ca_file", c.TLSCAFile != ""},
		{"tls_cert_file", c.TLSCertFile != ""},
		{"tls_key_file", c.TLSKeyFile != ""},
		{"payload", c.Payload != ""},
		{"payload_hex", c.PayloadHex != ""},
		{"contains", c.Contains != ""},
		{"matches", c.Matches != ""},
		{"expect_answer", c.ExpectAnswer},
		{"pid_file", c.PIDFile != ""},
		{"exec", c.Exec != nil && first(c.Exec) == ""},
		{"interval", c.TTL != 0 && c.Interval != 0},
		{"timeout", c.TTL != 0 && c.Timeout != 0},
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
