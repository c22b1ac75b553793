package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/miekg/dns"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/answer"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/zone"
)

func (f *face) mountResolve(a huma.API) {
	register(a, access.Reads(access.DNS, each), huma.Operation{OperationID: "resolve", Method: http.MethodGet, Path: api.PathResolve,
		Summary: "Explain how a DNS question comes by its answer", Tags: []string{"dns"}}, f.resolve)
}

type resolveQuery struct {
	Name string `query:"name" required:"true" minLength:"1" maxLength:"1024" doc:"Name below the first zone, or a whole one; with a dot at the end it is whole" example:"order-api.svc"`
	Type string `query:"type" default:"SRV" doc:"Type of records, such as A or SRV"`
	From string `query:"from" doc:"IP address of who asks, for a service with a topology or a selector; nobody knows the place when empty"`
}

type explanationAnswer struct{ Body api.Explanation }

func (f *face) resolve(ctx context.Context, q *resolveQuery) (*explanationAnswer, error) {
	qtype, ok := dns.StringToType[strings.ToUpper(q.Type)]
	if !ok {
		return nil, invalidQuery("type", q.Type, "is no DNS type")
	}
	if _, ok := dns.IsDomainName(q.Name); !ok {
		return nil, invalidQuery("name", q.Name, "is not a domain name")
	}
	var from netip.Addr
	if q.From != "" {
		var err error
		if from, err = netip.ParseAddr(q.From); err != nil {
			return nil, invalidQuery("from", q.From, "is not an IP address")
		}
	}
	snap := f.registry.Snapshot()
	if snap == nil {
		return nil, f.failure(registry.ErrUnavailable)
	}
	out := f.server.explain(snap, q.Name, qtype, from.Unmap())
	if err := mayExplain(access.From(ctx), &out); err != nil {
		return nil, f.failure(err)
	}
	return &explanationAnswer{out}, nil
}

// mayExplain checks that the caller may see what an explanation shows: to who may read the
// zone all of it, of one service to who may read that, without the others that it names.
func mayExplain(c *access.Caller, e *api.Explanation) error {
	zone := access.Resource{Kind: access.DNS, Namespace: strings.TrimSuffix(e.Zone, ".")}
	if e.Service == nil || c.May(access.Read, zone) {
		return c.Check(access.Read, zone)
	}
	e.Near, e.Claim, e.Service.DNSHolder = nil, nil, nil
	return c.Check(access.Read, access.Resource{Kind: access.Naming, Namespace: e.Service.Namespace, Group: e.Service.Group})
}

func invalidQuery(field, value, reason string) error {
	return huma.Error400BadRequest(fmt.Sprintf("%s: %q %s", field, value, reason),
		&huma.ErrorDetail{Message: reason, Location: "query." + field, Value: value})
}

// explain finds out whose the name is, and what its zone says of it.
func (s *Server) explain(snap *registry.Snapshot, name string, qtype uint16, from netip.Addr) api.Explanation {
	out := api.Explanation{Name: strings.TrimSuffix(name, "."), Type: dns.TypeToString[qtype], Revision: snap.Revision()}
	whole := registry.Lower(dns.Fqdn(name))
	if is, found := s.own(whole, qtype); is != "" {
		out.Name, out.Zone, out.Is, out.Status = strings.TrimSuffix(whole, "."), s.zoneOf(whole), is, "nodata"
		if found || qtype == dns.TypeANY {
			out.Status = "found"
		}
		return out
	}
	if isReverse(whole) {
		out.Zone = s.zoneOf(whole)
		tell(&out, snap, s.explainReverse(snap, whole, qtype))
		if out.Zone == "" && s.cfg.Corefile == "" {
			refuse(&out)
		}
		return out
	}
	below := out.Name
	if out.Zone = s.zoneOf(whole); out.Zone != "" {
		below = strings.TrimSuffix(dns.Fqdn(name)[:len(whole)-len(out.Zone)], ".")
	} else if strings.HasSuffix(name, ".") {
		out.Is, out.Status = "outside", "refused"
		return out
	} else if at := slices.IndexFunc(s.cfg.Zones, func(z string) bool { return !isReverse(z) }); at >= 0 {
		out.Zone = s.cfg.Zones[at]
	}
	out.Name = below
	rule := s.source.rule(out.Zone, from)
	e := answer.Explain(snap, answer.Question{Name: below, Type: zone.TypeOf(qtype), Raw: rule.Raw, Mode: rule.Mode, From: rule.From})
	tell(&out, snap, e)
	if s := e.Service; s != nil {
		out.Rules = &api.AnswerRules{Mode: e.Mode, TTL: s.DNS.TTL, Topology: s.DNS.Topology, Zone: rule.From.Zone, Region: rule.From.Region}
		if rule.TTL != nil {
			out.Rules.TTL = new(rule.TTL(s))
		}
	}
	return out
}

