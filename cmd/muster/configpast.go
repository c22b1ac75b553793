package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
)

func configLogCommand() *cli.Command {
	return &cli.Command{Name: "log", Usage: "list what was done to a document, the newest first", ArgsUsage: "DATAID",
		Flags: namedFlags(&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` records; 0: all that are kept"}), Action: logConfig}
}

func configShowCommand() *cli.Command {
	return &cli.Command{Name: "show", Usage: "show a document, or one record of its history, with the content", ArgsUsage: "DATAID [SEQ]",
		Flags: namedFlags(), Action: showConfig}
}

func configDiffCommand() *cli.Command {
	return &cli.Command{Name: "diff", Usage: "compare two versions of a document, or a folder with its server, line by line",
		ArgsUsage: "[DATAID] [SEQ] [SEQ]",
		Description: "Of a document it shows the last change, with a number what came since that record.\n" +
			"Without a document it shows what changed in a folder, and on the server that the folder is from, since both were the same.",
		Flags: namedFlags(&cli.StringFlag{Name: "dir", Value: ".", Usage: "`DIRECTORY` of the folder, or one in it"}),
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return diffFolder(c)
			}
			return diffConfig(c)
		}}
}

func configRevertCommand() *cli.Command {
	return &cli.Command{Name: "revert", Usage: "publish a version of the past anew", ArgsUsage: "DATAID SEQ",
		Flags: namedFlags(configTermFlags()...), Action: revertConfig}
}

func logConfig(c *cli.Context) error {
	limit := c.Int("limit")
	if limit < 0 {
		return usagef("limit: %d is below 0", limit)
	}
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	all, before := []api.ConfigRecord{}, int64(0)
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		page, err := remote.ConfigHistory(c.Context, n, before, size)
		if err != nil {
			return err
		}
		if before > 0 && page.Next >= before {
			return fmt.Errorf("the server says that records before %d go on before %d", before, page.Next)
		}
		all = append(all, page.Records...)
		if before = page.Next; before == 0 || limit > 0 && len(all) >= limit {
			break
		}
	}
	return show(c, all, "SEQ OP REVISION AT BY MD5 NOTE", rows(all, func(r api.ConfigRecord) []string {
		return []string{strconv.FormatInt(r.Seq, 10), r.Op, strconv.FormatInt(r.Revision, 10), r.At.Format(time.RFC3339), orDash(authorOf(r.User, r.IP)), r.Head.MD5, noteOf(r)}
	}))
}

func authorOf(user, ip string) string {
	switch {
	case user != "" && ip != "":
		return user + "@" + ip
	case user != "":
		return user
	}
	return ip
}

// noteOf says what is special about a record.
func noteOf(r api.ConfigRecord) string {
	switch {
	case r.Release != "":
		return "release " + r.Release
	case r.Part != "":
		return "part " + r.Part
	case r.From != 0:
		return "content of " + strconv.FormatInt(r.From, 10)
	}
	return ""
}

func showConfig(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "[SEQ]")
	if err != nil {
		return err
	}
	if args[1] == "" {
		return showHead(c)
	}
	seq, err := parseSeq(args[1])
	if err != nil {
		return err
	}
	r, err := remote.ConfigRecord(c.Context, n, seq, true)
	if err != nil {
		return err
	}
	if c.String("output") != "table" {
		return show(c, r, "", nil)
	}
	lines := append([][]string{{"record", strconv.FormatInt(r.Seq, 10)}, {"operation", r.Op}, {"note", orDash(noteOf(r))}, {"at", r.At.Format(time.RFC3339Nano)},
		{"by", orDash(authorOf(r.User, r.IP))}}, headDetails(r.Head)...)
	content := ""
	if r.Content != nil { // the server has been asked for it
		content = *r.Content
	}
	return showWithContent(c, lines, content)
}

func showHead(c *cli.Context) error {
	_, n, remote, err := documentCall(c, "[SEQ]")
	if err != nil {
		return err
	}
	head, err := remote.ConfigHead(c.Context, n)
	if err != nil {
		return err
	}
	d, err := remote.ConfigAt(c.Context, n, formal)
	if err != nil {
		return err
	}
	if c.String("output") != "table" {
		content := string(d.Content)
		return show(c, api.ConfigRecord{Seq: head.Version, Head: head, Revision: head.Revision, At: head.Modified, User: head.User, IP: head.IP, Content: &content}, "", nil)
	}
	return showWithContent(c, append(headDetails(head), []string{"by", orDash(authorOf(head.User, head.IP))}), string(d.Content))
}

func headDetails(d api.Config) [][]string {
	return [][]string{
		{"document", d.Namespace + "/" + d.Group + "/" + d.DataID}, {"type", orDash(d.Type)}, {"description", orDash(d.Desc)}, {"application", orDash(d.App)},
		{"tags", orDash(joined(d.Tags))}, {"md5", d.MD5}, {"size", strconv.Itoa(d.Size)}, {"encrypted", yesNo(d.Encrypted)},
		{"version", strconv.FormatInt(d.Version, 10)}, {"revision", strconv.FormatInt(d.Revision, 10)},
		{"modified", d.Modified.Format(time.RFC3339Nano)}, {"releases", orDash(joined(d.Releases))},
	}
}

func showWithContent(c *cli.Context, lines [][]string, content string) error {
	if err := table(c.App.Writer, "", lines); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.App.Writer, "\n%s", content)
	return err
}

func parseSeq(text string) (int64, error) {
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, usagef("seq: %q is not the number of a record, which is 1 or more", text)
	}
	return seq, nil
}

func diffConfig(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "[SEQ]", "[SEQ]")
	if err != nil {
		return err
	}
	for _, seq := range args[1:] {
		if seq == "" {
			continue
		}
		if _, err := parseSeq(seq); err != nil {
			return err
		}
	}
	text, err := remote.DiffConfig(c.Context, n, args[1], args[2])
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.App.Writer, text)
	return err
}

func revertConfig(c *cli.Context) error {
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	args, n, remote, err := documentCall(c, "SEQ")
	if err != nil {
		return err
	}
	seq, err := parseSeq(args[1])
	if err != nil {
		return err
	}
	head, err := remote.RevertConfig(c.Context, n, seq, on)
	if err != nil {
		return err
	}
	return showWritten(c, "reverted", head)
}
