package main

import (
	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
)

// remoteFlags are those of every command that asks a server.
func remoteFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"MUSTER_SERVER"}, Value: cli.NewStringSlice(client.DefaultServer), Usage: "`URL` of a server, repeatable"},
		outputFlag(),
	}, more...)
}

// namedFlags are those of commands about something that has a namespace and a group.
func namedFlags(more ...cli.Flag) []cli.Flag {
	return remoteFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"MUSTER_NAMESPACE"}, Value: "public", Usage: "namespace `NAME`"},
		&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Value: "DEFAULT_GROUP", Usage: "group `NAME`"},
	}, more...)...)
}

func dial(c *cli.Context) (*client.Client, error) {
	remote, err := client.New(c.StringSlice("server"), client.Config{UserAgent: "muster/" + version})
	if err != nil {
		return nil, usageError{err}
	}
	return remote, nil
}

func nameOf(c *cli.Context, name string) client.Name {
	return client.Name{Namespace: c.String("namespace"), Group: c.String("group"), Name: name}
}
