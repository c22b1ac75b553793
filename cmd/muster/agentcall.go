package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
)

// agentCalls are the commands that ask an agent which runs.
func agentCalls() []*cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append(append(more,
			&cli.StringFlag{Name: "http", EnvVars: []string{"MUSTER_AGENT_HTTP"}, Value: agent.DefaultHTTP, Usage: "`ADDRESS` of the agent's local API, https:// before it where that speaks TLS, or unix: and the path of its socket"},
			outputFlag()), certFlags("agents")...)
	}
	wait := &cli.DurationFlag{Name: "wait", Usage: "wait this long, 0 for not at all", DefaultText: "as long as answers may be kept"}
	return []*cli.Command{
		{Name: "status", Usage: "say how an agent is", Action: agentStatus, Flags: flags(
			&cli.BoolFlag{Name: "check", Usage: "end with 1 when something is not as it should be"})},
		{Name: "explain", Usage: "say why an instance or a file is as it is", ArgsUsage: "INSTANCE|FILE", Action: agentExplain,
			Description: "An instance is named by its service, its ADDRESS:PORT or SERVICE/ADDRESS:PORT; a file by its path, its document,\n" +
				"or its name in the directory of definitions.",
			Flags: flags(&cli.BoolFlag{Name: "dns", Usage: "ask the servers too what DNS answers"})},
		{Name: "diff", Usage: "say what differs between definitions, agent, servers and files of this host", Action: agentDiff,
			Description: "It ends with 1 when something does.",
			Flags:       flags(&cli.BoolFlag{Name: "contents", Usage: "show how the contents of configuration files would change"})},
		{Name: "reload", Usage: "have an agent read its definitions now, and say what came of it", Action: agentReload, Flags: flags(),
			Description: "It ends with 1 when something of what was read is wrong."},
		{Name: "drain", Usage: "take the traffic from everything an agent declares, and wait until nobody has an answer with it any more", Action: agentDrain,
			Description: "Everything stays registered, with the weight 0, until --undo, also over a restart of the agent. The wait begins when a\n" +
				"server has the weights; while none has them for --patience, the command ends with 6 and the agent goes on. An interrupt\n" +
				"says how long the wait still takes, a second one skips it.",
			Flags: flags(wait, &cli.DurationFlag{Name: "patience", Value: 15 * time.Second, Usage: "wait this long for a server to have the weights"},
				&cli.BoolFlag{Name: "undo", Usage: "give everything the weights that it was declared with"})},
		{Name: "leave", Usage: "drain, deregister everything, and end the agent", Action: agentLeave,
			Description: "It returns when the agent has ended, with 6 when no server was told of it. An interrupt says how long the wait still\n" +
				"takes, a second one skips it.",
			Flags: flags(wait)},
		{Name: "maintenance", Usage: "take a service of this host out of rotation, or put it back", ArgsUsage: "SERVICE on|off", Action: agentMaintenance,
			Description: "SERVICE is the name of a service, of which it takes all instances of this host, or of a registration. They stay\n" +
				"registered, with the weight 0, also over a restart of the agent.",
			Flags: flags(&cli.StringFlag{Name: "reason", Usage: "`TEXT` that the status shows"},
				&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "of this namespace `NAME` alone"},
				&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "of this `GROUP` alone"})},
	}
}

// dialAgent returns a client of the agent that the flags name, after it has seen
// that the command has the arguments args.
func dialAgent(c *cli.Context, args ...string) (*calls.Client, []string, error) {
	given, err := names(c, args...)
	if err != nil {
		return nil, nil, err
	}
	address := c.String("http")
	var dialTLS func(ctx context.Context, network, address string) (net.Conn, error)
	if calls.OverTLS(address) { // else it does not matter whether the files can be read
		trust, err := certs.Open(certFiles(c), nil)
		if err != nil {
			return nil, nil, usageError{err}
		}
		dialTLS = trust.Dialer("http/1.1")
	}
	a, err := calls.New(address, dialTLS)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return a, given, nil
}

