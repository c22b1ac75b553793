package nacos

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/internal/nacoswire"
)

// operationOf returns what audit records and the list of needs call a request.
func operationOf(request string) string {
	return "nacosGRPC" + strings.TrimSuffix(request, "Request")
}

// GRPCNeeds returns what each request over gRPC asks of those who send it. What the
// transport answers by itself asks nothing: a client has not logged in by then.
func GRPCNeeds() map[string]access.Need {
	all := map[string]access.Need{}
	for _, op := range grpcOps() {
		all[op.request] = op.asks
	}
	return all
}

// enter lets the caller in, as far as that does not depend on what the request names.
func (c *grpcCall) enter() error {
	c.caller.Operation = operationOf(c.request)
	err := c.h.cfg.Gate.Enter(c.ctx, c.caller, c.asks, func() (access.Credentials, error) {
		var err error
		c.shown, err = c.credentials()
		return c.shown, err
	})
	switch {
	case err != nil && turnedAway(err) == nil: // nobody can tell now
		return notNow("%s", err)
	case err != nil:
		return err
	}
	c.renew()
	if err := c.h.limited(c.caller, ""); err != nil {
		return err
	}
	if c.asks.Level == access.Right && c.asks.Where != "" {
		return nil
	}
	return c.caller.CheckNeed(c.asks, "", "")
}

// renew has a connection go on, for what it holds and listens to, with what it has shown now: it
// logs in again and again, and does not subscribe anew each time.
func (c *grpcCall) renew() {
	if !c.h.cfg.Gate.Shut() {
		return
	}
	if was, _ := c.h.admitted.Swap(c.conn, c.shown); was != c.shown {
		c.h.holders.renew(c)
		c.h.tells.renew(c)
		c.h.listens.renew(c.conn, c.caller.Who, c.shown)
		c.h.fuzzy.renew(c.conn, c.caller.Who, c.shown)
		c.h.fuzzyNames.renew(c.conn, c.caller.Who, c.shown)
	}
}

// credentials returns what a request shows of who makes it, in its headers as over HTTP:
// a token in one or the other, else user and password. Two tokens that differ are
// refused.
func (c *grpcCall) credentials() (access.Credentials, error) {
	shown := access.Credentials{From: c.caller.From, Certificate: access.Certificate(c.conn.Client().TLS)}
	head := http.Header{}
	for name, value := range c.q.Headers {
		head.Add(name, value)
	}
	bearer, err := access.Bearer(head)
	if err != nil {
		return shown, err
	}
	for _, token := range append(head.Values(paramToken), bearer) {
		if token = strings.TrimSpace(token); token == "" {
			continue
		}
		if shown.Token != "" && shown.Token != token {
			return shown, &access.Refused{Reason: access.ReasonTwice}
		}
		shown.Token = token
	}
	if shown.Token == "" && head.Get("password") != "" { // a name alone is that of an author
		shown.User, shown.Password = head.Get("username"), head.Get("password")
	}
	return shown, nil
}

// may returns nil if the caller may do what the operation does to what is in a group; in
// all groups where that is empty, in all namespaces likewise.
func (c *grpcCall) may(namespace, group string) error {
	if err := c.caller.CheckNeed(c.asks, namespace, group); err != nil || c.counted || namespace == "" {
		return err
	}
	c.counted = true
	return c.h.limited(c.caller, namespace)
}

// unchecked refuses the answer of an operation that asks for a right and has not checked
// it: a mistake of ours must not show what nobody may see.
func (c *grpcCall) unchecked() error {
	if c.caller.Checked() || c.asks.Level != access.Right {
		return nil
	}
	c.h.log.Error("an operation checks no right", "operation", c.caller.Operation)
	return c.caller.Refuse("nothing says who may")
}

// concerns tells the trail of a call what it is about.
func (c *grpcCall) concerns(namespace, group, name, item string) {
	c.trail.About(namespace, group, name, item)
}

// wrote tells the trail of a call at which revision its write stands.
func (c *grpcCall) wrote(revision int64) { c.revision = revision }

// record has it recorded what became of a call that changes something, or was refused,
// before the client gets to know.
func (c *grpcCall) record(err error) {
	c.trail.Operation(operationOf(c.request))
	if c.changes {
		c.trail.Changes()
	}
	status := http.StatusOK
	if err != nil {
		c.trail.Failed()
		status = http.StatusInternalServerError
		if known := outward(err, bare); known != nil {
			status = known.status
		}
	}
	if status == http.StatusForbidden {
		c.trail.Because(err.Error())
		c.name()
	}
	if e, worth := c.trail.Event(audit.Outcome{Status: status, Revision: c.revision}); worth {
		c.h.cfg.Record(c.caller, e, c.trail.Parts())
	}
}

// name tells the trail what a request is about that was refused before it was read.
func (c *grpcCall) name() {
	var said struct {
		Namespace, Tenant, GroupName, Group, ServiceName, DataID nacoswire.Scalar
	}
	_ = json.Unmarshal(c.q.Body, &said) // what cannot be read names nothing
	c.trail.About(string(cmp.Or(said.Namespace, said.Tenant)), string(cmp.Or(said.GroupName, said.Group)), string(cmp.Or(said.ServiceName, said.DataID)), "")
}
