package definition

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What names may look like, as everywhere in Muster and in Nacos.
var (
	namespacePattern = regexp.MustCompile(`^[\w-]{1,64}$`)
	groupPattern     = regexp.MustCompile(`^[\w.:-]{1,128}$`)
	clusterPattern   = regexp.MustCompile(`^[0-9a-zA-Z-]{1,64}$`)
)

const (
	maxName     = 512
	maxWeight   = 10000
	maxMetadata = 1024 // entries
	// maxMetadataSize bounds the bytes of keys and values, as servers do.
	maxMetadataSize = 16 << 10
)

// validate returns nil, or what is wrong with which field of s.
func (s Service) validate() *Error {
	fail := func(field, format string, args ...any) *Error {
		return &Error{Field: field, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case s.Name == "":
		return fail("name", "is missing")
	case !ValidName(s.Name):
		return fail("name", "%q is no service name: at most %d bytes, no white space or control characters, no @ at its start and no @@", s.Name, maxName)
	case s.Namespace != "" && !namespacePattern.MatchString(s.Namespace):
		return fail("namespace", "%q is not 1 to 64 letters, digits, _ and -", s.Namespace)
	case s.Group != "" && !groupPattern.MatchString(s.Group):
		return fail("group", "%q is not 1 to 128 letters, digits, _, -, . and :", s.Group)
	case s.Cluster != "" && !clusterPattern.MatchString(s.Cluster):
		return fail("cluster", "%q is not 1 to 64 letters, digits and -", s.Cluster)
	case s.Port == 0:
		return fail("port", "is missing or 0, want 1 to 65535")
	case s.Port < 0 || s.Port > 65535:
		return fail("port", "%d is not within 1 to 65535", s.Port)
	case s.Weight != nil && !(*s.Weight >= 0 && *s.Weight <= maxWeight):
		return fail("weight", "%v is not within 0 to %d", *s.Weight, maxWeight)
	case len(s.Metadata) > maxMetadata:
		return fail("metadata", "has %d entries, at most %d", len(s.Metadata), maxMetadata)
	case size(s.Metadata) > maxMetadataSize:
		return fail("metadata", "has %d bytes, at most %d", size(s.Metadata), maxMetadataSize)
	case len(s.Checks) > MaxChecks:
		return fail("checks", "has %d entries, at most %d", len(s.Checks), MaxChecks)
	}
	if s.Address != "" {
		if err := checkAddress(s.Address); err != nil {
			return fail("address", "%v", err)
		}
	}
	for i, c := range s.Checks {
		if err := c.Validate(); err != nil {
			return fail(fmt.Sprintf("checks[%d]", i), "%v", err)
		}
	}
	return nil
}

// size returns how many bytes the keys and values of metadata have.
func size(metadata map[string]string) (n int) {
	for k, v := range metadata {
		n += len(k) + len(v)
	}
	return n
}

// ValidName reports whether name may be that of a service: 1 to 512 bytes, no
// white space or control characters, no @ at its start and no @@.
func ValidName(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.HasPrefix(name, "@") && !strings.Contains(name, "@@") &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}