func agentDiff(c *cli.Context) error {
	a, _, err := dialAgent(c)
	if err != nil {
		return err
	}
	defer a.Close()
	d, err := a.Diff(c.Context, c.Bool("contents"))
	if err != nil {
		return err
	}
	var rows [][]string
	entries := func(where string, all []calls.Entry, failed string) {
		for _, e := range all {
			rows = append(rows, []string{where, e.Of, e.Kind, strings.Trim(strings.Join(append(e.What, e.Reason), "; "), "; ")})
		}
		if failed != "" {
			rows = append(rows, []string{where, "-", "unknown", failed})
		}
	}
	entries("definitions", d.Definitions, d.DefinitionsError)
	entries("servers", d.Servers, d.ServersError)
	for _, p := range d.Configs {
		kind := "would change"
		switch {
		case p.Error != "":
			kind = "unknown"
		case p.Removed:
			kind = "would be removed"
		}
		rows = append(rows, []string{"files", strings.TrimSpace(p.Path + " " + p.Name), kind, strings.TrimSpace(p.From + " " + p.Error)})
	}
	entries("files", nil, d.ConfigsError)
	if d.None() {
		rows = [][]string{{"no difference"}}
	}
	if err := show(c, d, "", shortened(rows)); err != nil {
		return err
	}
	if c.String("output") == "table" {
		for _, p := range d.Configs {
			fmt.Fprint(c.App.Writer, p.Diff)
		}
	}
	if d.None() {
		return nil
	}
	return errReported
}

func agentReload(c *cli.Context) error {
	a, _, err := dialAgent(c)
	if err != nil {
		return err
	}
	defer a.Close()
	r, err := a.Reload(c.Context)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, f := range r.Files {
		rows = append(rows, []string{f.Origin, f.Change, fmt.Sprintf("%d services", f.Services)})
	}
	for _, all := range []struct {
		what  string
		names []string
	}{{"added", r.Added}, {"changed", r.Changed}, {"removed", r.Removed}} {
		for _, n := range all.names {
			rows = append(rows, []string{"instance", all.what, n})
		}
	}
	rows = append(rows, []string{"instances", "unchanged", strconv.Itoa(r.Unchanged)})
	if err := show(c, r, "", rows); err != nil {
		return err
	}
	var problems []error
	for _, f := range r.Files {
		if f.Error != "" {
			problems = append(problems, errors.New(f.Error))
		}
		for _, p := range f.Problems {
			problems = append(problems, fmt.Errorf("%s: %s", f.Origin, p))
		}
	}
	if r.Error != "" {
		problems = append(problems, errors.New(r.Error))
	}
	return errors.Join(problems...)
}

// drainOrder is what the flags say of a wait.
func drainOrder(c *cli.Context) (o calls.DrainOrder, err error) {
	if !c.IsSet("wait") {
		return o, nil
	}
	wait := c.Duration("wait")
	if wait < 0 {
		return o, usagef("wait: %v is less than nothing", wait)
	}
	o.WaitMs = new(wait.Milliseconds())
	return o, nil
}

func agentDrain(c *cli.Context) error {
	a, _, err := dialAgent(c)
	if err != nil {
		return err
	}
	defer a.Close()
	order, err := drainOrder(c)
	if err != nil {
		return err
	}
	if c.Bool("undo") {
		d, err := a.Undrain(c.Context)
		if err != nil {
			return err
		}
		return show(c, d, "", [][]string{{"not drained any more", fmt.Sprintf("%d instances", d.Instances)}})
	}
	patience := c.Duration("patience")
	if patience <= 0 {
		return usagef("patience: %v is no time to wait for", patience)
	}
	d, _, err := followDrain(c, a, patience, func(ctx context.Context) (calls.Drain, error) { return a.Drain(ctx, order) })
	if err != nil {
		return err
	}
	if err := show(c, d, "", [][]string{{d.State, fmt.Sprintf("%d instances", d.Instances), d.Problem}}); err != nil || !d.Untold {
		return err
	}
	return untold(d, "no server has the weights: they get their traffic until one answers the agent, which goes on with it")
}

func agentLeave(c *cli.Context) error {
	a, _, err := dialAgent(c)
	if err != nil {
		return err
	}
	defer a.Close()
	order, err := drainOrder(c)
	if err != nil {
		return err
	}
	d, ended, err := followDrain(c, a, 0, func(ctx context.Context) (calls.Drain, error) { return a.Leave(ctx, order) })
	if err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("the agent is %s, and not leaving", d.State)
	}
	if err := show(c, d, "", [][]string{{"left", fmt.Sprintf("%d instances", d.Instances)}}); err != nil || !d.Untold || d.Problem == "" {
		return err // without a problem that was the moment before it was told
	}
	return untold(d, "no server was told that the agent leaves: they find its instances silent")
}

