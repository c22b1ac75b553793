package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func drainCommand() *cli.Command {
	return &cli.Command{Name: "drain", Usage: "take the traffic from an instance, and wait until nobody has an answer with it any more", ArgsUsage: "SERVICE ADDRESS:PORT",
		Description: "Its weight is 0 from then on, whatever its owner declares, until `muster instance set --clear` or another weight.\n" +
			"It waits for as long as answers with it may be kept: the time to live of its service. An interrupt says how long\n" +
			"that still takes, a second one skips the wait.",
		Flags: namedFlags(termFlags(
			&cli.BoolFlag{Name: "deregister", Usage: "deregister it after the wait"},
			&cli.DurationFlag{Name: "wait", Usage: "wait this long, 0 for not at all", DefaultText: "as long as its records may be kept"})...),
		Action: drainInstance}
}

// drained is what came of a drain.
type drained struct {
	Instance     api.Instance `json:"instance"`
	WaitedMs     int64        `json:"waitedMs"`
	Deregistered bool         `json:"deregistered"`
	DryRun       bool         `json:"dryRun,omitempty"`
}

func drainInstance(c *cli.Context) error {
	n, host, port, err := instanceOf(c)
	if err != nil {
		return err
	}
	on, err := termsOf(c)
	if err != nil {
		return err
	}
	if c.Duration("wait") < 0 {
		return usagef("wait: %v is less than nothing", c.Duration("wait"))
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	d := &drain{remote: remote, name: n, endpoint: client.Endpoint(host, port)}
	out, err := d.run(c, on)
	if err != nil {
		return err
	}
	text := did(on, "drained")
	if out.Deregistered {
		text += " and deregistered"
	}
	return show(c, out, "", [][]string{{text, describe(out.Instance)}})
}

// drain is one instance that is to get no traffic.
type drain struct {
	remote   *client.Client
	name     client.Name
	endpoint string
}

func (d *drain) run(c *cli.Context, on client.Terms) (out drained, err error) {
	wait := c.Duration("wait")
	if !c.IsSet("wait") {
		if wait, err = d.kept(c.Context); err != nil {
			return out, err
		}
	}
	was, _, err := d.remote.Instance(c.Context, d.name, d.endpoint)
	if err != nil {
		return out, err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if out.Instance, err = d.remote.UpdateInstance(c.Context, d.name, d.endpoint, client.InstancePatch{Weight: new(float64)}, on); err != nil {
		return out, err
	}
	if out.DryRun = on.DryRun; on.DryRun {
		return out, nil
	}
	began := time.Now()
	if err := await(c, wait, signals); err != nil {
		return out, err
	}
	out.WaitedMs = time.Since(began).Milliseconds()
	if c.Bool("deregister") {
		// An interrupt that said how long it takes has ended the command's context.
		out.Deregistered = true
		return out, d.deregister(withoutCancel(c.Context, 10*time.Second), was)
	}
	return out, nil
}

// usualTTL is what DNS answers with where no server can tell.
const usualTTL = 5 * time.Second

// kept returns how long answers with the instance may be kept.
func (d *drain) kept(ctx context.Context) (time.Duration, error) {
	s, err := d.remote.Service(ctx, d.name)
	if err != nil {
		return 0, err
	}
	e, err := d.remote.Explain(ctx, client.ResolveQuery{Name: s.DNSExact})
	if err != nil {
		return 0, err
	}
	if e.Rules == nil || e.Rules.TTL == nil {
		return usualTTL, nil
	}
	return time.Duration(*e.Rules.TTL) * time.Second, nil
}

// await waits. The first interrupt tells how long it takes, the second ends the
// wait, and a demand to stop ends the command.
func await(c *cli.Context, wait time.Duration, signals <-chan os.Signal) error {
	if wait <= 0 {
		return nil
	}
	remark(c, "no traffic from here on; waiting %v until no answer is kept", wait)
	over := time.NewTimer(wait)
	defer over.Stop()
	until := time.Now().Add(wait)
	for warned := false; ; warned = true {
		select {
		case <-over.C:
			return nil
		case s := <-signals:
			if s != os.Interrupt {
				return errors.New("told to stop while waiting: the weight stays 0, and nothing else was done")
			}
			if warned {
				return nil
			}
			remark(c, "%v are left; another interrupt skips them", time.Until(until).Round(time.Second))
		}
	}
}

// deregister removes the instance. What nobody keeps registered was drained for
// this once: when somebody registers it again it is to get its traffic.
func (d *drain) deregister(ctx context.Context, was api.Instance) error {
	if err := unlessMissing(d.remote.Deregister(ctx, d.name, d.endpoint)); err != nil {
		return err
	}
	if was.Ephemeral || was.Override != nil {
		return nil
	}
	return unlessMissing(d.remote.ClearOverride(ctx, d.name, d.endpoint))
}
