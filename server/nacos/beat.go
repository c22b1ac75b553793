package nacos

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/musterhq/muster/registry"
)

// Codes of the answer to a beat.
const (
	beatTaken   = 10200
	beatUnknown = 20404 // asks the client to register
)

// beatAnswer must hold numbers throughout: clients fail on a text.
type beatAnswer struct {
	Interval int64 `json:"clientBeatInterval"` // milliseconds
	Code     int   `json:"code"`
	Light    bool  `json:"lightBeatEnabled"`
}

// scalar is a text that may be sent as a JSON number, or the other way round.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		if b[0] == '{' || b[0] == '[' {
			return errors.New("not a scalar")
		}
		if *s = scalar(b); *s == "null" {
			*s = ""
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*s = scalar(strings.TrimSpace(text))
	return nil
}

// fullBeat is an instance as a full beat describes it; other keys are ignored.
type fullBeat struct {
	ServiceName scalar          `json:"serviceName"`
	IP          scalar          `json:"ip"`
	Port        scalar          `json:"port"`
	Cluster     scalar          `json:"cluster"`
	Weight      scalar          `json:"weight"`
	Metadata    json.RawMessage `json:"metadata"`
}

// beat takes a full or a light beat. The full one names its instance itself, as
// some clients send nothing beside it.
func (h *Handler) beat(c *call) (any, error) {
	text := c.value("beat")
	if text == "" {
		return h.lightBeat(c)
	}
	var b fullBeat
	if json.Unmarshal([]byte(text), &b) != nil {
		return nil, illegal("beat", "it should be a JSON object.")
	}
	reg, err := b.registration(c)
	if err != nil {
		return nil, err
	}
	interval, err := h.cfg.Registry.Beat(c.r.Context(), reg.Key, &reg)
	if err != nil {
		return nil, err
	}
	return beatAnswer{interval.Milliseconds(), beatTaken, true}, nil
}

func (h *Handler) lightBeat(c *call) (any, error) {
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	interval, err := h.cfg.Registry.Beat(c.r.Context(), k, nil)
	if errors.Is(err, registry.ErrNotFound) {
		return beatAnswer{registry.DefaultTimeouts.Interval.Milliseconds(), beatUnknown, true}, nil
	}
	if err != nil {
		return nil, err
	}
	return beatAnswer{interval.Milliseconds(), beatTaken, true}, nil
}

// registration returns what stands if the instance of a full beat is unknown.
func (b fullBeat) registration(c *call) (registry.Registration, error) {
	reg := registry.Registration{Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP}
	b.complete(c)
	k, err := c.instanceKey()
	if err != nil {
		return reg, err
	}
	reg.Key = k
	if b.Weight != "" {
		if reg.Weight, err = strconv.ParseFloat(string(b.Weight), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return reg, illegal("weight", "the value should be a number.")
		}
	}
	if reg.Cluster, err = c.cluster("clusterName"); err != nil {
		return reg, err
	}
	reg.Metadata, err = b.metadata()
	return reg, err
}

// complete lays what the beat says over the parameters beside it, all but the
// service, which the parameter names when there is one.
func (b fullBeat) complete(c *call) {
	for name, v := range map[string]scalar{"ip": b.IP, "port": b.Port, "clusterName": b.Cluster} {
		if v != "" {
			c.params[name] = string(v)
		}
	}
	if c.value("serviceName") == "" {
		c.params["serviceName"] = string(b.ServiceName)
	}
}

func (b fullBeat) metadata() (map[string]string, error) {
	var text string
	switch {
	case len(b.Metadata) == 0 || string(b.Metadata) == "null":
		return nil, nil
	case json.Unmarshal(b.Metadata, &text) == nil:
		return parseMetadata(strings.TrimSpace(text))
	}
	return parseMetadata(string(b.Metadata))
}
