package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configCommand() *cli.Command {
	return &cli.Command{Name: "config", Usage: "get, put, compare, revert, release and move configuration documents, and keep folders of them", Subcommands: append([]*cli.Command{
		{Name: "get", Usage: "write a document's content to standard output", ArgsUsage: "DATAID",
			Description: "Without another word it is what this client gets, which may be of a gray release: that is told on standard error.",
			Flags: namedFlags(append(readerFlags(),
				&cli.Int64Flag{Name: "version", Usage: "what the record `SEQ` of the history made"},
				&cli.StringFlag{Name: "as-of", Usage: "what stood at a `TIME` such as 2026-01-02T15:04:05Z, or at a revision"},
				&cli.StringFlag{Name: "release", Usage: "the gray `RELEASE`"},
				&cli.BoolFlag{Name: "formal", Usage: "the document itself, whatever gray release this client would get"})...), Action: getConfig},
		{Name: "put", Usage: "publish a document from a file, or from standard input", ArgsUsage: "DATAID [FILE]",
			Description: "What is not said of a document that is there stays as it is.",
			Flags:       namedFlags(append(metaFlags(), configTermFlags(createFlag())...)...), Action: putConfig},
		{Name: "rm", Usage: "remove a document", ArgsUsage: "DATAID", Flags: namedFlags(configTermFlags()...), Action: removeConfig},
		{Name: "list", Usage: "list and search the documents of a namespace", Flags: listFlags(
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only this group `NAME`"},
			&cli.StringFlag{Name: "search", Usage: "only data ids that contain `TEXT`, in any case"},
			&cli.StringFlag{Name: "data-id", Usage: "only this data id, a `PATTERN` in which * stands for any text"},
			&cli.StringFlag{Name: "content", Usage: "only documents that hold this `TEXT`"},
			&cli.StringFlag{Name: "app", Usage: "only documents of this application `APP`"},
			&cli.StringSliceFlag{Name: "tag", Usage: "only documents with this `TAG`; repeatable: with one of them"},
			&cli.StringSliceFlag{Name: "type", Usage: "only documents of this `TYPE`; repeatable: of one of them"}), Action: listConfigs},
		configLogCommand(), configShowCommand(), configDiffCommand(), configRevertCommand(), configWatchCommand(),
		configReleaseCommand(), configPartCommand(), configPolicyCommand(), configTrackCommand(),
		configExportCommand(), configImportCommand(), configCopyCommand(),
		configKeyCommand(),
	}, folderCommands()...)}
}

// metaFlags say what is told of a document beside its content.
func metaFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "type", Usage: "`TYPE`: properties, xml, json, text, html, yaml or toml", Action: func(_ *cli.Context, said string) error {
			if !slices.Contains([]string{"properties", "xml", "json", "text", "html", "yaml", "toml"}, strings.ToLower(said)) {
				return usagef("type: %q is not one of properties, xml, json, text, html, yaml, toml", said)
			}
			return nil
		}},
		&cli.StringFlag{Name: "desc", Usage: "description"},
		&cli.StringFlag{Name: "app", Usage: "application `APP` that it belongs to"},
		&cli.StringSliceFlag{Name: "tag", Usage: "`TAG` of it, repeatable: all of them"},
		&cli.StringFlag{Name: "schema", Usage: "`FILE` with a JSON Schema that the content is to fit"},
		&cli.BoolFlag{Name: "encrypt", Usage: "encrypt it where it is stored; --encrypt=false ends that"},
	}
}

// metaOf returns what is told of a document by flags.
func metaOf(c *cli.Context) (client.ConfigWrite, error) {
	w := client.ConfigWrite{Type: c.String("type"), Desc: c.String("desc"), App: c.String("app"), Tags: c.StringSlice("tag")}
	if c.IsSet("encrypt") {
		w.Encrypt = new(c.Bool("encrypt"))
	}
	if path := c.String("schema"); path != "" {
		schema, err := os.ReadFile(path)
		if err != nil {
			return w, err
		}
		w.Schema = string(schema)
	}
	return w, nil
}

// configTermFlags are those of a change of a document that may hang on what stands.
func configTermFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "if-match", Usage: "write only over a content with this `MD5`"},
		&cli.Int64Flag{Name: "if-revision", Usage: "write only over what was last changed at revision `N`"}}, more...)
}

