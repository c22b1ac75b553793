package main

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func namespaceCommand() *cli.Command {
	said := func() []cli.Flag {
		return []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` for people"},
			&cli.StringFlag{Name: "description", Usage: "what it is for"},
		}
	}
	return &cli.Command{Name: "namespace", Usage: "list, show, create, set and remove namespaces", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list namespaces, those that are used and not declared too",
			Flags: remoteFlags(&cli.StringFlag{Name: "search", Usage: "only those whose id or name contains `TEXT`"}), Action: listNamespaces},
		{Name: "show", Usage: "show one namespace", ArgsUsage: "NAMESPACE", Flags: remoteFlags(), Action: showNamespace},
		{Name: "create", Usage: "declare a namespace", ArgsUsage: "NAMESPACE",
			Description: "A namespace needs no declaration to be used.",
			Flags:       remoteFlags(append(said(), dryRunFlag())...), Action: createNamespace},
		{Name: "set", Usage: "change what is said of a namespace", ArgsUsage: "NAMESPACE",
			Description: "What is not given stays as it is. One that is used and not declared is declared by it.",
			Flags:       remoteFlags(termFlags(said()...)...), Action: setNamespace},
		{Name: "rm", Usage: "take the declaration of a namespace back", ArgsUsage: "NAMESPACE",
			Flags: remoteFlags(termFlags(&cli.BoolFlag{Name: "leave", Usage: "also while services or documents are in it: they stay where they are"})...), Action: removeNamespace},
	}}
}

func listNamespaces(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	all, err := every(func(number int) ([]api.Namespace, int, error) {
		list, err := remote.Namespaces(c.Context, client.Query{Search: c.String("search"), Page: number, Size: pageSize})
		return list.Namespaces, list.Total, err
	})
	if err != nil {
		return err
	}
	return show(c, all, "NAMESPACE DECLARED SERVICES CONFIGS NAME DESCRIPTION", rows(all, func(n api.Namespace) []string {
		return []string{n.ID, yesNo(n.Declared), strconv.Itoa(n.Services), strconv.Itoa(n.Configs), orDash(n.Name), n.Description}
	}))
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// namespaceCall returns what every command about one namespace needs.
func namespaceCall(c *cli.Context) (id string, on client.Terms, remote *client.Client, err error) {
	args, on, remote, err := writeCall(c, "NAMESPACE")
	if err != nil {
		return "", on, nil, err
	}
	return args[0], on, remote, nil
}

func showNamespace(c *cli.Context) error {
	id, _, remote, err := namespaceCall(c)
	if err != nil {
		return err
	}
	n, _, err := remote.Namespace(c.Context, id)
	if err != nil {
		return err
	}
	return show(c, n, "", namespaceDetails(n))
}

func namespaceDetails(n api.Namespace) [][]string {
	return [][]string{
		{"namespace", n.ID}, {"name", orDash(n.Name)}, {"description", orDash(n.Description)}, {"declared", yesNo(n.Declared)},
		{"services", strconv.Itoa(n.Services)}, {"configs", strconv.Itoa(n.Configs)}, {"revision", strconv.FormatInt(n.Revision, 10)},
	}
}

func createNamespace(c *cli.Context) error {
	id, on, remote, err := namespaceCall(c)
	if err != nil {
		return err
	}
	on.CreateOnly = true
	n, err := remote.PutNamespace(c.Context, id, api.NamespaceSpec{Name: c.String("name"), Description: c.String("description")}, on)
	if err != nil {
		return err
	}
	return show(c, n, "", append([][]string{{did(on, "created"), id}}, namespaceDetails(n)[1:]...))
}

func setNamespace(c *cli.Context) error {
	id, on, remote, err := namespaceCall(c)
	if err != nil {
		return err
	}
	if !c.IsSet("name") && !c.IsSet("description") {
		return usagef("nothing to set: --name or --description is missing")
	}
	var n api.Namespace
	err = amend(c.Context, on, func() (tag string, err error) {
		n, tag, err = remote.Namespace(c.Context, id)
		return tag, err
	}, func(over client.Terms) error {
		spec := api.NamespaceSpec{Name: n.Name, Description: n.Description}
		if c.IsSet("name") {
			spec.Name = c.String("name")
		}
		if c.IsSet("description") {
			spec.Description = c.String("description")
		}
		n, err = remote.PutNamespace(c.Context, id, spec, over)
		return err
	})
	if err != nil {
		return err
	}
	return show(c, n, "", append([][]string{{did(on, "changed"), id}}, namespaceDetails(n)[1:]...))
}

func removeNamespace(c *cli.Context) error {
	id, on, remote, err := namespaceCall(c)
	if err != nil {
		return err
	}
	if err := remote.DeleteNamespace(c.Context, id, c.Bool("leave"), on); err != nil {
		return err
	}
	return showRemoval(c, on, "removed", id)
}
