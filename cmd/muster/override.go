package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func setInstanceCommand() *cli.Command {
	return &cli.Command{Name: "set", Usage: "have a say over an instance, which its owner does not undo", ArgsUsage: "SERVICE ADDRESS:PORT",
		Description: "What is not given stays as it was said before, or as the owner declares it. What is said ends a minute after the\n" +
			"instance, unless it is pinned. --clear takes all of it back.",
		Flags: namedFlags(termFlags(
			&cli.Float64Flag{Name: "weight", Usage: "share of the traffic, 0 to 10000"},
			editsFlag(),
			&cli.BoolFlag{Name: "healthy", Usage: "of one that is persistent and not checked: whether it works, --healthy=false for not"},
			&cli.BoolFlag{Name: "pin", Usage: "keep it when the instance is gone, and lay it over one that comes back; --pin=false no longer"},
			&cli.BoolFlag{Name: "clear", Usage: "take back all that was said, --pin included"})...),
		Action: setInstance}
}

func setInstance(c *cli.Context) error {
	n, host, port, err := instanceOf(c)
	if err != nil {
		return err
	}
	patch := client.InstancePatch{Metadata: editsOf(c).set, DropMetadata: editsOf(c).drop}
	said := c.IsSet("metadata")
	if c.IsSet("weight") {
		patch.Weight, said = new(c.Float64("weight")), true
		if w := *patch.Weight; !(w >= 0 && w <= 10000) {
			return usagef("weight: %v is not between 0 and 10000", w)
		}
	}
	if c.IsSet("healthy") {
		patch.Healthy, said = new(c.Bool("healthy")), true
	}
	if c.IsSet("pin") {
		patch.Pinned, said = new(c.Bool("pin")), true
	}
	switch {
	case c.Bool("clear") && said:
		return usagef("clear: takes all back, and nothing else can be set with it")
	case c.Bool("clear"):
		return clearInstance(c, n, client.Endpoint(host, port))
	case !said:
		return usagef("nothing to set: --weight, --metadata, --healthy, --pin or --clear is missing")
	}
	return patchInstance(c, n, client.Endpoint(host, port), patch)
}

// patchInstance has a say and shows what it makes of the instance.
func patchInstance(c *cli.Context, n client.Name, endpoint string, patch client.InstancePatch) error {
	on, err := termsOf(c)
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	i, err := remote.UpdateInstance(c.Context, n, endpoint, patch, on)
	if err != nil {
		return err
	}
	return show(c, i, "", [][]string{{did(on, "changed"), describe(i)}})
}

func enableInstance(enabled bool) cli.ActionFunc {
	return func(c *cli.Context) error {
		n, host, port, err := instanceOf(c)
		if err != nil {
			return err
		}
		return patchInstance(c, n, client.Endpoint(host, port), client.InstancePatch{Enabled: &enabled})
	}
}

// clearInstance takes back what was said. The instance may be gone: what is
// pinned is left of it.
func clearInstance(c *cli.Context, n client.Name, endpoint string) error {
	on, err := termsOf(c)
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	if err := remote.ClearOverride(c.Context, n, endpoint, on); err != nil {
		return err
	}
	i, _, err := remote.Instance(c.Context, n, endpoint)
	switch {
	case on.DryRun && err == nil:
		i = withoutOverride(i)
	case errors.Is(err, client.ErrNotFound):
		return showRemoval(c, on, "taken back", "what was said of "+endpoint)
	case err != nil:
		return err
	}
	return show(c, i, "", [][]string{{did(on, "taken back"), describe(i)}})
}

// withoutOverride is the instance as its owner declares it.
func withoutOverride(i api.Instance) api.Instance {
	if d := i.Declared; d != nil {
		i.Weight, i.Enabled, i.Healthy, i.Metadata = &d.Weight, &d.Enabled, &d.Healthy, d.Metadata
	}
	i.Declared, i.Override = nil, nil
	return i
}