// configTermsOf returns what a change of a document hangs on by its flags.
func configTermsOf(c *cli.Context) (client.ConfigTerms, error) {
	on := client.ConfigTerms{IfMatch: c.String("if-match"), IfRevision: c.Int64("if-revision"), CreateOnly: c.Bool("create")}
	switch {
	case c.IsSet("if-revision") && on.IfRevision <= 0:
		return on, usagef("if-revision: %d is not a revision, which is 1 or more", on.IfRevision)
	case on.CreateOnly && (on.IfMatch != "" || on.IfRevision != 0):
		return on, usagef("create: contradicts --if-match and --if-revision")
	}
	return on, nil
}

// documentCall returns what every command about one document needs.
func documentCall(c *cli.Context, about ...string) (args []string, n client.Name, remote *client.Client, err error) {
	if args, err = names(c, append([]string{"DATAID"}, about...)...); err != nil {
		return nil, n, nil, err
	}
	remote, err = dial(c)
	return args, nameOf(c, args[0]), remote, err
}

func getConfig(c *cli.Context) error {
	at := client.At{Formal: c.Bool("formal"), Release: c.String("release"), Version: c.Int64("version"), AsOf: c.String("as-of")}
	given := 0
	for _, flag := range []string{"formal", "release", "version", "as-of"} {
		if c.IsSet(flag) {
			given++
		}
	}
	if c.IsSet("version") && at.Version < 1 {
		return usagef("version: %d is not the number of a record, which is 1 or more", at.Version)
	}
	if given > 1 {
		return usagef("only one of --formal, --release, --version and --as-of may be given")
	}
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	d, err := remote.ConfigAt(c.Context, n, at)
	if err != nil {
		return err
	}
	if d.Why != "" {
		remark(c, "release %s: %s", d.Release, d.Why)
	}
	_, err = c.App.Writer.Write(d.Content)
	return err
}

// writeOf returns the content of a file, and what flags and conditions say of it.
func writeOf(c *cli.Context, path string, on client.ConfigTerms) ([]byte, client.ConfigWrite, error) {
	w, err := metaOf(c)
	if err != nil {
		return nil, w, err
	}
	w.IfMatch, w.IfRevision, w.CreateOnly = on.IfMatch, on.IfRevision, on.CreateOnly
	content, err := readContent(path)
	if err == nil && len(content) == 0 {
		err = fmt.Errorf("%s is empty, and a document is not", cmp.Or(strings.Trim(path, "-"), "the standard input"))
	}
	return content, w, err
}

func putConfig(c *cli.Context) error {
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	args, n, remote, err := documentCall(c, "[FILE]")
	if err != nil {
		return err
	}
	content, w, err := writeOf(c, args[1], on)
	if err != nil {
		return err
	}
	head, err := remote.PutConfig(c.Context, n, content, w)
	if err != nil {
		return err
	}
	return showWritten(c, "published", head)
}

// showWritten says what a write left, and on standard error what the writer should
// know of it.
func showWritten(c *cli.Context, done string, head api.ConfigWritten) error {
	warn(c, head.Warnings)
	return show(c, head, "", [][]string{{done, head.DataID, "md5 " + head.MD5, "version " + strconv.FormatInt(head.Version, 10),
		"revision " + strconv.FormatInt(head.Revision, 10)}})
}

func warn(c *cli.Context, warnings []string) {
	for _, text := range warnings {
		remark(c, "warning: %s", text)
	}
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
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	return remote.DeleteConfig(c.Context, n, on)
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
		list, err := remote.FindConfigs(c.Context, client.ConfigQuery{
			Query:  client.Query{Namespace: namespaceOf(c), Group: c.String("group"), Search: c.String("search"), Page: number, Size: pageSize},
			DataID: c.String("data-id"), App: c.String("app"), Tags: c.StringSlice("tag"), Types: c.StringSlice("type"), Content: c.String("content")})
		return list.Configs, list.Total, err
	})
	if err != nil {
		return err
	}
	heading, more := "GROUP DATAID TYPE SIZE MD5 MODIFIED RELEASES", func(api.Config) []string { return nil }
	if c.Bool("all-namespaces") {
		heading, more = "NAMESPACE "+heading, func(d api.Config) []string { return []string{d.Namespace} }
	}
	return show(c, all, heading, rows(all, func(d api.Config) []string {
		return append(more(d), d.Group, d.DataID, d.Type, strconv.Itoa(d.Size), d.MD5, d.Modified.Format(time.RFC3339), orDash(strings.Join(d.Releases, ",")))
	}))
}
