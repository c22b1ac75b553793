package nacos

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/nacoswire"
)

// ok is the answer to a write; clients compare the two bytes.
const ok = "ok"

// ephemeral reports whether a call is about an instance that lives by beats.
func (c *call) ephemeral() bool { return c.flag("ephemeral") }

// stopping refuses what would only be withdrawn again.
func (h *Handler) stopping() error {
	if h.cfg.Draining() {
		return refuse(http.StatusServiceUnavailable, "the agent is stopping")
	}
	return nil
}

// register takes an instance up. One that is to stay without beats is for the
// servers, which check it.
func (h *Handler) register(c *call) error {
	k, err := h.own(c)
	if err != nil {
		return err
	}
	if !c.ephemeral() {
		return h.passInstance(c, k)
	}
	i, err := c.instance(k)
	if err != nil {
		return err
	}
	if err := h.join(c, i, c.flag("healthy")); err != nil {
		return err
	}
	return c.text(ok)
}

// own returns the instance that a call is about, if its sender may change it: what a
// user registered over the socket is his.
func (h *Handler) own(c *call) (roll.Key, error) {
	k, err := c.key()
	if err != nil {
		return k, err
	}
	owner := h.members.owner(k)
	if uid, known, trusted := h.cfg.Caller(c.r); owner != nil && !trusted && (!known || uid != *owner) {
		return k, refuse(http.StatusForbidden, "%s belongs to another user, %d", k, *owner)
	}
	return k, nil
}

// passInstance hands what a call says of an instance to the servers, unless this
// host declares it otherwise: what a file or another user registered, nobody changes
// from here.
func (h *Handler) passInstance(c *call, k roll.Key) error {
	if origin, declared := h.cfg.Sources.Origin(k); declared && origin != Origin {
		return refuse(http.StatusConflict, "%s is declared by %s", k, origin)
	}
	return h.write(c)
}

// instance returns the instance that a call describes.
func (c *call) instance(k roll.Key) (i api.AgentInstance, err error) {
	i = api.AgentInstance{Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port}
	if i.Weight, err = weightOf(c.value("weight")); err != nil {
		return i, err
	}
	if i.Cluster, err = c.cluster("clusterName", "cluster"); err != nil {
		return i, err
	}
	if i.Metadata, err = metadataOf(c.value("metadata")); err != nil {
		return i, err
	}
	if !c.flag("enabled", "enable") {
		i.Enabled = new(false)
	}
	return i, nil
}

// join declares an instance, and waits for a server to have it where one answers:
// who registers and then lists finds it.
func (h *Handler) join(c *call, i api.AgentInstance, healthy bool) error {
	if err := h.stopping(); err != nil {
		return err
	}
	var owner *int
	if uid, known, _ := h.cfg.Caller(c.r); known {
		owner = &uid
	}
	if err := h.members.put(i, healthy, owner); err != nil {
		return err
	}
	h.settle(c)
	k := (&member{Instance: i}).key()
	if reason := h.cfg.Rejected(k); reason != "" {
		h.members.remove(k)
		return refuse(http.StatusBadRequest, "%s", reason)
	}
	return nil
}

func (h *Handler) settle(c *call) {
	ctx, cancel := context.WithTimeout(c.r.Context(), settleFor)
	defer cancel()
	h.cfg.Settle(ctx)
}

func (h *Handler) deregister(c *call) error {
	k, err := h.own(c)
	if err != nil {
		return err
	}
	if !c.ephemeral() || !h.members.remove(k) {
		return h.passInstance(c, k)
	}
	h.settle(c)
	return c.text(ok)
}

// update changes what is declared of an instance that was registered here: what is
// absent stays, metadata is merged over what there is. Of others it is the
// operator's say, which is for the servers.
func (h *Handler) update(c *call) error {
	k, err := h.own(c)
	if err != nil {
		return err
	}
	i, known := h.members.get(k)
	if !known {
		return h.passInstance(c, k)
	}
	if c.value("enabled", "enable") != "" {
		i.Enabled = new(c.flag("enabled", "enable"))
	}
	weight, err := weightOf(c.value("weight"))
	if err != nil {
		return err
	}
	if weight != nil {
		i.Weight = weight
	}
	metadata, err := metadataOf(c.value("metadata"))
	if err != nil {
		return err
	}
	if metadata != nil {
		merged := maps.Clone(i.Metadata)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, metadata)
		i.Metadata = merged
	}
	if err := soundMetadata(i.Metadata); err != nil {
		return err
	}
	if err := h.members.change(i); err != nil {
		return err
	}
	h.settle(c)
	return c.text(ok)
}

// fullBeat is an instance as a full beat describes it.
type fullBeat struct{ nacoswire.Beat }

// beat takes a full or a light beat. A full one registers an instance that is not
// known; a light one asks for that.
func (h *Handler) beat(c *call) error {
	text := c.value("beat")
	var full *fullBeat
	if text != "" {
		full = &fullBeat{}
		if json.Unmarshal([]byte(text), full) != nil {
			return illegal("beat", "it should be a JSON object.")
		}
		full.complete(c)
	}
	k, err := h.own(c)
	if err != nil {
		return err
	}
	answer := nacoswire.BeatAnswer{Interval: timesOf(nil).interval.Milliseconds(), Code: nacoswire.BeatTaken, Light: true}
	i, known, changed := h.members.beat(k)
	switch {
	case known && changed:
		h.settle(c)
	case known:
	case full == nil:
		answer.Code = nacoswire.BeatUnknown
		return c.json(answer)
	default:
		if i, err = full.instance(c, k); err != nil {
			return err
		}
		if err := h.join(c, i, true); err != nil {
			return err
		}
	}
	if n, err := strconv.ParseUint(i.Metadata[metaInterval], 10, 31); err == nil && n > 0 {
		answer.Interval = int64(n)
	}
	return c.json(answer)
}

// complete lays what the beat says over the parameters beside it, all but the
// service, which the parameter names when there is one.
func (b *fullBeat) complete(c *call) {
	for name, v := range map[string]nacoswire.Scalar{"ip": b.IP, "port": b.Port, "clusterName": b.Cluster} {
		if v != "" {
			c.params[name] = string(v)
		}
	}
	if c.value("serviceName") == "" {
		c.params["serviceName"] = string(b.ServiceName)
	}
}

// instance returns what stands if the instance of a full beat is unknown.
func (b *fullBeat) instance(c *call, k roll.Key) (i api.AgentInstance, err error) {
	i = api.AgentInstance{Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port}
	if i.Weight, err = weightOf(string(b.Weight)); err != nil {
		return i, err
	}
	if i.Cluster, err = c.cluster("clusterName"); err != nil {
		return i, err
	}
	var text string
	switch {
	case len(b.Metadata) == 0 || string(b.Metadata) == "null":
		return i, nil
	case json.Unmarshal(b.Metadata, &text) == nil:
		i.Metadata, err = metadataOf(strings.TrimSpace(text))
	default:
		i.Metadata, err = metadataOf(string(b.Metadata))
	}
	return i, err
}
