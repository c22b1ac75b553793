package main

import (
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func instanceCommand() *cli.Command {
	return &cli.Command{Name: "instance", Usage: "register, list, watch, set, drain and deregister instances", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the instances of a service", ArgsUsage: "SERVICE", Flags: namedFlags(
			&cli.StringFlag{Name: "cluster", Usage: "only this cluster `NAME`"},
			&cli.BoolFlag{Name: "healthy", Usage: "only what DNS answers"}), Action: listInstances},
		{Name: "show", Usage: "show one instance, with what its owner declares and what an operator says of it", ArgsUsage: "SERVICE ADDRESS:PORT",
			Flags: namedFlags(), Action: showInstance},
		watchInstancesCommand(),
		{Name: "register", Usage: "register an instance; it stays until deregistered, unless --beat keeps it alive from here",
			ArgsUsage: "SERVICE ADDRESS:PORT", Flags: namedFlags(termFlags(
				&cli.Float64Flag{Name: "weight", Value: 1, Usage: "share of the traffic, 0 to 10000"},
				&cli.StringFlag{Name: "cluster", Usage: "cluster `NAME`"},
				metadataFlag(),
				&cli.BoolFlag{Name: "check", Usage: "have the servers check it by TCP, unless its cluster says how"},
				&cli.BoolFlag{Name: "beat", Usage: "register it as ephemeral, beat until interrupted, then deregister it"},
				createFlag())...),
			Action: registerInstance},
		{Name: "deregister", Usage: "deregister an instance", ArgsUsage: "SERVICE ADDRESS:PORT",
			Description: "What an agent or a client keeps registered comes back: disable that.",
			Flags:       namedFlags(termFlags()...), Action: deregisterInstance},
		setInstanceCommand(),
		{Name: "enable", Usage: "let an instance be answered again, whatever its owner declares", ArgsUsage: "SERVICE ADDRESS:PORT",
			Flags: namedFlags(termFlags()...), Action: enableInstance(true)},
		{Name: "disable", Usage: "have an instance not answered, whatever its owner declares", ArgsUsage: "SERVICE ADDRESS:PORT",
			Description: "It lasts for as long as the instance is there and a minute more, or for good once `muster instance set --pin` says so.",
			Flags:       namedFlags(termFlags()...), Action: enableInstance(false)},
		drainCommand(),
	}}
}

// instanceOf returns the service and the endpoint that a command is about.
func instanceOf(c *cli.Context) (n client.Name, host string, port uint16, err error) {
	args, err := names(c, "SERVICE", "ADDRESS:PORT")
	if err != nil {
		return n, "", 0, err
	}
	host, port, err = splitEndpoint(args[1])
	return nameOf(c, args[0]), host, port, err
}

func registerInstance(c *cli.Context) error {
	n, host, port, err := instanceOf(c)
	if err != nil {
		return err
	}
	on, err := termsOf(c)
	if err != nil {
		return err
	}
	i := api.Instance{Address: host, Port: port, Cluster: c.String("cluster"), Weight: new(c.Float64("weight")), Ephemeral: c.Bool("beat"),
		Checked: c.Bool("check"), Metadata: pairsOf(c, "metadata")}
	if w := c.Float64("weight"); !(w >= 0 && w <= 10000) {
		return usagef("weight: %v is not between 0 and 10000", w)
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	stands, err := remote.Register(c.Context, n, i, on)
	if err != nil {
		return err
	}
	if err := show(c, stands, "", [][]string{{did(on, "registered"), describe(stands)}}); err != nil || !i.Ephemeral || on.DryRun {
		return err
	}
	return keepBeating(c, remote, n, i)
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
			remark(c, "beat: %v", err)
		}
		wait = max(next, time.Second)
	}
}

func deregisterInstance(c *cli.Context) error {
	n, host, port, err := instanceOf(c)
	if err != nil {
		return err
	}
	on, err := termsOf(c)
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	endpoint := client.Endpoint(host, port)
	if err := remote.Deregister(c.Context, n, endpoint, on); err != nil {
		return err
	}
	return showRemoval(c, on, "deregistered", endpoint)
}

func showInstance(c *cli.Context) error {
	n, host, port, err := instanceOf(c)
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	i, _, err := remote.Instance(c.Context, n, client.Endpoint(host, port))
	if err != nil {
		return err
	}
	return show(c, i, "", instanceDetails(n, i))
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
	return show(c, list, instanceHeading, rows(list.Instances, instanceRow))
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
