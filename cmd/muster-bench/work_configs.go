package main

import (
	"context"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/openloop"
)

func publishCommand() *cli.Command {
	return &cli.Command{Name: "publish", Usage: "publish documents, each again and again with another content",
		Flags: concat(nacosFlags(), paceFlags("100"), documentFlags()), Action: benchPublish}
}

func getCommand() *cli.Command {
	return &cli.Command{Name: "get", Usage: "publish documents once, and read them",
		Flags: concat(nacosFlags(), paceFlags("1000"), documentFlags()), Action: benchGet}
}

// shelf is what a command has published.
type shelf struct {
	collection

	caller *caller
}

// shelfOf returns what the flags say of documents; nothing is published yet.
func shelfOf(c *cli.Context) (shelf, error) {
	l, err := collectionOf(c)
	if err != nil {
		return shelf{}, err
	}
	by, err := dial(c)
	return shelf{l, by}, err
}

// fill publishes the first edition of every document.
func (s shelf) fill(ctx context.Context) error {
	_, err := each(ctx, s.caller, s.documents, "publish", func(ctx context.Context, at openloop.Slot) string {
		return s.caller.call(ctx, at.Worker, s.publish(int(at.N), 0), s.stored)
	})
	return err
}

// clear deletes the first documents, also when ctx has ended.
func (s shelf) clear(ctx context.Context, documents int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := each(ctx, s.caller, documents, "delete", func(ctx context.Context, at openloop.Slot) string {
		return s.caller.call(ctx, at.Worker, s.remove(int(at.N)), s.stored)
	})
	return err
}

func benchPublish(c *cli.Context) (err error) {
	p, err := plan(c, 100)
	if err != nil {
		return err
	}
	s, err := shelfOf(c)
	if err != nil {
		return err
	}
	defer s.caller.close()
	var most atomic.Int64
	if !c.Bool("keep") {
		defer func() { joined(&err, s.clear(c.Context, int(min(most.Load(), int64(s.documents))))) }()
	}
	r := openloop.Run(c.Context, p, len(s.caller.conns), []string{"publish"}, func(ctx context.Context, at openloop.Slot) (int, string) {
		most.Add(1)
		return 0, s.caller.call(ctx, at.Worker, s.publish(int(at.N%int64(s.documents)), at.N/int64(s.documents)), s.stored)
	})
	return report{Runs: []openloop.Result{r}}.publish(c, s.caller)
}

func benchGet(c *cli.Context) (err error) {
	p, err := plan(c, 1000)
	if err != nil {
		return err
	}
	s, err := shelfOf(c)
	if err != nil {
		return err
	}
	defer s.caller.close()
	if !c.Bool("keep") {
		defer func() { joined(&err, s.clear(c.Context, s.documents)) }()
	}
	if err := s.fill(c.Context); err != nil {
		return err
	}
	seed := c.Uint64("seed")
	r := openloop.Run(c.Context, p, len(s.caller.conns), []string{"get"}, func(ctx context.Context, at openloop.Slot) (int, string) {
		return 0, s.caller.call(ctx, at.Worker, s.get(draw(seed, at.N, s.documents)), s.read)
	})
	return report{Runs: []openloop.Result{r}}.publish(c, s.caller)
}
