package nacos

import (
	"net/http"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
)

// changes reports whether a call changes something, or lets somebody in. Beats are
// many, and do not. What every method does are reads.
func (c *call) changes() bool {
	return c.method != every && c.method != http.MethodGet && c.asks.Verb != access.Read && c.id != "Beat" && !c.isTrue("heartBeat")
}

// note tells the trail of a call what it changes.
func (c *call) note() {
	if !c.changes() {
		return
	}
	trail := audit.From(c.r.Context())
	trail.Operation("nacos" + c.id + c.on.id)
	trail.Changes()
	if c.id == "Login" {
		trail.As("user", c.value("username"))
	}
	item := c.value("grayName", "tag")
	if ip := c.value("ip"); ip != "" {
		item = ip + ":" + c.value("port")
	}
	trail.About(c.value("namespaceId", "tenant", "customNamespaceId", "namespace"), c.value("groupName", "group"),
		c.value("serviceName", "dataId", "entry", "logName"), item)
}

// part tells the trail what a call about many documents has done to one of them.
func (c *call) part(k config.Key, change audit.Change) {
	audit.From(c.r.Context()).Part(audit.Part{Namespace: k.Namespace, Group: k.Group, Name: k.DataID, Change: change})
}

// recordable returns why a call is refused that would change something which cannot be
// recorded.
func (c *call) recordable() error {
	if !c.changes() {
		return nil
	}
	if err := c.h.cfg.Unrecorded(); err != nil {
		return caused(http.StatusServiceUnavailable, "%s", err)
	}
	return nil
}
