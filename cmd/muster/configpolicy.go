package main

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func configPolicyCommand() *cli.Command {
	group := func() cli.Flag {
		return &cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "the quotas of this group `NAME`; else the policy of the namespace"}
	}
	return &cli.Command{Name: "policy", Usage: "set quotas, validation and kept history of documents", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the policies that were set", Flags: remoteFlags(), Action: listPolicies},
		{Name: "show", Usage: "show a policy, and what there is beside its quotas", Flags: remoteFlags(namespaceFlag(), group()), Action: showPolicy},
		{Name: "set", Usage: "change a policy", Description: "What is not given stays as it is; 0 ends a bound.",
			Flags: remoteFlags(namespaceFlag(), group(),
				&cli.StringFlag{Name: "validate", Usage: "`MODE` for a content that its type or schema does not fit: off, warn or refuse"},
				&cli.IntFlag{Name: "history-days", Usage: "keep history for `N` days"},
				&cli.IntFlag{Name: "history-count", Usage: "keep `N` records of each document"},
				&cli.Int64Flag{Name: "max-count", Usage: "refuse more than `N` documents"},
				&cli.Int64Flag{Name: "max-size", Usage: "refuse a document of more than `N` bytes"},
				&cli.Int64Flag{Name: "max-total", Usage: "refuse more than `N` bytes in all"},
				&cli.Int64Flag{Name: "warn-count", Usage: "warn of more than `N` documents"},
				&cli.Int64Flag{Name: "warn-size", Usage: "warn of a document of more than `N` bytes"},
				&cli.Int64Flag{Name: "warn-total", Usage: "warn of more than `N` bytes in all"}), Action: setPolicy},
		{Name: "rm", Usage: "take a policy back", Flags: remoteFlags(namespaceFlag(), group()), Action: removePolicy},
	}}
}

func listPolicies(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	list, err := remote.Policies(c.Context)
	if err != nil {
		return err
	}
	return show(c, list.Policies, "NAMESPACE GROUP COUNT TOTAL MAX-COUNT MAX-SIZE MAX-TOTAL VALIDATE", rows(list.Policies, func(p api.Policy) []string {
		return []string{p.Namespace, orDash(p.Group), fmt.Sprint(p.Usage.Count), fmt.Sprint(p.Usage.Total),
			bound(p.Hard.Count), bound(p.Hard.Size), bound(p.Hard.Total), validation(p)}
	}))
}

func bound(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func validation(p api.Policy) string {
	if p.Group != "" {
		return "-"
	}
	return cmp.Or(p.Validate, "warn")
}

func showPolicy(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	p, _, err := remote.Policy(c.Context, c.String("namespace"), c.String("group"))
	if err != nil {
		return err
	}
	return show(c, p, "", policyDetails(p))
}

func policyDetails(p api.Policy) [][]string {
	lines := [][]string{{"namespace", p.Namespace}}
	if p.Group != "" {
		lines = append(lines, []string{"group", p.Group})
	} else {
		days := cmp.Or(p.HistoryDays, 30)
		lines = append(lines, []string{"validate", validation(p)}, []string{"history days", strconv.Itoa(days)}, []string{"history count", bound(int64(p.HistoryCount))})
	}
	return append(lines,
		[]string{"count", fmt.Sprint(p.Usage.Count), "warn " + bound(p.Soft.Count), "max " + bound(p.Hard.Count)},
		[]string{"total", fmt.Sprint(p.Usage.Total), "warn " + bound(p.Soft.Total), "max " + bound(p.Hard.Total)},
		[]string{"size", "", "warn " + bound(p.Soft.Size), "max " + bound(p.Hard.Size)})
}

// setPolicy changes what stands, so that no change of others is lost.
func setPolicy(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	namespace, group := c.String("namespace"), c.String("group")
	var p api.Policy
	err = amend(c.Context, client.Terms{}, func() (tag string, err error) {
		p, tag, err = remote.Policy(c.Context, namespace, group)
		return tag, err
	}, func(over client.Terms) error {
		spec, err := policyWith(c, p.PolicySpec)
		if err != nil {
			return err
		}
		if group == "" {
			p, err = remote.SetPolicy(c.Context, namespace, spec, over)
		} else {
			p, err = remote.SetGroupPolicy(c.Context, namespace, group, spec.GroupPolicySpec, over)
		}
		return err
	})
	if err != nil {
		return err
	}
	return show(c, p, "", policyDetails(p))
}

// policyWith returns a policy with what is given by flags.
func policyWith(c *cli.Context, p api.PolicySpec) (api.PolicySpec, error) {
	given := false
	for name, to := range map[string]*int64{"max-count": &p.Hard.Count, "max-size": &p.Hard.Size, "max-total": &p.Hard.Total,
		"warn-count": &p.Soft.Count, "warn-size": &p.Soft.Size, "warn-total": &p.Soft.Total} {
		if c.IsSet(name) {
			*to, given = c.Int64(name), true
		}
	}
	for _, name := range []string{"validate", "history-days", "history-count"} {
		if c.IsSet(name) && c.String("group") != "" {
			return p, usagef("%s: is of the namespace, not of a group", name)
		}
		given = given || c.IsSet(name)
	}
	if !given {
		return p, usagef("nothing to set: one of --validate, --history-days, --history-count, --max-... or --warn-... is missing")
	}
	if c.IsSet("validate") {
		p.Validate = c.String("validate")
	}
	if c.IsSet("history-days") {
		p.HistoryDays = c.Int("history-days")
	}
	if c.IsSet("history-count") {
		p.HistoryCount = c.Int("history-count")
	}
	return p, nil
}

func removePolicy(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	namespace, group := c.String("namespace"), c.String("group")
	if err := remote.DeletePolicy(c.Context, namespace, group); err != nil {
		return err
	}
	name := namespace
	if group != "" {
		name += "/" + group
	}
	return showRemoval(c, client.Terms{}, "removed", name)
}
