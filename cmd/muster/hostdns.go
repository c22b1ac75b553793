package main

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent/hostdns"
	"github.com/musterhq/muster/internal/diff"
)

func agentDNSCommand() *cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append(more,
			&cli.BoolFlag{Name: "apply", Usage: "do it; without this it is only shown"},
			&cli.StringFlag{Name: "root", Usage: "`DIRECTORY` that the host's files are below, such as an image", DefaultText: "/"},
			outputFlag())
	}
	return &cli.Command{Name: "dns", Usage: "have the resolver of this host ask the agent, or no more", Subcommands: []*cli.Command{
		{Name: "install", Usage: "have the resolver of this host ask the agent for the zones",
			Description: "Shows what would change, as a unified diff, and does it with --apply. Where systemd-resolved is in use that is\n" +
				"a drop-in, elsewhere lines at the head of /etc/resolv.conf, for which the agent's DNS must listen on port 53. What\n" +
				"was there before is kept in /var/lib/muster-dns, for `muster agent dns uninstall`.",
			Flags: flags(
				&cli.StringFlag{Name: "dns", EnvVars: []string{"MUSTER_AGENT_DNS"}, Usage: "`ADDRESS` of the agent's DNS", DefaultText: hostdns.DefaultDNS},
				&cli.StringSliceFlag{Name: "zone", EnvVars: []string{"MUSTER_ZONE"}, Usage: "`ZONE` to ask it for, repeatable; resolv.conf asks it for everything", DefaultText: hostdns.DefaultZone},
				&cli.StringFlag{Name: "how", Value: hostdns.HowAuto, Usage: "`WAY`: auto, resolved or resolv.conf"},
				&cli.BoolFlag{Name: "force", Usage: "replace a symbolic link of somebody else's, and what was changed since it was installed; take an address beyond loopback"}),
			Action: func(c *cli.Context) error { return hostDNS(c, hostdns.Install, "installed") }},
		{Name: "uninstall", Usage: "put back what was there before the install",
			Description: "Shows what would change, and does it with --apply. What somebody has changed since stays, unless it is forced.",
			Flags:       flags(&cli.BoolFlag{Name: "force", Usage: "put it back although somebody has changed it since"}),
			Action:      func(c *cli.Context) error { return hostDNS(c, hostdns.Uninstall, "taken back") }},
	}}
}

// hostChange is what becomes of a host's resolver.
type hostChange struct {
	How     string   `json:"how,omitempty"`
	Path    string   `json:"path"`
	Diff    string   `json:"diff,omitempty"`
	Link    string   `json:"link,omitempty"`
	Changed bool     `json:"changed"` // with DryRun: it would
	DryRun  bool     `json:"dryRun,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

func hostDNS(c *cli.Context, decide func(hostdns.Config) (hostdns.Plan, error), done string) error {
	if _, err := names(c); err != nil {
		return err
	}
	cfg := hostdns.Config{Root: c.String("root"), Zones: c.StringSlice("zone"), How: c.String("how"), Force: c.Bool("force")}
	if at := c.String("dns"); at != "" {
		var err error
		if cfg.DNS, err = netip.ParseAddrPort(at); err != nil {
			return usagef("dns: %q is no IP address with a port", at)
		}
	}
	p, err := decide(cfg)
	if err != nil {
		return err
	}
	out := hostChange{How: p.How, Path: p.Path, Link: p.Links, Changed: !p.Same, DryRun: !c.Bool("apply"), Notes: p.Notes}
	if !p.Same {
		out.Diff = diff.Unified(diff.Text{Label: p.Path, Content: p.Old}, diff.Text{Label: p.Path, Content: p.New})
	}
	if !out.DryRun {
		if err := p.Apply(); err != nil {
			if os.IsPermission(err) {
				err = fmt.Errorf("%w: it takes the rights of root", err)
			}
			return err
		}
	}
	if c.String("output") != "table" {
		return show(c, out, "", nil)
	}
	return out.print(c, done)
}

func (h hostChange) print(c *cli.Context, done string) error {
	w := c.App.Writer
	state := done
	switch {
	case !h.Changed:
		state = "as it should be"
	case h.DryRun:
		state = "would change; --apply does it"
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", h.Path, state); err != nil {
		return err
	}
	if h.Link != "" {
		fmt.Fprintf(w, "%s: %s\n", h.Path, h.Link)
	}
	_, err := fmt.Fprint(w, h.Diff)
	for _, n := range h.Notes {
		remark(c, "%s", n)
	}
	return err
}
