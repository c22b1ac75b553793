package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func instanceCommand() *cli.Command {
	return &cli.Command{Name: "instance", Usage: "register, deregister and list instances", Subcommands: []*cli.Command{
		{Name: "register", Usage: "register an instance; it stays until deregistered, unless --beat keeps it alive from here",
			ArgsUsage: "SERVICE ADDRESS:PORT", Flags: namedFlags(
				&cli.Float64Flag{Name: "weight", Value: 1, Usage: "share of the traffic, 0 to 10000"},
				&cli.StringFlag{Name: "cluster", Usage: "cluster `NAME`"},
				&cli.GenericFlag{Name: "metadata", Aliases: []string{"m"}, Value: &metadata{}, Usage: "`KEY=VALUE`, repeatable"},
				&cli.BoolFlag{Name: "beat", Usage: "register it as ephemeral, beat until interrupted, then deregister it"}),
			Action: registerInstance},
		{Name: "deregister", Usage: "deregister an instance", ArgsUsage: "SERVICE ADDRESS:PORT", Flags: namedFlags(), Action: deregisterInstance},
		{Name: "list", Usage: "list the instances of a service", ArgsUsage: "SERVICE", Flags: namedFlags(
			&cli.StringFlag{Name: "cluster", Usage: "only this cluster `NAME`"},
			&cli.BoolFlag{Name: "healthy", Usage: "only what DNS answers"}), Action: listInstances},
	}}
}

func registerInstance(c *cli.Context) error {
	args, err := names(c, "SERVICE", "ADDRESS:PORT")
	if err != nil {
		return err
	}
	host, port, err := splitEndpoint(args[1])
	if err != nil {
		return err
	}
	i := api.Instance{Address: host, Port: port, Cluster: c.String("cluster"), Weight: new(c.Float64("weight")), Ephemeral: c.Bool("beat")}
	if w := c.Float64("weight"); !(w >= 0 && w <= 10000) {
		return usagef("weight: %v is not between 0 and 10000", w)
	}
	if m, ok := c.Generic("metadata").(*metadata); ok {
		i.Metadata = *m
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	stands, err := remote.Register(c.Context, nameOf(c, args[0]), i)
	if err != nil {
		return err
	}
	if err := show(c, stands, "", [][]string{{"registered", describe(stands)}}); err != nil || !i.Ephemeral {
		return err
	}
	return keepBeating(c, remote, nameOf(c, args[0]), i)
}

// keepBeating beats until the command is interrupted, and deregisters then. An
// instance that is gone from the server is registered again.
func keepBeating(c *cli.Context, remote *client.Client, n client.Name, i api.Instance) error {
	endpoint := client.Endpoint(i.Address, i.Port)
	wait := time.Duration(0)
	for {
		select {
		case <-time.After(wait):
		case <-c.Done():
			return remote.Deregister(withoutCancel(c.Context, 5*time.Second), n, endpoint)
		}
		next, err := remote.Beat(c.Context, n, endpoint)
		if errors.Is(err, client.ErrNotFound) {
			_, err = remote.Register(c.Context, n, i)
		}
		if err != nil && c.Err() == nil {
			fmt.Fprintln(c.App.ErrWriter, "muster: beat:", err)
		}
		wait = max(next, time.Second)
	}
}

func deregisterInstance(c *cli.Context) error {
	args, err := names(c, "SERVICE", "ADDRESS:PORT")
	if err != nil {
		return err
	}
	host, port, err := splitEndpoint(args[1])
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	return remote.Deregister(c.Context, nameOf(c, args[0]), client.Endpoint(host, port))
}

func listInstances(c *cli.Context) error {
	args, err := names(c, "SERVICE")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	list, err := remote.Instances(c.Context, nameOf(c, args[0]), client.InstanceQuery{Healthy: c.Bool("healthy"), Cluster: c.String("cluster")})
	if err != nil {
		return err
	}
	rows := make([][]string, 0, len(list.Instances))
	for _, i := range list.Instances {
		rows = append(rows, []string{client.Endpoint(i.Address, i.Port), i.Cluster, weight(i), state(i), orDash(i.Witness), pairs(i.Metadata)})
	}
	return show(c, list, "ENDPOINT CLUSTER WEIGHT STATE WITNESS METADATA", rows)
}

func splitEndpoint(s string) (string, uint16, error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, usagef("%q is not of the form ADDRESS:PORT", s)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, usagef("port: %q is not a number from 0 to 65535", text)
	}
	return host, uint16(port), nil
}

func describe(i api.Instance) string {
	return strings.TrimSpace(strings.Join([]string{client.Endpoint(i.Address, i.Port), "weight", weight(i), "cluster", i.Cluster, state(i), pairs(i.Metadata)}, " "))
}

func weight(i api.Instance) string {
	if i.Weight == nil {
		return "1"
	}
	return strconv.FormatFloat(*i.Weight, 'g', -1, 64)
}

func state(i api.Instance) string {
	switch {
	case i.Enabled != nil && !*i.Enabled:
		return "disabled"
	case i.Healthy != nil && !*i.Healthy:
		return "unhealthy"
	}
	return "healthy"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func pairs(m map[string]string) string {
	all := make([]string, 0, len(m))
	for k, v := range m {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// metadata is a flag whose values may hold commas, at which a list would part.
type metadata map[string]string

func (m *metadata) String() string { return "" }

// Set takes one more pair.
func (m *metadata) Set(kv string) error {
	k, v, ok := strings.Cut(kv, "=")
	if !ok || k == "" {
		return fmt.Errorf("metadata: %q is not of the form KEY=VALUE", kv)
	}
	if *m == nil {
		*m = metadata{}
	}
	(*m)[k] = v
	return nil
}
