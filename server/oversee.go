package server

import (
	"cmp"
	"fmt"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/plugin"
	"github.com/musterhq/muster/registry"
)

// The DNS plugin asks what it finds in its storage for what it needs.
var _ plugin.Overseer = (*overseer)(nil)

// overseer is what the DNS plugin is handed: what it reads, and who may change it.
type overseer struct {
	*source

	server *Server
}

// Check implements plugin.Overseer. While nobody has to log in the Corefile alone
// decides.
func (o *overseer) Check(key string, verb access.Verb, on access.Resource) error {
	if !o.server.gate.Shut() {
		return nil
	}
	if o.server.auth == nil || o.server.auth.Snapshot() == nil {
		return fmt.Errorf("%w: keys are not read yet", registry.ErrUnavailable)
	}
	who, d := o.server.auth.Snapshot().DecideTSIG(cmp.Or(key, access.NoKey), verb, on)
	if d.Allowed {
		return nil
	}
	why := d.Why()
	if len(who.Roles) == 0 {
		why = "it has no role"
	}
	return &access.Denied{Who: who, Verb: verb, On: on, Why: why}
}

// Recordable implements plugin.Overseer.
func (o *overseer) Recordable() error { return o.server.unrecorded() }

// Operations of records of DNS.
const (
	opUpdate   = "dns-update"
	opTransfer = "dns-transfer"
)

// Record implements plugin.Overseer.
func (o *overseer) Record(a plugin.Act) {
	e := audit.Event{Op: opUpdate, Kind: "anonymous", Namespace: a.Zone, Result: audit.Failed, Status: a.Rcode, Why: a.Why, Revision: a.Revision,
		Unproved: a.Datagram && a.Key == ""}
	if a.Transfer {
		e.Op = opTransfer
	}
	if a.Key != "" {
		e.Kind, e.Who = string(access.Key), a.Key
	}
	if a.From.IsValid() {
		e.From = a.From.String()
	}
	switch a.Rcode {
	case dns.RcodeSuccess:
		e.Result = audit.Done
	case dns.RcodeRefused, dns.RcodeNotAuth:
		e.Result = audit.Refused
	}
	var parts []audit.Part
	for _, r := range a.Changes.Register {
		parts = append(parts, instancePart(r.Key, audit.Put))
	}
	for _, k := range a.Changes.Deregister {
		parts = append(parts, instancePart(k, audit.Delete))
	}
	o.server.audit.Append(e, parts...)
}

// instancePart returns the record of an instance that a call about many has changed.
func instancePart(k registry.InstanceKey, change audit.Change) audit.Part {
	s := k.Service
	return audit.Part{Namespace: s.Namespace, Group: s.Group, Name: s.Name, Item: k.Endpoint.String(), Change: change}
}
