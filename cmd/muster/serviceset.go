package main

import (
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func setServiceCommand() *cli.Command {
	return &cli.Command{Name: "set", Usage: "declare a service, or change how it is answered", ArgsUsage: "SERVICE",
		Description: "What is not given stays as it is; what is given empty is as the zone has it again. A service that is declared\n" +
			"needs no instances to be there. Its kind is settled at its creation.",
		Flags: namedFlags(termFlags(
			&cli.StringFlag{Name: "dns-ttl", Usage: "`SECONDS` that its records may be kept"},
			&cli.StringFlag{Name: "dns-mode", Usage: "`MODE` of answers with addresses: ordered, sampled or single"},
			&cli.StringFlag{Name: "dns-topology", Aliases: []string{"topology"}, Usage: "`TOPOLOGY`: prefer instances of the zone of who asks, or pin them"},
			&cli.Float64Flag{Name: "protect-threshold", Usage: "`SHARE` of healthy instances, 0 to 1, at and below which all are answered; 0 for none"},
			&cli.StringFlag{Name: "selector", Usage: "`EXPRESSION` over labels that consumer and instance must share; empty for none"},
			editsFlag(),
			&cli.BoolFlag{Name: "ephemeral", Usage: "its instances live by beats; at creation alone"},
			createFlag())...),
		Action: setService}
}

func setService(c *cli.Context) error {
	args, on, remote, err := writeCall(c, "SERVICE")
	if err != nil {
		return err
	}
	change, err := serviceChange(c)
	if err != nil {
		return err
	}
	n, verb := nameOf(c, args[0]), "declared"
	var s api.Service
	var tag string
	err = amend(c.Context, on, func() (string, error) {
		s, tag, err = remote.ServiceAt(c.Context, n)
		if err := unlessMissing(err); err != nil {
			return "", err
		}
		if tag != "" {
			verb = "changed"
		}
		if tag != "" && !changesService(c) && !on.CreateOnly {
			return "", usagef("nothing to set: the service is there, and no flag says what to change of it")
		}
		return tag, nil
	}, func(over client.Terms) (err error) {
		s, err = remote.PutService(c.Context, n, change(s), over)
		return err
	})
	if err != nil {
		return err
	}
	return show(c, s, "", append([][]string{{did(on, verb), n.String()}}, serviceDetails(s)...))
}

// changesService reports whether any flag says something of the service.
func changesService(c *cli.Context) bool {
	return slices.ContainsFunc([]string{"dns-ttl", "dns-mode", "dns-topology", "protect-threshold", "selector", "metadata", "ephemeral"}, c.IsSet)
}

// serviceChange returns what the flags make of a service.
func serviceChange(c *cli.Context) (change func(api.Service) api.ServiceSpec, err error) {
	var ttl *uint32
	if text := c.String("dns-ttl"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, usagef("dns-ttl: %q is not a number of seconds from 0 to 2147483647", text)
		}
		ttl = new(uint32(seconds))
	}
	return func(s api.Service) api.ServiceSpec {
		spec := api.ServiceSpec{ProtectThreshold: s.ProtectThreshold, Metadata: editsOf(c).over(s.Metadata), DNS: s.DNS}
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
		if c.IsSet("selector") {
			spec.Selector = &api.Selector{Labels: c.String("selector")}
		}
		if c.IsSet("ephemeral") {
			spec.Ephemeral = new(c.Bool("ephemeral"))
		}
		return spec
	}, nil
}
