package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configCommand() *cli.Command {
	return &cli.Command{Name: "config", Usage: "get, put, remove and list configuration documents, and keep folders of them", Subcommands: append([]*cli.Command{
		{Name: "get", Usage: "write a document's content to standard output", ArgsUsage: "DATAID", Flags: namedFlags(), Action: getConfig},
		{Name: "put", Usage: "publish a document from a file, or from standard input", ArgsUsage: "DATAID [FILE]", Flags: namedFlags(
			&cli.StringFlag{Name: "type", Usage: "`TYPE`: properties, xml, json, text, html, yaml or toml"},
			&cli.StringFlag{Name: "desc", Usage: "description"},
			&cli.StringFlag{Name: "if-match", Usage: "publish only over a content with this `MD5`"},
			&cli.BoolFlag{Name: "create", Usage: "publish only where there is no document"}), Action: putConfig},
		{Name: "rm", Usage: "remove a document", ArgsUsage: "DATAID", Flags: namedFlags(), Action: removeConfig},
		{Name: "list", Usage: "list the documents of a namespace", Flags: remoteFlags(
			namespaceFlag(),
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringFlag{Name: "search", Usage: "only data ids that contain `TEXT`"}), Action: listConfigs},
		configKeyCommand(),
	}, folderCommands()...)}
}

func getConfig(c *cli.Context) error {
	args, err := names(c, "DATAID")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	d, err := remote.Config(c.Context, nameOf(c, args[0]))
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(d.Content)
	return err
}

func putConfig(c *cli.Context) error {
	args, err := names(c, "DATAID", "[FILE]")
	if err != nil {
		return err
	}
	content, err := readContent(args[1])
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	head, err := remote.PutConfig(c.Context, nameOf(c, args[0]), content, client.ConfigWrite{
		Type: c.String("type"), Desc: c.String("desc"), IfMatch: c.String("if-match"), CreateOnly: c.Bool("create")})
	if err != nil {
		return err
	}
	return show(c, head, "", [][]string{{"published", head.DataID, "md5 " + head.MD5, "revision " + strconv.FormatInt(head.Revision, 10)}})
}

// maxContent is a little more than a server takes: its refusal is the better
// error, but not at any size.
const maxContent = 11 << 20

func readContent(path string) ([]byte, error) {
	from := io.Reader(os.Stdin)
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	content, err := io.ReadAll(io.LimitReader(from, maxContent))
	if err == nil && len(content) == maxContent {
		err = fmt.Errorf("the content is longer than %d bytes", maxContent-1)
	}
	return content, err
}

func removeConfig(c *cli.Context) error {
	args, err := names(c, "DATAID")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	return remote.DeleteConfig(c.Context, nameOf(c, args[0]), "")
}

func listConfigs(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	all, err := every(func(number int) ([]api.Config, int, error) {
		list, err := remote.Configs(c.Context, client.Query{Namespace: c.String("namespace"), Group: c.String("group"),
			Search: c.String("search"), Page: number, Size: pageSize})
		return list.Configs, list.Total, err
	})
	if err != nil {
		return err
	}
	return show(c, all, "GROUP DATAID TYPE SIZE MD5 MODIFIED", rows(all, func(d api.Config) []string {
		return []string{d.Group, d.DataID, d.Type, strconv.Itoa(d.Size), d.MD5, d.Modified.Format(time.RFC3339)}
	}))
}
