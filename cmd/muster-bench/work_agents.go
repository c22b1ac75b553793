package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/openloop"
)

func agentsCommand() *cli.Command {
	return &cli.Command{Name: "agents", Usage: "be agents of Muster: declare their sets, and beat for them",
		Description: "All instances are dealt out to the agents. It speaks Muster's own API, and beats for as long as --duration says.",
		Flags: concat(serverFlags(), paceFlags("one beat of each agent in 5s"), rosterFlags(10), []cli.Flag{keepFlag(),
			&cli.IntFlag{Name: "agents", Value: 100, Usage: "`NUMBER` of agents"},
			&cli.BoolFlag{Name: "made", Usage: "the sets stand already: beat alone"},
			&cli.StringFlag{Name: "namespace", Value: defaultNamespace, Usage: "namespace `NAME` of what is made"}}),
		Action: benchAgents}
}

// troop is a number of agents that share the instances of a roster.
type troop struct {
	roster

	caller *caller
	agents int
	again  atomic.Int64             // sets that were sent again
	beats  []atomic.Pointer[string] // of each agent, what follows the sequence in the body of its beats; nil before its set is sent
}

// incarnation of all these agents: a second run goes on where an earlier one ended.
const incarnation = "muster-bench"

func (t *troop) id(n int) string { return fmt.Sprintf("%s-agent-%06d", t.prefix, n) }

func (t *troop) path(pattern string, n int) string {
	return strings.Replace(pattern, "{id}", url.PathEscape(t.id(n)), 1)
}

// set returns what an agent declares: every t.agents-th instance.
func (t *troop) set(n int) []api.AgentInstance {
	var all []api.AgentInstance
	for i := n; i < t.size(); i += t.agents {
		m := t.member(i)
		all = append(all, api.AgentInstance{Namespace: t.namespace, Group: m.group, Service: m.service, Address: m.address, Port: m.port,
			Metadata: m.metadata, Health: api.HealthPassing})
	}
	return all
}

// declare declares the set of an agent.
func (t *troop) declare(ctx context.Context, on, n int) string {
	set := t.set(n)
	body, err := json.Marshal(api.AgentSet{Incarnation: incarnation, Host: t.id(n), Instances: set})
	if err != nil {
		return err.Error()
	}
	t.remember(n, set)
	answer, fault := t.send(ctx, on, request{method: http.MethodPut, path: t.path(api.PathAgent, n), body: string(body), mime: mimeJSON})
	if fault != "" {
		return fault
	}
	var got api.AgentAnswer
	if json.Unmarshal(answer, &got) != nil {
		return "another answer than expected"
	}
	if len(got.Rejected) > 0 {
		return "members of a set were refused"
	}
	return ""
}

// remember keeps what the beats of an agent say.
func (t *troop) remember(n int, set []api.AgentInstance) {
	declared, health := api.Digest(set)
	t.beats[n].Store(new(fmt.Sprintf(`,"incarnation":%q,"digest":%q,"health":%q}`, incarnation, declared, health)))
}

// send sends a set, again and again while the server has no room for it just now, as
// agents do.
func (t *troop) send(ctx context.Context, on int, r request) (answer []byte, fault string) {
	for deadline := time.Now().Add(setTimeout); ; t.again.Add(1) {
		answer, fault = t.caller.ask(ctx, on, setTimeout, r, nil)
		if fault != "503" && fault != "429" || time.Now().After(deadline) {
			return answer, fault
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return answer, fault
		}
	}
}

// setTimeout is for one set, which may hold thousands of instances.
const setTimeout = 5 * time.Minute

const mimeJSON = "application/json"

func (t *troop) beat(ctx context.Context, at openloop.Slot) (int, string) {
	return 0, t.beatOver(ctx, t.caller, at)
}

func (t *troop) beatOver(ctx context.Context, by *caller, at openloop.Slot) string {
	n := int(at.N % int64(t.agents))
	rest := t.beats[n].Load()
	if rest == nil {
		return ""
	}
	body := fmt.Sprintf(`{"sequence":%d%s`, at.N/int64(t.agents)+1, *rest)
	return by.call(ctx, at.Worker, request{method: http.MethodPost, path: t.path(api.PathAgentBeat, n), body: body, mime: mimeJSON},
		func(body []byte) bool {
			var got api.AgentAnswer
			return json.Unmarshal(body, &got) == nil && !got.Resync
		})
}

// muster declares all sets. Meanwhile those that stand already beat, whatever the
// servers say to it: a large troop takes longer than an agent may be silent.
func (t *troop) muster(ctx context.Context) (openloop.Result, error) {
	beating, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		by := t.caller.alongside(16)
		defer by.close()
		p := openloop.Plan{Rate: perSecond(t.agents), Duration: 1 << 50}
		openloop.Run(beating, p, len(by.conns), []string{"keep alive"}, func(ctx context.Context, at openloop.Slot) (int, string) {
			return 0, t.beatOver(ctx, by, at)
		})
	})
	defer wg.Wait()
	defer stop()
	return each(ctx, t.caller, t.agents, "declare", func(ctx context.Context, at openloop.Slot) string { return t.declare(ctx, at.Worker, int(at.N)) })
}

func (t *troop) dismiss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := each(ctx, t.caller, t.agents, "delete agent", func(ctx context.Context, at openloop.Slot) string {
		_, fault := t.caller.ask(ctx, at.Worker, setTimeout, request{method: http.MethodDelete, path: t.path(api.PathAgent, int(at.N))}, nil)
		return fault
	})
	return err
}

func benchAgents(c *cli.Context) (err error) {
	r, err := rosterOf(c)
	if err != nil {
		return err
	}
	agents, err := number(c, "agents", 1_000_000)
	if err != nil {
		return err
	}
	if agents > r.size() {
		return usagef("agents is %d, more than the %d instances", agents, r.size())
	}
	p, err := plan(c, perSecond(agents))
	if err != nil {
		return err
	}
	by, err := dial(c)
	if err != nil {
		return err
	}
	defer by.close()
	t := &troop{roster: r, caller: by, agents: agents, beats: make([]atomic.Pointer[string], agents)}
	if !c.Bool("keep") {
		defer func() { joined(&err, t.dismiss(c.Context)) }()
	}
	out := report{Figures: map[string]float64{}}
	if c.Bool("made") {
		for n := range agents {
			t.remember(n, t.set(n))
		}
	} else {
		made, err := t.muster(c.Context)
		if err != nil {
			return err
		}
		out.Runs = append(out.Runs, made)
		out.Figures["instances declared in a second"] = float64(r.size()) / made.Elapsed.Seconds()
		if again := t.again.Load(); again > 0 {
			out.Figures["sets that were refused for the moment and sent again"] = float64(again)
		}
	}
	out.Runs = append(out.Runs, openloop.Run(c.Context, p, len(by.conns), []string{"beat"}, t.beat))
	return out.publish(c, by)
}
