package nacos

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"

	"github.com/musterhq/muster/config"
)

// listeners are who listens to a document, by address, or the documents that an
// address listens to; up to version 1.
type listeners struct {
	CollectStatus int               `json:"collectStatus"`
	Status        map[string]string `json:"lisentersGroupkeyStatus"` // sic
}

// listeners3 is the same in version 3.
type listeners3 struct {
	QueryType string            `json:"queryType"`
	Status    map[string]string `json:"listenersStatus"`
}

func (c *call) listeners(kind string, status map[string]string) any {
	if c.form == wrapped {
		return listeners3{kind, status}
	}
	return listeners{200, status}
}

// fromAll adds what other servers have heard; what this one has heard stays.
func (h *Handler) fromAll(c *call, status map[string]string, path string, query url.Values) {
	if c.has("aggregation") && !c.isTrue("aggregation") {
		return
	}
	h.cfg.Elsewhere(c.r.Context(), h.cfg.ContextPath+config1.prefix+"/communication"+path+"?"+query.Encode(), func(body []byte) {
		var there listeners
		if json.Unmarshal(body, &there) != nil {
			return
		}
		for name, md5 := range there.Status {
			if _, known := status[name]; !known {
				status[name] = md5
			}
		}
	})
}

// watchers answers who listens to a document, as far as this server has heard.
func (h *Handler) watchers(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	return listeners{200, orEmpty(h.cfg.Track.Holders(k))}, nil
}

// listening answers who listens to a document, at whichever server.
func (h *Handler) listening(c *call) (any, error) {
	k, err := c.documentKey()
	if err != nil {
		return nil, err
	}
	status := maps.Clone(orEmpty(h.cfg.Track.Holders(k)))
	h.fromAll(c, status, "/configWatchers", url.Values{"dataId": {k.DataID}, "group": {k.Group}, "tenant": {k.Namespace}})
	return c.listeners("config", status), nil
}

// watched answers what an address listens to, as far as this server has heard.
func (h *Handler) watched(c *call) (any, error) {
	if err := c.present("ip"); err != nil {
		return nil, err
	}
	return listeners{200, byGroupKey(h.cfg.Track.Held(c.value("ip")), nil)}, nil
}

// listeningTo answers what an address listens to, at whichever server: in the
// public namespace, with tenant in that one, with all=true everywhere.
func (h *Handler) listeningTo(c *call) (any, error) {
	if err := c.present("ip"); err != nil {
		return nil, err
	}
	_, name := c.words()
	within := folded(c.value(name))
	if c.isTrue("all") && c.value(name) == "" {
		within = ""
	}
	if err := c.may(within, ""); err != nil {
		return nil, err
	}
	admits := func(namespace string) bool { return within == "" || namespace == within }
	status := byGroupKey(h.cfg.Track.Held(c.value("ip")), admits)
	there := map[string]string{}
	h.fromAll(c, there, "/watcherConfigs", url.Values{"ip": {c.value("ip")}})
	for key, md5 := range there {
		if _, known := status[key]; !known && admits(namespaceOf(key)) {
			status[key] = md5
		}
	}
	return c.listeners("ip", status), nil
}

// byGroupKey returns digests under the texts by which Nacos names documents.
func byGroupKey(held map[config.Key]string, admits func(namespace string) bool) map[string]string {
	named := map[string]string{}
	for k, md5 := range held {
		if admits == nil || admits(k.Namespace) {
			named[groupKey(k)] = md5
		}
	}
	return named
}

// groupKey names a document: dataId+group, and +tenant outside of the public
// namespace. No name has a + in it.
func groupKey(k config.Key) string {
	text := k.DataID + "+" + k.Group
	if k.Namespace != config.DefaultNamespace {
		text += "+" + k.Namespace
	}
	return text
}

func namespaceOf(groupKey string) string {
	parts := strings.SplitN(groupKey, "+", 3)
	if len(parts) < 3 {
		return config.DefaultNamespace
	}
	return parts[2]
}
