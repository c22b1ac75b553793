package switches

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ValueError refuses a value of an entry.
type ValueError struct{ Entry, Reason string }

func (e *ValueError) Error() string { return fmt.Sprintf("switch %s: %s", e.Entry, e.Reason) }

// Bounds of what an operator may set, so that a slip does not fill the memory.
const (
	maxList = 1000
	maxText = 4096
)

// put changes one entry of a set that is not in force yet.
func (s *Set) put(entry, value string) error {
	set, known := entries[entry]
	if !known {
		entry = shortened(entry)
		return &ValueError{entry, "update entry failed: " + entry + " is not an entry"}
	}
	value = strings.TrimSpace(value)
	if len(value) > maxText {
		return &ValueError{entry, "the value is longer than 4096 bytes"}
	}
	if err := set(s, value); err != nil {
		return &ValueError{entry, err.Error()}
	}
	return nil
}

func shortened(s string) string { return s[:min(len(s), 64)] }

// entries are what may be put, by name.
var entries = map[string]func(*Set, string) error{
	"distroThreshold":        fraction(func(s *Set) *float64 { return &s.DistroThreshold }),
	"clientBeatInterval":     millis(1, func(s *Set) *int64 { return &s.ClientBeatInterval }),
	"pushVersion":            (*Set).putVersion,
	"pushCacheMillis":        millis(10000, func(s *Set) *int64 { return &s.DefaultPushCacheMillis }),
	"defaultPushCacheMillis": millis(10000, func(s *Set) *int64 { return &s.DefaultPushCacheMillis }),
	"defaultCacheMillis":     millis(1000, func(s *Set) *int64 { return &s.DefaultCacheMillis }),
	"masters":                list(func(s *Set) *[]string { return &s.Masters }),
	"distro":                 flag(func(s *Set) *bool { return &s.DistroEnabled }),
	"check":                  flag(func(s *Set) *bool { return &s.HealthCheckEnabled }),
	"healthCheckEnabled":     flag(func(s *Set) *bool { return &s.HealthCheckEnabled }),
	"pushEnabled":            flag(func(s *Set) *bool { return &s.PushEnabled }),
	"serviceStatusSynchronizationPeriodMillis": millis(5000, func(s *Set) *int64 { return &s.ServiceStatusSynchronizationPeriodMs }),
	"serverStatusSynchronizationPeriodMillis":  millis(1000, func(s *Set) *int64 { return &s.ServerStatusSynchronizationPeriodMs }),
	"healthCheckTimes":                         times,
	"disableAddIP":                             flag(func(s *Set) *bool { return &s.DisableAddIP }),
	"sendBeatOnly":                             flag(func(s *Set) *bool { return &s.SendBeatOnly }),
	"limitedUrlMap":                            (*Set).putLimits,
	"overriddenServerStatus":                   (*Set).putStatus,
	"defaultInstanceEphemeral":                 flag(func(s *Set) *bool { return &s.DefaultInstanceEphemeral }),
	"distroServerExpiredMillis":                millis(1, func(s *Set) *int64 { return &s.DistroServerExpiredMillis }),
	"lightBeatEnabled":                         flag(func(s *Set) *bool { return &s.LightBeatEnabled }),
	"autoChangeHealthCheckEnabled":             flag(func(s *Set) *bool { return &s.AutoChangeHealthCheckEnabled }),
	"httpHealthParams":                         params(func(s *Set) *Params { return &s.HTTPHealthParams }),
	"tcpHealthParams":                          params(func(s *Set) *Params { return &s.TCPHealthParams }),
	"mysqlHealthParams":                        params(func(s *Set) *Params { return &s.MySQLHealthParams }),
}

func flag(at func(*Set) *bool) func(*Set, string) error {
	return func(s *Set, value string) error {
		switch strings.ToLower(value) {
		case "true":
			*at(s) = true
		case "false":
			*at(s) = false
		default:
			return fmt.Errorf("the value should be true or false")
		}
		return nil
	}
}

