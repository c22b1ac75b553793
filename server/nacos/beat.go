package nacos

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
)

// fullBeat is an instance as a full beat describes it.
type fullBeat struct{ nacoswire.Beat }

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
	return h.beaten(c, reg.Key, &reg)
}

func (h *Handler) lightBeat(c *call) (any, error) {
	k, err := c.instanceKey()
	if err != nil {
		return nil, err
	}
	return h.beaten(c, k, nil)
}

// beaten records a beat. An instance that does not say how often it beats is
// told what the switch says.
func (h *Handler) beaten(c *call, k registry.InstanceKey, full *registry.Registration) (any, error) {
	set := h.switches.Current()
	answer := nacoswire.BeatAnswer{Interval: set.ClientBeatInterval, Code: nacoswire.BeatTaken, Light: set.LightBeatEnabled}
	registers := full != nil && h.cfg.Registry.Snapshot().Instance(k) == nil
	interval, err := h.cfg.Registry.Beat(c.r.Context(), k, full)
	if errors.Is(err, registry.ErrNotFound) {
		answer.Code = nacoswire.BeatUnknown
		return answer, nil
	}
	if err != nil {
		return nil, err
	}
	if registers {
		trail := audit.From(c.r.Context())
		trail.Changes()
		trail.About(k.Service.Namespace, k.Service.Group, k.Service.Name, k.Endpoint.String())
	}
	if i := h.cfg.Registry.Snapshot().Instance(k); i != nil && saysInterval(i.Metadata) || i == nil && full != nil && saysInterval(full.Metadata) {
		answer.Interval = interval.Milliseconds()
	}
	return answer, nil
}

// saysInterval reports whether metadata says how often its instance beats.
func saysInterval(m registry.Metadata) bool {
	n, err := strconv.ParseInt(m.Get(registry.MetaBeatInterval), 10, 64)
	return err == nil && n > 0
}

// registerOrBeat is the registration of version 3, which may be a light beat.
func (h *Handler) registerOrBeat(c *call) (any, error) {
	if !c.isTrue("heartBeat") {
		return h.registerInstance(c)
	}
	v, err := h.lightBeat(c)
	if beat, is := v.(nacoswire.BeatAnswer); is && beat.Code == nacoswire.BeatUnknown {
		return nil, (&refusal{status: http.StatusOK, code: instanceNotFound}).pin()
	}
	if err != nil {
		return nil, err
	}
	return ok, nil
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
	metadata, err := b.metadata()
	reg.Metadata = registry.MetadataOf(metadata)
	return reg, err
}

// complete lays what the beat says over the parameters beside it, all but the
// service, which the parameter names when there is one.
func (b fullBeat) complete(c *call) {
	for name, v := range map[string]nacoswire.Scalar{"ip": b.IP, "port": b.Port, "clusterName": b.Cluster} {
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
