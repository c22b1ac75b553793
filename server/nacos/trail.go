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
	return (c.writes || c.method != every && c.method != http.MethodGet) && c.asks.Verb != access.Read && c.id != "Beat" && !c.isTrue("heartBeat")
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
	if c.on == auth1 || c.on == auth3 {
		if c.id != "Login" {
			c.noteUser(trail)
		}
		return
	}
	item := c.value("grayName", "tag")
	if ip := c.value("ip"); ip != "" {
		item = ip + ":" + c.value("port")
	}
	trail.About(c.value("namespaceId", "tenant", "customNamespaceId", "namespace"), c.value("groupName", "group"),
		c.value("serviceName", "dataId", "entry", "logName"), item)
}

// noteUser tells what a call about users is about: a user and the role that it is given
// or loses, or a role and what is allowed to it.
func (c *call) noteUser(trail *audit.Trail) {
	switch user, role := c.value("username"), c.value("role"); {
	case user != "":
		trail.About("", "", user, role)
	case c.has("resource"):
		trail.About("", "", role, c.value("action")+" "+c.value("resource"))
	default:
		trail.About("", "", role, "")
	}
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