func millis(least int64, at func(*Set) *int64) func(*Set, string) error {
	return func(s *Set, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n > math.MaxInt32 {
			return fmt.Errorf("the value should be a number of milliseconds")
		}
		if n < least {
			return fmt.Errorf("the value should not be less than %d", least)
		}
		*at(s) = n
		return nil
	}
}

func fraction(at func(*Set) *float64) func(*Set, string) error {
	return func(s *Set, value string) error {
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || !(f > 0) || math.IsInf(f, 0) {
			return fmt.Errorf("the value should be a number above 0")
		}
		*at(s) = f
		return nil
	}
}

func times(s *Set, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100 {
		return fmt.Errorf("the value should be a number from 1 to 100")
	}
	s.CheckTimes = n
	return nil
}

func list(at func(*Set) *[]string) func(*Set, string) error {
	return func(s *Set, value string) error {
		all := []string{}
		for one := range strings.SplitSeq(value, ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, one)
			}
		}
		*at(s) = all
		return nil
	}
}

func params(at func(*Set) *Params) func(*Set, string) error {
	return func(s *Set, value string) error {
		p := *at(s)
		if err := json.Unmarshal([]byte(value), &p); err != nil {
			return fmt.Errorf(`the value should be JSON such as {"max":5000,"min":500,"factor":0.85}`)
		}
		switch {
		case p.Min < 500:
			return fmt.Errorf("min should not be less than 500")
		case p.Max < 3000 || p.Max > math.MaxInt32:
			return fmt.Errorf("max should not be less than 3000")
		case !(p.Factor >= 0 && p.Factor <= 1):
			return fmt.Errorf("malformed factor, it should be between 0 and 1")
		}
		*at(s) = p
		return nil
	}
}

// putVersion reads client:version, such as java:1.0.0.
func (s *Set) putVersion(value string) error {
	client, version, found := strings.Cut(value, ":")
	if !found || !isVersion(version) {
		return fmt.Errorf("illegal version, must match: (java|go|python|c|csharp):x.y.z")
	}
	at := map[string]*string{"java": &s.PushJavaVersion, "go": &s.PushGoVersion, "python": &s.PushPythonVersion,
		"c": &s.PushCVersion, "csharp": &s.PushCSharpVersion}[strings.ToLower(client)]
	if at == nil {
		return fmt.Errorf("unsupported client type: %s", shortened(client))
	}
	*at = version
	return nil
}

func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || strconv.Itoa(n) != p {
			return false
		}
	}
	return len(parts) == 3
}

// putLimits reads the beginnings of paths with the status that calls of them get,
// such as /nacos/v1:502; an empty value ends all limits.
func (s *Set) putLimits(value string) error {
	limits := map[string]int{}
	for one := range strings.SplitSeq(value, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		at := strings.LastIndexByte(one, ':')
		if at < 0 {
			return fmt.Errorf("the value should be a list such as /nacos/v1:502")
		}
		prefix := strings.TrimSpace(one[:at])
		status, err := strconv.Atoi(strings.TrimSpace(one[at+1:]))
		if err != nil || status < 200 || status > 599 || !strings.HasPrefix(prefix, "/") {
			return fmt.Errorf("the value should be a list such as /nacos/v1:502")
		}
		if limits[prefix] = status; len(limits) > maxList {
			return fmt.Errorf("the list is longer than %d", maxList)
		}
	}
	s.LimitedURLMap = limits
	return nil
}

func (s *Set) putStatus(value string) error {
	switch v := strings.ToUpper(value); v {
	case "", "NULL":
		s.OverriddenServerStatus = nil
	case "UP", "DOWN", "READ_ONLY", "WRITE_ONLY", "STARTING", "PAUSED":
		s.OverriddenServerStatus = &v
	default:
		return fmt.Errorf("the value should be UP, DOWN, READ_ONLY, WRITE_ONLY or null")
	}
	return nil
}

// Limited returns the status that a call of a path gets, 0 when it is not
// limited. The longest beginning that is listed decides.
func (s *Set) Limited(path string) int {
	longest, found := -1, 0
	for prefix, status := range s.LimitedURLMap {
		if strings.HasPrefix(path, prefix) && len(prefix) > longest {
			longest, found = len(prefix), status
		}
	}
	return found
}