// own tells what a name in lower case is that the zones have by the settings, "" for
// any other, and whether it has records of a type.
func (s *Server) own(name string, qtype uint16) (is string, found bool) {
	for _, ns := range s.cfg.NameServers {
		server, addr, err := parseNS(ns)
		if err == nil && registry.Lower(server) == name && s.zoneOf(name) != "" {
			is, found = "nameserver", found || qtype == dns.TypeA && addr.Is4() || qtype == dns.TypeAAAA && addr.Is6()
		}
	}
	// Services may be at the name of a zone that is one address's.
	if is == "" && s.zoneOf(name) == name && qtype != dns.TypePTR {
		return "zone", qtype == dns.TypeSOA || qtype == dns.TypeNS
	}
	return is, found
}

// refuse says that no zone has the name, whatever is known of its address.
func refuse(out *api.Explanation) {
	out.Status, out.Names = "refused", nil
	for i := range out.Instances {
		out.Instances[i].Answered, out.Instances[i].Why = false, "in no zone"
	}
}

// zoneOf returns the zone of the settings that a name in lower case is in, the
// longest of several, or "".
func (s *Server) zoneOf(name string) (zone string) {
	for _, z := range s.cfg.Zones {
		if len(z) > len(zone) && dns.IsSubDomain(z, name) {
			zone = z
		}
	}
	return zone
}

func isReverse(name string) bool {
	return dns.IsSubDomain("in-addr.arpa.", name) || dns.IsSubDomain("ip6.arpa.", name)
}

// explainReverse explains a reverse name in lower case. Those of networks are there
// as long as an address is in them, and for zones that begin there or below.
func (s *Server) explainReverse(snap *registry.Snapshot, name string, qtype uint16) answer.Explanation {
	network, ok := zone.ParseReverse(name)
	if !ok || !network.IsSingleIP() {
		e := answer.Explanation{Is: answer.NameReverse, Answer: answer.Answer{Status: answer.NoName}}
		begins := func(z string) bool { return dns.IsSubDomain(name, z) }
		if ok && (network.Addr().Is6() || snap.HasAddrIn(network)) || slices.ContainsFunc(s.cfg.Zones, begins) {
			e.Is, e.Answer.Status = answer.NameAbove, answer.NoData
		}
		return e
	}
	e := answer.ExplainReverse(snap, network.Addr())
	if qtype != dns.TypePTR && qtype != dns.TypeANY && e.Answer.Status == answer.Found {
		e.Answer = answer.Answer{Status: answer.NoData}
		for i := range e.Instances {
			e.Instances[i].Why = answer.NotOfType
		}
	}
	return e
}

// tell writes an explanation down.
func tell(out *api.Explanation, snap *registry.Snapshot, e answer.Explanation) {
	out.Is, out.Names, out.Near = string(e.Is), e.Answer.Names, e.Near
	out.Status = map[answer.Status]string{answer.Found: "found", answer.NoData: "nodata", answer.NoName: "nxdomain"}[e.Answer.Status]
	out.Reason = map[answer.Reason]string{answer.NoneHealthy: "no healthy instance", answer.Protected: "protected"}[e.Answer.Reason]
	for i, n := range out.Names {
		if n == "" {
			out.Names[i] = "the zone itself"
		}
	}
	for _, p := range e.By {
		out.By = append(out.By, string(p))
	}
	if e.Addr.IsValid() {
		out.Address = e.Addr.String()
	}
	out.Cluster, out.Version = e.Filter.Cluster, e.Filter.Version
	if t := e.Filter.Type; t.App != "" {
		out.Protocol = t.App + "/" + t.Proto
	}
	if s := e.Service; s != nil {
		out.Service = new(serviceOf(snap, s))
		out.Health = &api.HealthOfName{Healthy: e.Healthy, All: e.All, Threshold: s.ProtectThreshold, Protected: e.Protected}
	}
	if c := e.Claim; c != nil {
		out.Claim = &api.Claim{Name: c.Name}
		if c.Held {
			out.Claim.Holder = &api.DNSHolder{ServiceRef: refOf(c.Holder), Kept: c.Kept}
		}
		for _, k := range c.Shadowed {
			out.Claim.Shadowed = append(out.Claim.Shadowed, refOf(k))
		}
	}
	for _, c := range e.Instances {
		i := api.Candidate{Address: c.Key.Endpoint.Host, Port: c.Key.Endpoint.Port, Cluster: c.Cluster, Answered: c.Why == "",
			Why: string(c.Why), Weight: c.Weight, Share: c.Share, SRVWeight: c.SRVWeight, Priority: c.Priority}
		if e.Service == nil {
			i.Service = new(refOf(c.Key.Service))
		}
		out.Instances = append(out.Instances, i)
	}
}
