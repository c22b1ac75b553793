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

func namespaceFlag() cli.Flag {
	return &cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"MUSTER_NAMESPACE"}, Value: "public", Usage: "namespace `NAME`"}
}

// listFlags are those of commands about all of a namespace, or of every one.
func listFlags(more ...cli.Flag) []cli.Flag {
	return remoteFlags(append([]cli.Flag{namespaceFlag(),
		&cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}, Usage: "of all namespaces"}}, more...)...)
}

// namespaceOf returns the namespace that is asked for, "" for all.
func namespaceOf(c *cli.Context) string {
	if c.Bool("all-namespaces") {
		return ""
	}
	return c.String("namespace")
}

// namedFlags are those of commands about something that has a namespace and a group.
func namedFlags(more ...cli.Flag) []cli.Flag {
	return remoteFlags(append([]cli.Flag{
		namespaceFlag(),
		&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Value: "DEFAULT_GROUP", Usage: "group `NAME`"},
	}, more...)...)
}

func dial(c *cli.Context) (*client.Client, error) {
	reader, err := readerOf(c)
	if err != nil {
		return nil, err
	}
	remote, err := client.New(c.StringSlice("server"), client.Config{UserAgent: "muster/" + version, Identity: reader})
	if err != nil {
		return nil, usageError{err}
	}
	return remote, nil
}

func nameOf(c *cli.Context, name string) client.Name {
	return client.Name{Namespace: c.String("namespace"), Group: c.String("group"), Name: name}
}
