package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func serviceCommand() *cli.Command {
	return &cli.Command{Name: "service", Usage: "list, show, watch, declare, set and remove services", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the services of a namespace", Flags: listFlags(
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringFlag{Name: "search", Usage: "only names that contain `TEXT`"}), Action: listServices},
		{Name: "show", Usage: "show one service, its DNS names, its clusters and its instances", ArgsUsage: "SERVICE",
			Flags: namedFlags(), Action: showService},
		watchServicesCommand(), setServiceCommand(),
		{Name: "rm", Usage: "remove a service that has no instances", ArgsUsage: "SERVICE", Flags: namedFlags(termFlags()...), Action: removeService},
		{Name: "claim", Usage: "make a service the holder of its folded DNS name, whoever holds it now", ArgsUsage: "SERVICE",
			Description: "The service that held it keeps its exact name alone: clients of the folded name meet another service from then on.",
			Flags:       namedFlags(termFlags()...), Action: claimName},
		clusterCommand(),
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
		list, err := remote.Services(c.Context, client.Query{Namespace: namespaceOf(c), Group: c.String("group"),
			Search: c.String("search"), Page: number, Size: pageSize})
		return list.Services, list.Total, err
	})
	if err != nil {
		return err
	}
	heading, row := serviceColumns(c)
	return show(c, all, heading, rows(all, row))
}

// serviceColumns are those of services in a list: with their namespaces where
// they are of several.
func serviceColumns(c *cli.Context) (heading string, row func(api.Service) []string) {
	row = func(s api.Service) []string {
		cells := []string{s.Group, s.Name, kind(s.Ephemeral), healthyOf(s), dnsName(s)}
		if namespaceOf(c) == "" {
			return append([]string{s.Namespace}, cells...)
		}
		return cells
	}
	heading = "GROUP NAME KIND HEALTHY DNS"
	if namespaceOf(c) == "" {
		heading = "NAMESPACE " + heading
	}
	return heading, row
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
	if err := show(c, list, "", serviceDetails(list.Service)); err != nil || c.String("output") != "table" || len(list.Instances) == 0 {
		return err
	}
	fmt.Fprintln(c.App.Writer)
	return table(c.App.Writer, instanceHeading, rows(list.Instances, instanceRow))
}

// serviceDetails are the lines about a service.
func serviceDetails(s api.Service) [][]string {
	lines := [][]string{
		{"namespace", s.Namespace}, {"group", s.Group}, {"name", s.Name}, {"kind", kind(s.Ephemeral)},
		{"dns", dnsName(s)}, {"dns exact", s.DNSExact},
		{"dns options", dnsOptions(s)},
		{"protect threshold", strconv.FormatFloat(s.ProtectThreshold, 'g', -1, 64)},
		{"healthy", healthyOf(s)},
	}
	if s.Selector != nil {
		lines = append(lines, []string{"selector", s.Selector.Labels})
	}
	if len(s.Metadata) > 0 {
		lines = append(lines, []string{"metadata", pairs(s.Metadata)})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Clusters)) {
		lines = append(lines, []string{"cluster " + name, clusterText(s.Clusters[name])})
	}
	return append(lines, []string{"revision", strconv.FormatInt(s.Revision, 10)})
}

func healthyOf(s api.Service) string { return fmt.Sprintf("%d/%d", s.HealthyCount, s.InstanceCount) }

func removeService(c *cli.Context) error {
	args, on, remote, err := writeCall(c, "SERVICE")
	if err != nil {
		return err
	}
	n := nameOf(c, args[0])
	if err := remote.DeleteService(c.Context, n, on); err != nil {
		return err
	}
	return showRemoval(c, on, "removed", n.String())
}

func claimName(c *cli.Context) error {
	args, on, remote, err := writeCall(c, "SERVICE")
	if err != nil {
		return err
	}
	n := nameOf(c, args[0])
	was, err := remote.Service(c.Context, n)
	if err != nil {
		return err
	}
	s, err := remote.ClaimName(c.Context, n, on)
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
	return show(c, s, "", [][]string{{s.DNSName, did(on, text)}})
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
