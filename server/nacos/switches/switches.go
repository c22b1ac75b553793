// Package switches holds what an operator of the Nacos world turns on and off.
//
// A [Set] is all switches at one moment, as the API shows it. A [Board] has the
// set in force at this server: the defaults, over them what all servers share, and
// over that what is set at this one alone, until it stops.
package switches

import (
	"encoding/json"
)

// Params are the bounds that Nacos adapts the time between two checks within.
type Params struct {
	Max    int     `json:"max"` // milliseconds
	Min    int     `json:"min"`
	Factor float64 `json:"factor"`
}

// Set is every switch by the name the API shows it under. It is never modified
// once it is in force. What a comment calls shown has no effect here.
type Set struct {
	Name                                 string         `json:"name"`
	Masters                              []string       `json:"masters"`     // shown
	AdWeightMap                          map[string]int `json:"adWeightMap"` // shown
	DefaultPushCacheMillis               int64          `json:"defaultPushCacheMillis"`
	ClientBeatInterval                   int64          `json:"clientBeatInterval"` // milliseconds
	DefaultCacheMillis                   int64          `json:"defaultCacheMillis"`
	DistroThreshold                      float64        `json:"distroThreshold"` // shown
	HealthCheckEnabled                   bool           `json:"healthCheckEnabled"`
	AutoChangeHealthCheckEnabled         bool           `json:"autoChangeHealthCheckEnabled"` // shown
	DistroEnabled                        bool           `json:"distroEnabled"`                // shown
	EnableStandalone                     bool           `json:"enableStandalone"`             // shown
	PushEnabled                          bool           `json:"pushEnabled"`
	CheckTimes                           int            `json:"checkTimes"`
	HTTPHealthParams                     Params         `json:"httpHealthParams"`
	TCPHealthParams                      Params         `json:"tcpHealthParams"`
	MySQLHealthParams                    Params         `json:"mysqlHealthParams"`
	IncrementalList                      []string       `json:"incrementalList"`                         // shown
	ServerStatusSynchronizationPeriodMs  int64          `json:"serverStatusSynchronizationPeriodMillis"` // shown
	ServiceStatusSynchronizationPeriodMs int64          `json:"serviceStatusSynchronizationPeriodMillis"`
	DisableAddIP                         bool           `json:"disableAddIP"` // shown
	SendBeatOnly                         bool           `json:"sendBeatOnly"` // shown
	LightBeatEnabled                     bool           `json:"lightBeatEnabled"`
	LimitedURLMap                        map[string]int `json:"limitedUrlMap"`             // status by the path's beginning
	DistroServerExpiredMillis            int64          `json:"distroServerExpiredMillis"` // shown
	PushGoVersion                        string         `json:"pushGoVersion"`
	PushJavaVersion                      string         `json:"pushJavaVersion"`
	PushPythonVersion                    string         `json:"pushPythonVersion"`
	PushCVersion                         string         `json:"pushCVersion"`
	PushCSharpVersion                    string         `json:"pushCSharpVersion"`
	EnableAuthentication                 bool           `json:"enableAuthentication"`   // shown
	OverriddenServerStatus               *string        `json:"overriddenServerStatus"` // nil: what the server is
	DefaultInstanceEphemeral             bool           `json:"defaultInstanceEphemeral"`
	HealthCheckWhiteList                 []string       `json:"healthCheckWhiteList"` // shown
	Checksum                             *string        `json:"checksum"`             // shown
}

// Default returns the set that is in force until an operator says otherwise.
func Default() *Set {
	return &Set{
		Name:                                 "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00",
		AdWeightMap:                          map[string]int{},
		DefaultPushCacheMillis:               10000,
		ClientBeatInterval:                   5000,
		DefaultCacheMillis:                   3000,
		DistroThreshold:                      0.7,
		HealthCheckEnabled:                   true,
		AutoChangeHealthCheckEnabled:         true,
		DistroEnabled:                        true,
		EnableStandalone:                     true,
		PushEnabled:                          true,
		CheckTimes:                           3,
		HTTPHealthParams:                     Params{5000, 500, 0.85},
		TCPHealthParams:                      Params{5000, 1000, 0.75},
		MySQLHealthParams:                    Params{3000, 2000, 0.65},
		IncrementalList:                      []string{},
		ServerStatusSynchronizationPeriodMs:  2000,
		ServiceStatusSynchronizationPeriodMs: 5000,
		LightBeatEnabled:                     true,
		LimitedURLMap:                        map[string]int{},
		DistroServerExpiredMillis:            10000,
		PushGoVersion:                        "0.1.0",
		PushJavaVersion:                      "0.1.0",
		PushPythonVersion:                    "0.4.3",
		PushCVersion:                         "1.0.12",
		PushCSharpVersion:                    "0.9.0",
		DefaultInstanceEphemeral:             true,
		HealthCheckWhiteList:                 []string{},
	}
}

// MarshalJSON implements json.Marshaler. The versions have two names, as versions
// of Nacos differ in them.
func (s *Set) MarshalJSON() ([]byte, error) {
	type fields Set
	return json.Marshal(struct {
		*fields

		Go     string `json:"pushVersionOfGo"`
		Java   string `json:"pushVersionOfJava"`
		Python string `json:"pushVersionOfPython"`
		C      string `json:"pushVersionOfC"`
		CSharp string `json:"pushVersionOfCsharp"`
	}{(*fields)(s), s.PushGoVersion, s.PushJavaVersion, s.PushPythonVersion, s.PushCVersion, s.PushCSharpVersion})
}

// Status returns what the server is said to be: UP unless it is overridden.
func (s *Set) Status() string {
	if s.OverriddenServerStatus == nil {
		return "UP"
	}
	return *s.OverriddenServerStatus
}
