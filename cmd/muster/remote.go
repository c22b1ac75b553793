package main

import (
	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
)

// remoteFlags are those of every command that asks a server.
func remoteFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"MUSTER_SERVER"}, Value: cli.NewStringSlice(client.DefaultServer), Usage: "`URL` of a server, repeatable"},
		outputFlag(),
	}, append(trustFlags(), more...)...)
}

// trustFlags say whom a command trusts that asks a server, and who it is itself.
func trustFlags() []cli.Flag { return append([]cli.Flag{tokenFlag()}, certFlags("servers")...) }

// certFlags name the certificates of connections to others.
func certFlags(others string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ca", EnvVars: []string{"MUSTER_CA"}, Usage: "`FILE` with the authorities of https " + others, DefaultText: "those of the system"},
		&cli.StringFlag{Name: "cert", EnvVars: []string{"MUSTER_CERT"}, Usage: "certificate `FILE` to show to https " + others},
		&cli.StringFlag{Name: "key", EnvVars: []string{"MUSTER_KEY"}, Usage: "key `FILE` of that certificate"},
	}
}

// certFiles are the files that they name.
func certFiles(c *cli.Context) certs.Files {
	return certs.Files{Cert: c.String("cert"), Key: c.String("key"), CA: c.String("ca")}
}

// newClient returns a client of servers that trusts what the flags of a command say, and
// bears the token that they name unless cfg has one.
func newClient(c *cli.Context, servers []string, cfg client.Config) (*client.Client, error) {
	return newClientWith(c, servers, cfg, certFiles(c))
}

// newClientWith is newClient with these files in place of those that the flags name.
func newClientWith(c *cli.Context, servers []string, cfg client.Config, files certs.Files) (*client.Client, error) {
	trust, err := certs.Open(files, nil)
	if err != nil {
		return nil, usageError{err}
	}
	if cfg.Token == nil {
		cfg.Token = tokenOf(c)
	}
	cfg.UserAgent, cfg.DialTLS = "muster/"+version, trust.Dialer("h2", "http/1.1")
	remote, err := client.New(servers, cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return remote, nil
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
	return newClient(c, c.StringSlice("server"), client.Config{Identity: reader})
}

func nameOf(c *cli.Context, name string) client.Name {
	return client.Name{Namespace: c.String("namespace"), Group: c.String("group"), Name: name}
}
