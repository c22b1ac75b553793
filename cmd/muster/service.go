package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func serviceCommand() *cli.Command {
	return &cli.Command{Name: "service", Usage: "list, show and set services", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the services of a namespace", Flags: remoteFlags(
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"MUSTER_NAMESPACE"}, Value: "public", Usage: "namespace `NAME`"},
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringFlag{Name: "search", Usage: "only names that contain `TEXT`"}), Action: listServices},
		{Name: "show", Usage: "show one service, its DNS names and its instances", ArgsUsage: "SERVICE",
			Flags: namedFlags(), Action: showService},
		{Name: "set", Usage: "change how a service is answered", ArgsUsage: "SERVICE",
			Description: "What is not given stays as it is; what is given empty is as the zone has it again.",
			Flags: namedFlags(
				&cli.StringFlag{Name: "dns-ttl", Usage: "`SECONDS` that its records may be kept"},
				&cli.StringFlag{Name: "dns-mode", Usage: "`MODE` of answers with addresses: ordered, sampled or single"},
				&cli.StringFlag{Name: "dns-topology", Usage: "`TOPOLOGY`: prefer instances of the zone of who asks, or pin them"},
				&cli.Float64Flag{Name: "protect-threshold", Usage: "`SHARE` of healthy instances, 0 to 1, at and below which all are answered; 0 for none"}),
			Action: setService},
		{Name: "claim", Usage: "make a service the holder of its folded DNS name, whoever holds it now", ArgsUsage: "SERVICE",
			Description: "The service that held it keeps its exact name alone: clients of the folded name meet another service from then on.",
			Flags:       namedFlags(), Action: claimName},
	}}
}

func listServices(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	all, err := every(func(number int) ([]api.Service, int, error) {
		list, err := remote.Services(c.Context, client.Query{Namespace: c.String("namespace"), Group: c.String("group"),
			Search: c.String("search"), Page: number, Size: pageSize})
		return list.Services, list.Total, err
	})
	if err != nil {
		return err
	}
	rows := make([][]string, 0, len(all))
	for _, s := range all {
		rows = append(rows, []string{s.Group, s.Name, kind(s.Ephemeral), fmt.Sprintf("%d/%d", s.HealthyCount, s.InstanceCount), dnsName(s)})
	}
	return show(c, all, "GROUP NAME KIND HEALTHY DNS", rows)
}

func showService(c *cli.Context) error {
	args, err := names(c, "SERVICE")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	list, err := remote.Instances(c.Context, nameOf(c, args[0]), client.InstanceQuery{})
	if err != nil {
		return err
	}
	s := list.Service
	rows := [][]string{
		{"namespace", s.Namespace}, {"group", s.Group}, {"name", s.Name}, {"kind", kind(s.Ephemeral)},
		{"dns", dnsName(s)}, {"dns exact", s.DNSExact},
		{"dns options", dnsOptions(s)},
		{"protect threshold", strconv.FormatFloat(s.ProtectThreshold, 'g', -1, 64)},
		{"healthy", fmt.Sprintf("%d/%d", s.HealthyCount, s.InstanceCount)},
	}
	for _, i := range list.Instances {
		rows = append(rows, []string{"instance", describe(i)})
	}
	return show(c, list, "", rows)
}

func setService(c *cli.Context) error {
	args, err := names(c, "SERVICE")
	if err != nil {
		return err
	}
	if !c.IsSet("dns-ttl") && !c.IsSet("dns-mode") && !c.IsSet("dns-topology") && !c.IsSet("protect-threshold") {
		return usagef("nothing to set: --dns-ttl, --dns-mode, --dns-topology or --protect-threshold is missing")
	}
	var ttl *uint32
	if text := c.String("dns-ttl"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return usagef("dns-ttl: %q is not a number of seconds from 0 to 2147483647", text)
		}
		ttl = new(uint32(seconds))
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	n := nameOf(c, args[0])
	s, err := remote.Service(c.Context, n)
	if err != nil {
		return err
	}
	spec := api.ServiceSpec{ProtectThreshold: s.ProtectThreshold, Metadata: s.Metadata, DNS: s.DNS}
	if spec.DNS == nil {
		spec.DNS = &api.ServiceDNS{}
	}
	if c.IsSet("dns-ttl") {
		spec.DNS.TTL = ttl
	}
	if c.IsSet("dns-mode") {
		spec.DNS.Mode = c.String("dns-mode")
	}
	if c.IsSet("dns-topology") {
		spec.DNS.Topology = c.String("dns-topology")
	}
	if c.IsSet("protect-threshold") {
		spec.ProtectThreshold = c.Float64("protect-threshold")
	}
	if s, err = remote.PutService(c.Context, n, spec); err != nil {
		return err
	}
	return show(c, s, "", [][]string{
		{"dns options", dnsOptions(s)}, {"protect threshold", strconv.FormatFloat(s.ProtectThreshold, 'g', -1, 64)},
	})
}

func claimName(c *cli.Context) error {
	args, err := names(c, "SERVICE")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	n := nameOf(c, args[0])
	was, err := remote.Service(c.Context, n)
	if err != nil {
		return err
	}
	s, err := remote.ClaimName(c.Context, n)
	if err != nil {
		return err
	}
	text := "was free"
	switch h := was.DNSHolder; {
	case was.DNSName != "":
		text = "was held by it already"
	case h != nil && h.Kept:
		text = "was kept for " + path(h.ServiceRef) + ", which is gone"
	case h != nil:
		text = "was held by " + path(h.ServiceRef) + ", which has its exact name alone now"
	}
	return show(c, s, "", [][]string{{s.DNSName, text}})
}

func path(s api.ServiceRef) string { return s.Namespace + "/" + s.Group + "/" + s.Name }

// dnsOptions says how a service wants to be answered.
func dnsOptions(s api.Service) string {
	if s.DNS == nil {
		return "as the zone has them"
	}
	var said []string
	if s.DNS.TTL != nil {
		said = append(said, fmt.Sprintf("ttl %d", *s.DNS.TTL))
	}
	if s.DNS.Mode != "" {
		said = append(said, "mode "+s.DNS.Mode)
	}
	if s.DNS.Topology != "" {
		said = append(said, "topology "+s.DNS.Topology)
	}
	return strings.Join(said, ", ")
}

func kind(ephemeral bool) string {
	if ephemeral {
		return "ephemeral"
	}
	return "persistent"
}

// dnsName is the friendly name below the zone, or why there is none.
func dnsName(s api.Service) string {
	switch h := s.DNSHolder; {
	case s.DNSName != "":
		return s.DNSName
	case h != nil && h.Kept:
		return fmt.Sprintf("%s (shadowed: %s is kept for %s, which is gone)", s.DNSExact, s.DNSFolded, path(h.ServiceRef))
	case h != nil:
		return fmt.Sprintf("%s (shadowed: %s is held by %s)", s.DNSExact, s.DNSFolded, path(h.ServiceRef))
	case s.DNSShadowed:
		return fmt.Sprintf("%s (shadowed: %s is free by now, muster service claim takes it)", s.DNSExact, s.DNSFolded)
	}
	return s.DNSExact
}
