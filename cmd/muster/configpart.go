package main

import (
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configPartCommand() *cli.Command {
	return &cli.Command{Name: "part", Usage: "keep a document that is joined of parts", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the parts of a document", ArgsUsage: "DATAID", Flags: namedFlags(), Action: listParts},
		{Name: "get", Usage: "write a part to standard output", ArgsUsage: "DATAID PART", Flags: namedFlags(), Action: getPart},
		{Name: "put", Usage: "publish a part from a file, or from standard input", ArgsUsage: "DATAID PART [FILE]", Flags: namedFlags(
			&cli.StringFlag{Name: "type", Usage: "`TYPE` of the whole: properties, xml, json, text, html, yaml or toml"},
			&cli.StringFlag{Name: "app", Usage: "application `APP` that the whole belongs to"}), Action: putPart},
		{Name: "rm", Usage: "remove a part, and with the last one the document", ArgsUsage: "DATAID PART", Flags: namedFlags(), Action: removePart},
	}}
}

func listParts(c *cli.Context) error {
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	list, err := remote.Parts(c.Context, n)
	if err != nil {
		return err
	}
	return show(c, list.Parts, "PART SIZE MD5 MODIFIED BY", rows(list.Parts, func(p api.Part) []string {
		return []string{p.DatumID, strconv.Itoa(p.Size), p.MD5, p.Modified.Format(time.RFC3339), orDash(authorOf(p.User, p.IP))}
	}))
}

func getPart(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "PART")
	if err != nil {
		return err
	}
	content, err := remote.Part(c.Context, n, args[1])
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(content)
	return err
}

func putPart(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "PART", "[FILE]")
	if err != nil {
		return err
	}
	content, err := readContent(args[2])
	if err != nil {
		return err
	}
	head, err := remote.PutPart(c.Context, n, args[1], content, c.String("type"), c.String("app"))
	if err != nil {
		return err
	}
	return showWritten(c, "published", head)
}

func removePart(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "PART")
	if err != nil {
		return err
	}
	if err := remote.DeletePart(c.Context, n, args[1]); err != nil {
		return err
	}
	return showRemoval(c, client.Terms{}, "removed", args[1])
}
