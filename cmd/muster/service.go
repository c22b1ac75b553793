package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func serviceCommand() *cli.Command {
	return &cli.Command{Name: "service", Usage: "list and show services", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the services of a namespace", Flags: remoteFlags(
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"MUSTER_NAMESPACE"}, Value: "public", Usage: "namespace `NAME`"},
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringFlag{Name: "search", Usage: "only names that contain `TEXT`"}), Action: listServices},
		{Name: "show", Usage: "show one service, its DNS names and its instances", ArgsUsage: "SERVICE",
			Flags: namedFlags(), Action: showService},
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
		{"protect threshold", strconv.FormatFloat(s.ProtectThreshold, 'g', -1, 64)},
		{"healthy", fmt.Sprintf("%d/%d", s.HealthyCount, s.InstanceCount)},
	}
	for _, i := range list.Instances {
		rows = append(rows, []string{"instance", describe(i)})
	}
	return show(c, list, "", rows)
}

func kind(ephemeral bool) string {
	if ephemeral {
		return "ephemeral"
	}
	return "persistent"
}

// dnsName is the friendly name below the zone, or why there is none.
func dnsName(s api.Service) string {
	switch {
	case s.DNSName != "":
		return s.DNSName
	case s.DNSShadowed:
		return s.DNSExact + " (its folded name is another service's)"
	}
	return s.DNSExact
}
