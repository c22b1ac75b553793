package main

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
)

func configTrackCommand() *cli.Command {
	return &cli.Command{Name: "track", Usage: "show which clients hold which version of a document, and how far the newest has come", ArgsUsage: "[DATAID]",
		Description: "With --client it shows what that client holds, of all documents.",
		Flags:       namedFlags(&cli.StringFlag{Name: "client", Usage: "`ID` of an agent, or an address"}), Action: trackConfig}
}

func trackConfig(c *cli.Context) error {
	args, err := names(c, "[DATAID]")
	if err != nil {
		return err
	}
	client := c.String("client")
	if (args[0] == "") == (client == "") {
		return usagef("one of dataid and --client is needed: %s DATAID", c.Command.HelpName)
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	if client != "" {
		held, err := remote.ConfigClient(c.Context, client)
		if err != nil {
			return err
		}
		tellSilent(c, held.Silent)
		return show(c, held, "NAMESPACE GROUP DATAID "+holderHeading, rows(held.Holders, func(h api.ConfigHolder) []string {
			return append([]string{h.Namespace, h.Group, h.DataID}, holderRow(h)...)
		}))
	}
	t, err := remote.ConfigTrack(c.Context, nameOf(c, args[0]))
	if err != nil {
		return err
	}
	tellSilent(c, t.Silent)
	if c.String("output") == "table" {
		if err := table(c.App.Writer, "", trackDetails(t)); err != nil {
			return err
		}
		if len(t.Holders) == 0 {
			return nil
		}
		fmt.Fprintln(c.App.Writer)
	}
	return show(c, t, "CLIENT KIND "+holderHeading, rows(t.Holders, func(h api.ConfigHolder) []string {
		return append([]string{h.Client, h.Kind}, holderRow(h)...)
	}))
}

// tellSilent says which servers' clients are not in what follows.
func tellSilent(c *cli.Context, all []api.ServerSilent) {
	for _, s := range all {
		remark(c, "server %s does not say what it heard: %s", cmp.Or(s.Name, s.ID), s.Error)
	}
}

func trackDetails(t api.ConfigTrack) [][]string {
	took := "-"
	if t.TookMs != nil {
		took = (time.Duration(*t.TookMs) * time.Millisecond).String()
	}
	return [][]string{{"md5", orDash(t.MD5)}, {"on the newest", shareOf(t)}, {"took", took}}
}

const holderHeading = "MD5 RELEASE STATE SINCE SEEN OFFER"

func holderRow(h api.ConfigHolder) []string {
	offer := "-"
	if h.Offer != nil {
		offer = h.Offer.State + " " + h.Offer.MD5
		if h.Offer.Detail != "" {
			offer += " " + strconv.Quote(h.Offer.Detail)
		}
	}
	return []string{orDash(h.MD5), orDash(h.Release), orDash(h.State), h.Since.Format(time.RFC3339), h.Seen.Format(time.RFC3339), offer}
}

// shareOf tells how many clients have the newest; of none there is no share.
func shareOf(t api.ConfigTrack) string {
	if t.Clients == 0 {
		return "no client is active"
	}
	return fmt.Sprintf("%d of %d clients, %.0f %%", t.OnNewest, t.Clients, 100*t.Share)
}
