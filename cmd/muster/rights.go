package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// actUsage are the names of a command about what somebody may do.
const actUsage = "VERB KIND [NAMESPACE/GROUP]"

const actDescription = "VERB is r or w, KIND naming, config, dns or admin. NAMESPACE, of dns a zone, and GROUP are names; * or none is all of them."

func rightsCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "can-i", Usage: "tell whether one may do something, and which rule of which role says so", ArgsUsage: actUsage,
			Description: actDescription + "\nThe exit code is 0 for yes and 5 for no.",
			Flags: remoteFlags(&cli.StringFlag{Name: "user", Usage: "`USER` of whom it is asked, by an administrator"},
				&cli.StringFlag{Name: "tsig", Usage: "`KEY` of DNS of which it is asked, by an administrator; - is who signs with none"}), Action: canI},
		{Name: "who-can", Usage: "list who may do something, and which rule of which role says so", ArgsUsage: actUsage,
			Description: actDescription + "\nOf agents it names the tokens; agent * without one is all that show a certificate.",
			Flags:       remoteFlags(), Action: whoCan},
	}
}

// actCall returns what a command asks about, and its client.
func actCall(c *cli.Context) (client.Act, *client.Client, error) {
	args, remote, err := authCall(c, strings.Fields(actUsage)...)
	if err != nil {
		return client.Act{}, nil, err
	}
	a := client.Act{Verb: args[0], Kind: args[1]}
	if a.Verb != "r" && a.Verb != "w" {
		return a, nil, usagef("verb: %q is neither r nor w", a.Verb)
	}
	if !slices.Contains([]string{"naming", "config", "dns", "admin"}, a.Kind) {
		return a, nil, usagef("kind: %q is not one of naming, config, dns, admin", a.Kind)
	}
	a.Namespace, a.Group, _ = strings.Cut(args[2], "/")
	for _, part := range []*string{&a.Namespace, &a.Group} {
		if *part == "*" {
			*part = ""
		}
		if strings.Contains(*part, "*") {
			return a, nil, usagef("%q is not a whole name: * stands alone, for all of them", args[2])
		}
	}
	return a, remote, nil
}

func canI(c *cli.Context) error {
	act, remote, err := actCall(c)
	if err != nil {
		return err
	}
	d, err := remote.Can(c.Context, client.Who{User: c.String("user"), Key: c.String("tsig")}, act)
	if err != nil {
		return err
	}
	word := "no"
	if d.Allowed {
		word = "yes"
	}
	if err := show(c, d, "", [][]string{{"allowed", word}, {"who", d.Subject}, {"why", d.Why}}); err != nil || d.Allowed {
		return err
	}
	return fmt.Errorf("%w: %w", errReported, client.ErrNotAllowed)
}

func whoCan(c *cli.Context) error {
	act, remote, err := actCall(c)
	if err != nil {
		return err
	}
	all, err := remote.WhoCan(c.Context, act)
	if err != nil {
		return err
	}
	return show(c, all.Decisions, "WHO TOKEN WHY", rows(all.Decisions, func(d api.Decision) []string {
		return []string{d.Subject, orDash(d.Token), d.Why}
	}))
}