// errUntold is met where what was done reached no server.
var errUntold = errors.New("no server was told")

// untoldError says in words that what was done reached no server, and why.
type untoldError struct{ text string }

func (e untoldError) Error() string { return e.text }
func (untoldError) Unwrap() error   { return errUntold }

func untold(d calls.Drain, text string) error {
	if d.Problem != "" {
		text += " (" + d.Problem + ")"
	}
	return untoldError{text}
}

// followEvery is how often an agent is asked how far it is.
const followEvery = 200 * time.Millisecond

// followDrain begins a drain or a leave, tells how far it is, and returns when it is
// over: drained, or with ended when the agent does not answer any more; or when no
// server has had the weights for patience, unless that is 0. The first interrupt tells how long it takes, the second skips the wait; the end of the
// command does not end the drain.
func followDrain(c *cli.Context, a *calls.Client, patience time.Duration, begin func(context.Context) (calls.Drain, error)) (d calls.Drain, ended bool, err error) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	// The first interrupt ends the context of the command, which goes on.
	ctx := context.WithoutCancel(c.Context)
	if d, err = begin(ctx); err != nil {
		return d, false, err
	}
	say := func(format string, args ...any) { remark(c, format, args...) }
	left := func() string {
		text := (time.Duration(d.LeftMs) * time.Millisecond).Round(100*time.Millisecond).String() + " are left"
		if d.Untold {
			text += " from when a server has the weights"
		}
		return text
	}
	if d.State != calls.DrainDrained && (!d.Untold || d.Problem == "") { // else it is said below
		say("no traffic from here on; waiting %v until no answer is kept", time.Duration(d.LeftMs)*time.Millisecond)
	}
	untold := time.Now()
	look := time.NewTicker(followEvery)
	defer look.Stop()
	warned, problem := false, ""
	for told := time.Now(); d.State == calls.DrainDraining || d.State == calls.DrainLeaving; {
		select {
		case s := <-signals:
			if s != os.Interrupt {
				return d, false, errors.New("told to stop while waiting: the agent goes on with it")
			}
			if warned {
				if _, err := a.Drain(ctx, calls.DrainOrder{Skip: true}); err != nil && !errors.Is(err, client.ErrUnreachable) {
					return d, false, err
				}
				break
			}
			warned = true
			say("%s; another interrupt skips them", left())
		case <-look.C:
		}
		was := d
		if d, err = a.Drained(ctx); errors.Is(err, client.ErrUnreachable) && was.State == calls.DrainLeaving {
			return was, true, nil
		}
		if err != nil {
			return was, false, err
		}
		if d.Problem != problem {
			switch problem = d.Problem; {
			case problem == "":
			case d.Untold && d.State == calls.DrainDraining:
				say("no server has the weights yet: %s", problem)
			default:
				say("%s", problem)
			}
		}
		switch {
		case !d.Untold:
			untold = time.Now()
		case patience > 0 && time.Since(untold) >= patience:
			return d, false, nil
		}
		if time.Since(told) >= 5*time.Second {
			told = time.Now()
			say("%s", left())
		}
	}
	return d, false, nil
}

func agentMaintenance(c *cli.Context) error {
	a, args, err := dialAgent(c, "SERVICE", "on|off")
	if err != nil {
		return err
	}
	defer a.Close()
	if args[1] != "on" && args[1] != "off" {
		return usagef("maintenance: %q is not on or off", args[1])
	}
	o := calls.MaintenanceOrder{Enabled: args[1] == "on", Reason: c.String("reason")}
	m, err := a.Maintain(c.Context, c.String("namespace"), c.String("group"), args[0], o)
	if err != nil {
		return err
	}
	state := "back in rotation"
	if m.Enabled {
		state = "under maintenance"
	}
	err = show(c, m, "", rows(m.Instances, func(i string) []string { return []string{i, state, m.Reason} }))
	if err == nil && m.Problem != "" {
		err = fmt.Errorf("maintenance: it holds until the agent is started again: %s", m.Problem)
	}
	return err
}
