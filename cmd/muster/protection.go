package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func protectionCommand() *cli.Command {
	return &cli.Command{Name: "protection", Usage: "look at removals that are held back because many fell silent at once",
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "say whether removals are held back", Flags: remoteFlags(), Action: showProtection},
			{Name: "confirm", Usage: "say that what fell silent is gone indeed: remove it now", Flags: remoteFlags(), Action: confirmProtection},
		}}
}

func showProtection(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	all, err := remote.ServerStates(c.Context)
	if err != nil {
		return err
	}
	if all.Protection == nil {
		return fmt.Errorf("no server judges now, or the one that does is not reachable from %s: %w", remote.Server(), client.ErrUnavailable)
	}
	return show(c, all.Protection, "", [][]string{{protectionText(*all.Protection)}})
}

func confirmProtection(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	was, err := remote.Confirm(c.Context)
	if err != nil {
		return err
	}
	text := "nothing was held back"
	if was.Active {
		text = fmt.Sprintf("%d removals go on now", was.Held)
	}
	return show(c, was, "", [][]string{{text}})
}

func protectionText(p api.Protection) string {
	text := fmt.Sprintf("%d of %d witnesses silent, %d removals held back", p.Silent, p.Witnesses, p.Held)
	switch {
	case !p.Active:
		return "off: " + text
	case p.Slow:
		return "over, removals go on slowly: " + text
	}
	return "on until " + p.Until.Format(time.RFC3339) + ": " + text
}
