package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/openloop"
)

func mixedCommand() *cli.Command {
	return &cli.Command{Name: "mixed", Usage: "do all of it at once, in parts",
		Description: "The parts are of list, beat, register, get and publish. Instances that come and go are others than those that\n" +
			"are listed and beat; each goes again with the next call of that kind.",
		Flags: concat(nacosFlags(), paceFlags("1000"), rosterFlags(10), []cli.Flag{persistentFlag(),
			&cli.StringFlag{Name: "mix", Value: "list=55,beat=30,get=10,register=4,publish=1", Usage: "`KIND=PART,...` of the calls"}},
			withoutGroups(documentFlags())),
		Action: benchMixed}
}

// withoutGroups leaves out the flag that another list has already.
func withoutGroups(flags []cli.Flag) []cli.Flag {
	return slices.DeleteFunc(flags, func(f cli.Flag) bool { return f.Names()[0] == "groups" })
}

// mix is which part of the calls is of which kind.
type mix struct {
	kinds []string
	upTo  []int // sums of the parts so far
}

var mixable = []string{"beat", "get", "list", "publish", "register"}

func parseMix(text string) (m mix, err error) {
	parts := map[string]int{}
	for pair := range strings.SplitSeq(text, ",") {
		kind, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		part, err := strconv.Atoi(value)
		switch {
		case !slices.Contains(mixable, kind):
			return m, usagef("mix: %q is not one of %s", kind, strings.Join(mixable, ", "))
		case err != nil || part < 0 || part > 1_000_000:
			return m, usagef("mix: the part of %s is %q, it should be a number from 0 to 1000000", kind, value)
		}
		parts[kind] += part
	}
	sum := 0
	for _, kind := range slices.Sorted(maps.Keys(parts)) {
		sum += parts[kind]
		m.kinds, m.upTo = append(m.kinds, kind), append(m.upTo, sum)
	}
	if sum == 0 {
		return m, usagef("mix: no kind has a part")
	}
	return m, nil
}

// of returns the kind of a call.
func (m mix) of(seed uint64, n int64) int {
	at := draw(^seed, n, m.upTo[len(m.upTo)-1])
	i, _ := slices.BinarySearch(m.upTo, at+1)
	return i
}

func benchMixed(c *cli.Context) (err error) {
	p, err := plan(c, 1000)
	if err != nil {
		return err
	}
	m, err := parseMix(c.String("mix"))
	if err != nil {
		return err
	}
	f, err := fleetOf(c)
	if err != nil {
		return err
	}
	defer f.caller.close()
	l, err := collectionOf(c)
	if err != nil {
		return err
	}
	s := shelf{l, f.caller}
	if !c.Bool("keep") {
		defer func() { joined(&err, f.dismiss(c.Context, f.size())) }()
		defer func() { joined(&err, s.clear(c.Context, s.documents)) }()
	}
	if _, err := f.enlist(c.Context); err != nil {
		return err
	}
	if err := s.fill(c.Context); err != nil {
		return err
	}
	b := blend{fleet: f, shelf: s, mix: m, seed: c.Uint64("seed"), guests: f.roster, out: make([]atomic.Bool, len(f.caller.conns))}
	b.guests.prefix += "-guest"
	defer func() { joined(&err, b.leave(c.Context)) }()
	return report{Runs: f.during(c.Context, func(ctx context.Context) openloop.Result {
		return openloop.Run(ctx, p, len(f.caller.conns), m.kinds, b.call)
	})}.publish(c, f.caller)
}

// blend makes calls of all kinds.
type blend struct {
	fleet  fleet
	shelf  shelf
	mix    mix
	seed   uint64
	guests roster        // those that come and go, one for each worker
	out    []atomic.Bool // of each worker, whether its guest is registered
}

func (b *blend) call(ctx context.Context, at openloop.Slot) (int, string) {
	kind := b.mix.of(b.seed, at.N)
	f, by := b.fleet, b.fleet.caller
	switch b.mix.kinds[kind] {
	case "list":
		s := draw(b.seed, at.N, f.services)
		return kind, by.call(ctx, at.Worker, f.list(f.serviceName(s), f.groupOf(s)), f.listed)
	case "beat":
		return kind, by.call(ctx, at.Worker, f.beat(f.member(draw(b.seed, at.N, f.size()))), f.beaten)
	case "get":
		return kind, by.call(ctx, at.Worker, b.shelf.get(draw(b.seed, at.N, b.shelf.documents)), b.shelf.read)
	case "publish":
		return kind, by.call(ctx, at.Worker, b.shelf.publish(draw(b.seed, at.N, b.shelf.documents), at.N), b.shelf.stored)
	}
	guest := b.guests.member(at.Worker)
	if b.out[at.Worker].Load() {
		b.out[at.Worker].Store(false)
		return kind, by.call(ctx, at.Worker, f.deregister(guest), f.good)
	}
	b.out[at.Worker].Store(true)
	return kind, by.call(ctx, at.Worker, f.register(guest), f.good)
}

// leave deregisters the guests that are still there.
func (b *blend) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	by := b.fleet.caller
	_, err := each(ctx, by, len(b.out), "deregister", func(ctx context.Context, at openloop.Slot) string {
		if !b.out[at.N].Load() {
			return ""
		}
		return by.call(ctx, at.Worker, b.fleet.deregister(b.guests.member(int(at.N))), b.fleet.good)
	})
	return err
}
