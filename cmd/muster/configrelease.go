package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// formal is the document itself.
var formal = client.At{Formal: true}

func configReleaseCommand() *cli.Command {
	return &cli.Command{Name: "release", Usage: "let some clients have another content before all", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the gray releases of a document, in the order they are tried in", ArgsUsage: "DATAID", Flags: namedFlags(), Action: listReleases},
		{Name: "put", Usage: "publish a gray release from a file, or from standard input", ArgsUsage: "DATAID RELEASE [FILE]",
			Description: "All that is said of the clients must hold, and something must be said.",
			Flags:       namedFlags(append(ruleFlags(), append(metaFlags(), configTermFlags(createFlag())...)...)...), Action: putRelease},
		{Name: "set", Usage: "change whom a gray release is for; its content stays", ArgsUsage: "DATAID RELEASE",
			Description: "What is said of the clients takes the place of all that was.",
			Flags:       namedFlags(append(ruleFlags(), configTermFlags()...)...), Action: setRelease},
		{Name: "promote", Usage: "give its content to all clients, and end the release", ArgsUsage: "DATAID RELEASE",
			Flags: namedFlags(configTermFlags()...), Action: promoteRelease},
		{Name: "withdraw", Usage: "end a gray release", ArgsUsage: "DATAID RELEASE", Flags: namedFlags(), Action: withdrawRelease},
	}}
}

// ruleFlags say whom a gray release is for.
func ruleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "ip", Usage: "for clients at this `ADDRESS` or network, repeatable"},
		&cli.StringFlag{Name: "client-tag", Usage: "for clients with this `TAG`"},
		&cli.Float64Flag{Name: "percent", Usage: "for this `SHARE` of all clients; who is in stays in when it grows"},
		&cli.StringSliceFlag{Name: "label", Usage: "for clients with this label `NAME=VALUE`, repeatable: all of them"},
		&cli.IntFlag{Name: "priority", Usage: "the highest `N` whose clients it is for is chosen"},
	}
}

func ruleOf(c *cli.Context) (api.Rule, error) {
	labels, err := labelsOf("label", c.StringSlice("label"))
	return api.Rule{IPs: c.StringSlice("ip"), Tag: c.String("client-tag"), Percent: c.Float64("percent"), Labels: labels}, err
}

func rulesText(r api.Rule) string {
	var all []string
	if len(r.IPs) > 0 {
		all = append(all, "ip "+strings.Join(r.IPs, ","))
	}
	if r.Tag != "" {
		all = append(all, "tag "+r.Tag)
	}
	if r.Percent != 0 {
		all = append(all, strconv.FormatFloat(r.Percent, 'g', -1, 64)+" %")
	}
	if len(r.Labels) > 0 {
		all = append(all, "label "+client.FormatLabels(r.Labels))
	}
	return strings.Join(all, "; ")
}

func joined(all []string) string { return strings.Join(all, ",") }

func listReleases(c *cli.Context) error {
	_, n, remote, err := documentCall(c)
	if err != nil {
		return err
	}
	list, err := remote.Releases(c.Context, n)
	if err != nil {
		return err
	}
	return show(c, list.Releases, "RELEASE PRIORITY MD5 MODIFIED FOR", rows(list.Releases, func(r api.Release) []string {
		return []string{r.Name, strconv.Itoa(r.Priority), r.Config.MD5, r.Config.Modified.Format(time.RFC3339), rulesText(r.Rule)}
	}))
}

func putRelease(c *cli.Context) error {
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	rule, err := ruleOf(c)
	if err != nil {
		return err
	}
	args, n, remote, err := documentCall(c, "RELEASE", "[FILE]")
	if err != nil {
		return err
	}
	content, w, err := writeOf(c, args[2], on)
	if err != nil {
		return err
	}
	r, err := remote.PutRelease(c.Context, n, args[1], content, client.ReleaseWrite{ConfigWrite: w, Rule: rule, Priority: c.Int("priority")})
	if err != nil {
		return err
	}
	return showReleased(c, "released", r)
}

func showReleased(c *cli.Context, done string, r api.ReleaseWritten) error {
	warn(c, r.Warnings)
	return show(c, r, "", [][]string{{done, r.Config.DataID, r.Name, "md5 " + r.Config.MD5, "for " + rulesText(r.Rule)}})
}

func setRelease(c *cli.Context) error {
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	rule, err := ruleOf(c)
	if err != nil {
		return err
	}
	args, n, remote, err := documentCall(c, "RELEASE")
	if err != nil {
		return err
	}
	var edit api.ReleaseEdit
	if rulesText(rule) != "" {
		edit.Rule = &rule
	}
	if c.IsSet("priority") {
		edit.Priority = new(c.Int("priority"))
	}
	if edit == (api.ReleaseEdit{}) {
		return usagef("nothing to set: --ip, --client-tag, --percent, --label or --priority is missing")
	}
	r, err := remote.EditRelease(c.Context, n, args[1], edit, on)
	if err != nil {
		return err
	}
	return showReleased(c, "changed", r)
}

func promoteRelease(c *cli.Context) error {
	on, err := configTermsOf(c)
	if err != nil {
		return err
	}
	args, n, remote, err := documentCall(c, "RELEASE")
	if err != nil {
		return err
	}
	head, err := remote.PromoteRelease(c.Context, n, args[1], on)
	if err != nil {
		return err
	}
	return showWritten(c, "promoted", head)
}

func withdrawRelease(c *cli.Context) error {
	args, n, remote, err := documentCall(c, "RELEASE")
	if err != nil {
		return err
	}
	if err := remote.WithdrawRelease(c.Context, n, args[1]); err != nil {
		return err
	}
	return showRemoval(c, client.Terms{}, "withdrawn", args[1])
}
