package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// why has the server explain its answer.
func why(c *cli.Context, name, qtype string) error {
	remote, err := dial(c)
	if err != nil {
		return err
	}
	e, err := remote.Explain(c.Context, client.ResolveQuery{Name: name, Type: qtype, From: c.String("from")})
	if err != nil {
		return err
	}
	if c.String("output") != "table" {
		err = show(c, e, "", nil)
	} else {
		err = tell(c, e)
	}
	if err == nil && e.Status == "nxdomain" {
		return fmt.Errorf("%s: %w", name, client.ErrNotFound)
	}
	return err
}

// tell prints an explanation: what the name is, then what becomes of each instance.
func tell(c *cli.Context, e api.Explanation) error {
	facts := [][]string{{"name", e.Name + " " + e.Type}, {"is", nameKind(e)}, {"answer", outcome(e)}}
	if s := e.Service; s != nil {
		facts = append(facts, []string{"service", path(api.ServiceRef{Namespace: s.Namespace, Group: s.Group, Name: s.Name})})
	}
	if e.Claim != nil {
		facts = append(facts, []string{"dns name", claimText(*e.Claim)})
	}
	if e.Health != nil {
		facts = append(facts, []string{"healthy", healthText(*e.Health)})
	}
	if s := e.Service; s != nil && s.Selector != nil {
		facts = append(facts, []string{"selector", s.Selector.Labels})
	}
	if r := e.Rules; r != nil {
		ttl := ""
		if r.TTL != nil {
			ttl = strconv.FormatUint(uint64(*r.TTL), 10)
		}
		facts = append(facts, []string{"mode", orZone(r.Mode)}, []string{"ttl", orZone(ttl)})
		if r.Topology != "" {
			facts = append(facts, []string{"topology", r.Topology + ", " + placeText(*r)})
		}
	}
	for _, n := range e.Names {
		facts = append(facts, []string{"holds", n})
	}
	for _, n := range e.Near {
		facts = append(facts, []string{"meant?", n})
	}
	if err := table(c.App.Writer, "", facts); err != nil || len(e.Instances) == 0 {
		return err
	}
	rows := make([][]string, 0, len(e.Instances))
	for _, i := range e.Instances {
		answered, share, srv := "yes", fmt.Sprintf("%.1f%%", 100*i.Share), "-"
		if !i.Answered {
			answered, share = "no: "+i.Why, "-"
		}
		if i.SRVWeight > 0 {
			srv = fmt.Sprintf("%d %d", i.Priority, i.SRVWeight)
		}
		row := []string{client.Endpoint(i.Address, i.Port), i.Cluster, answered, strconv.FormatFloat(i.Weight, 'g', -1, 64), share, srv}
		if i.Service != nil { // of an address: instances have no part in it
			row[4] = "-"
			row = append(row, path(*i.Service))
		}
		rows = append(rows, row)
	}
	fmt.Fprintln(c.App.Writer)
	heading := "ENDPOINT CLUSTER ANSWERED WEIGHT SHARE SRV"
	if e.Service == nil {
		heading += " SERVICE"
	}
	return table(c.App.Writer, heading, rows)
}

// nameKind says what a name is and what it is made of.
func nameKind(e api.Explanation) string {
	kind := map[string]string{
		"service": "a service", "instance": "what a service has at an address", "address": "an address that is registered",
		"list": "a list to browse", "reverse": "the reverse name of an address",
		"zone": "a zone of this server", "nameserver": "a name server of the zones", "above": "nothing itself, and leads to names that are",
		"unknown": "no name here", "outside": "in no zone of this server",
	}[e.Is]
	var by []string
	for _, part := range e.By {
		by = append(by, map[string]string{
			"folded": "its folded name", "exact": "its exact name", "cluster": "cluster " + e.Cluster, "version": "version " + e.Version,
			"selector": "a selector", "browse": "its name in a list", "inst": "address " + e.Address,
		}[part])
	}
	if e.Protocol != "" {
		by = append(by, "protocol "+e.Protocol)
	}
	if len(by) > 0 {
		kind += ", by " + strings.Join(by, ", ")
	}
	return kind
}

func outcome(e api.Explanation) string {
	text := map[string]string{
		"found": "there is one", "nodata": "none: the name exists and has nothing of this type", "nxdomain": "no such name",
		"refused": "refused: the name is in no zone of this server",
	}[e.Status]
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

func claimText(c api.Claim) string {
	text, others := c.Name+" is free", ", wanted by "
	if h := c.Holder; h != nil && h.Kept {
		text = c.Name + " is kept for " + path(h.ServiceRef) + ", which is gone"
	} else if h != nil {
		text, others = c.Name+" is held by "+path(h.ServiceRef), ", shadows "
	}
	for _, s := range c.Shadowed {
		text += others + path(s)
	}
	return text
}

func healthText(h api.HealthOfName) string {
	text := fmt.Sprintf("%d/%d, protect threshold %s", h.Healthy, h.All, strconv.FormatFloat(h.Threshold, 'g', -1, 64))
	if h.Protected {
		text += " holds: all are answered"
	}
	return text
}

func placeText(r api.AnswerRules) string {
	if r.Zone == "" && r.Region == "" {
		return "and it is not known where the question comes from"
	}
	return fmt.Sprintf("asked from zone %s, region %s", orDash(r.Zone), orDash(r.Region))
}

func orZone(s string) string {
	if s == "" {
		return "as the zone has it"
	}
	return s
}
