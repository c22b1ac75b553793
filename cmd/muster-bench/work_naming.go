package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/openloop"
)

func registerCommand() *cli.Command {
	return &cli.Command{Name: "register", Usage: "register instances, each once",
		Description: "It ends when all are registered, or the duration is over.",
		Flags:       concat(nacosFlags(), paceFlags("0, as fast as the connections go"), rosterFlags(100), []cli.Flag{persistentFlag(), keepFlag()}),
		Action:      benchRegister}
}

func beatCommand() *cli.Command {
	return &cli.Command{Name: "beat", Usage: "register instances, and have each give signs of life in turn",
		Flags: concat(nacosFlags(), paceFlags("one beat of each instance in 5s"), rosterFlags(100), []cli.Flag{keepFlag(),
			&cli.BoolFlag{Name: "light", Usage: "beats that name the instance alone, as clients send from the second one on (v1, v2)"}}),
		Action: benchBeat}
}

func listCommand() *cli.Command {
	return &cli.Command{Name: "list", Usage: "ask for the instances of services",
		Flags: concat(nacosFlags(), paceFlags("1000"), rosterFlags(10), []cli.Flag{persistentFlag(), keepFlag(),
			&cli.BoolFlag{Name: "made", Usage: "the instances are there already: register none"}}),
		Action: benchList}
}

// fleetOf returns what the flags say of instances; nothing is registered yet.
func fleetOf(c *cli.Context) (fleet, error) {
	r, err := rosterOf(c)
	if err != nil {
		return fleet{}, err
	}
	by, err := dial(c)
	if err != nil {
		return fleet{}, err
	}
	return fleet{naming{roster: r, api: by.api, persistent: c.Bool("persistent"), light: c.Bool("light")}, by}, nil
}

func benchRegister(c *cli.Context) (err error) {
	p, err := plan(c, 0)
	if err != nil {
		return err
	}
	f, err := fleetOf(c)
	if err != nil {
		return err
	}
	defer f.caller.close()
	p.Limit = int64(f.size())
	r := openloop.Run(c.Context, p, len(f.caller.conns), []string{"register"}, func(ctx context.Context, at openloop.Slot) (int, string) {
		return 0, f.caller.call(ctx, at.Worker, f.register(f.member(int(at.N))), f.good)
	})
	if !c.Bool("keep") {
		defer func() { joined(&err, f.dismiss(c.Context, int(r.Started))) }()
	}
	return report{Runs: []openloop.Result{r}}.publish(c, f.caller)
}

func benchBeat(c *cli.Context) (err error) {
	f, err := fleetOf(c)
	if err != nil {
		return err
	}
	defer f.caller.close()
	p, err := plan(c, perSecond(f.size()))
	if err != nil {
		return err
	}
	if !c.Bool("keep") {
		defer func() { joined(&err, f.dismiss(c.Context, f.size())) }()
	}
	if _, err := f.enlist(c.Context); err != nil {
		return err
	}
	r := openloop.Run(c.Context, p, len(f.caller.conns), []string{"beat"}, func(ctx context.Context, at openloop.Slot) (int, string) {
		m := f.member(int(at.N % int64(f.size())))
		return 0, f.caller.call(ctx, at.Worker, f.beat(m), f.beaten)
	})
	out := report{Runs: []openloop.Result{r}}
	if usual := perSecond(f.size()); p.Rate > 0 && p.Rate < usual {
		out.Notes = append(out.Notes, fmt.Sprintf("%.4g beats a second are fewer than the %.4g that keep %d instances alive", p.Rate, usual, f.size()))
	}
	return out.publish(c, f.caller)
}

func benchList(c *cli.Context) (err error) {
	p, err := plan(c, 1000)
	if err != nil {
		return err
	}
	f, err := fleetOf(c)
	if err != nil {
		return err
	}
	defer f.caller.close()
	seed := c.Uint64("seed")
	run := func(ctx context.Context) openloop.Result {
		return openloop.Run(ctx, p, len(f.caller.conns), []string{"list"}, func(ctx context.Context, at openloop.Slot) (int, string) {
			s := draw(seed, at.N, f.services)
			return 0, f.caller.call(ctx, at.Worker, f.list(f.serviceName(s), f.groupOf(s)), f.listed)
		})
	}
	if c.Bool("made") {
		return report{Runs: []openloop.Result{run(c.Context)}}.publish(c, f.caller)
	}
	if !c.Bool("keep") {
		defer func() { joined(&err, f.dismiss(c.Context, f.size())) }()
	}
	if _, err := f.enlist(c.Context); err != nil {
		return err
	}
	return report{Runs: f.during(c.Context, run)}.publish(c, f.caller)
}
