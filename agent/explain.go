package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/probe"
)

// maxExplained bounds the instances that one explanation tells of: each is asked
// for at a server.
const maxExplained = 20

// Explain says why the instances and files that of names are as they are. An
// instance is named by its service, its address and port, or both, a file by its
// path, its document or its name in the services directory. dns has the servers
// tell what DNS answers. It is empty when nothing has the name.
func (a *Agent) Explain(ctx context.Context, of string, dns bool) calls.Explanation {
	e := calls.Explanation{Of: of}
	s := a.Status()
	for _, i := range s.Instances {
		if !isNamed(i, of) {
			continue
		}
		if len(e.Instances) == maxExplained {
			break
		}
		x := explained(s, i)
		a.askServer(ctx, i, dns, &x)
		e.Instances = append(e.Instances, x)
	}
	for _, f := range s.Configs.Files {
		if f.Path == of || f.Config == of || strings.HasSuffix(f.Config, "/"+of) {
			e.Files = append(e.Files, explainedFile(f, s.Configs))
		}
	}
	for _, d := range s.Definitions {
		name, _ := strings.CutPrefix(d.Origin, "file ")
		if d.Origin != of && name != of && s.Directory.Path+"/"+name != of {
			continue
		}
		x := calls.FileExplained{Path: d.Origin, State: "read", Because: d.Problems}
		if d.Error != "" {
			x.State, x.Because = "wrong", append([]string{d.Error, "what it last said stands"}, d.Problems...)
		}
		if len(x.Because) == 0 {
			x.Because = []string{"it defines " + count(d.Services, "service")}
		}
		e.Files = append(e.Files, x)
	}
	return e
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// isNamed reports whether of names the instance i.
func isNamed(i roll.InstanceStatus, of string) bool {
	k := i.Key()
	endpoint := client.Endpoint(k.Address, k.Port)
	service := client.Name{Namespace: k.Namespace, Group: k.Group, Name: k.Service}.String()
	return of == k.Service || of == endpoint || of == service || of == k.Service+"/"+endpoint || of == k.String()
}

// explained says what this agent knows of i.
func explained(s Status, i roll.InstanceStatus) calls.InstanceExplained {
	x := calls.InstanceExplained{Instance: i.Key().String(), Origin: i.Origin, Line: i.Line, Health: i.Health, Weight: 1}
	if i.Weight != nil {
		x.Weight = *i.Weight
	}
	because := func(format string, args ...any) { x.Because = append(x.Because, fmt.Sprintf(format, args...)) }
	if i.Rejected != "" {
		because("the servers refuse it: %s", i.Rejected)
	}
	if i.Standby != "" {
		because("it stands by: %s", i.Standby)
	}
	if i.Withdrawn {
		because("it is deregistered, as a check was critical for its deregister_after")
	}
	if m := i.Maintenance; m != nil {
		because("it is under maintenance since %s: %s", m.Since.Format(time.RFC3339), m.Reason)
	}
	if d := s.Drain; d.State != drain.None {
		because("the agent is %s since %s", d.State, d.Since.Format(time.RFC3339))
	}
	if i.Enabled != nil && !*i.Enabled {
		because("its definition says that it is not enabled")
	}
	failing := 0
	for _, c := range i.Checks {
		x.Checks = append(x.Checks, checkFound(c))
		switch {
		case c.Flapping:
			because("check %s changed too often, and is critical until it holds", c.Check)
		case c.State == probe.Critical:
			because("check %s fails: %s", c.Check, c.Error)
		case c.State == probe.Unknown:
			because("check %s has not passed or failed often enough yet", c.Check)
		default:
			continue
		}
		failing++
	}
	switch {
	case len(i.Checks) == 0:
		because("it has no checks: it passes as long as the agent runs")
	case failing == 0:
		because("all of its checks pass: %d", len(i.Checks))
	}
	if s.Server.Error != "" {
		because("no server takes the announcement: %s", s.Server.Error)
	}
	return x
}

func checkFound(c roll.CheckStatus) calls.CheckFound {
	return calls.CheckFound{Check: c.Check, State: string(c.State), Error: c.Error, At: c.At, Note: c.Note}
}

// askServer adds what the servers say of i.
func (a *Agent) askServer(ctx context.Context, i roll.InstanceStatus, dns bool, x *calls.InstanceExplained) {
	n := client.Name{Namespace: i.Namespace, Group: i.Group, Name: i.Service}
	at, _, err := a.client.Instance(ctx, n, client.Endpoint(i.Address, i.Port))
	switch {
	case errors.Is(err, client.ErrNotFound):
		x.ServerError = "the servers do not have it"
	case err != nil:
		x.ServerError = err.Error()
	default:
		x.Server = &at
		if o := at.Override; o != nil {
			x.Because = append(x.Because, "an operator says otherwise than its owner, at the servers")
		}
		if at.Silent {
			x.Because = append(x.Because, "the servers have not heard of it for too long")
		}
		if want := "agent/" + a.agentID(); at.Witness != want {
			x.Because = append(x.Because, fmt.Sprintf("at the servers %s vouches for it, not this agent", at.Witness))
		}
	}
	if !dns {
		return
	}
	service, err := a.client.Service(ctx, n)
	if err == nil {
		var e api.Explanation
		if e, err = a.client.Explain(ctx, client.ResolveQuery{Name: cmp.Or(service.DNSName, service.DNSExact)}); err == nil {
			x.DNS = &e
			return
		}
	}
	x.DNSError = err.Error()
}

// explainedFile says why a configuration file is as it is. What a command printed
// is in its error, and may be content: whoever asks here may read that anyway.
func explainedFile(f configfile.FileStatus, s configfile.Status) calls.FileExplained {
	x := calls.FileExplained{Path: f.Path, Config: f.Config, State: f.State}
	because := func(format string, args ...any) { x.Because = append(x.Because, fmt.Sprintf(format, args...)) }
	switch f.State {
	case configfile.StateInStep:
		because("it holds what its documents say")
	case configfile.StateWaiting:
		because("nothing is known of its documents, or one of them does not exist")
	case configfile.StateDelayed:
		because("its turn comes at %s", f.Until.Format(time.RFC3339))
	case configfile.StateGone:
		because("its document was deleted on the server")
	}
	if f.Error != "" {
		because("%s", f.Error)
	}
	if f.Release != "" {
		because("its document comes from the release %s", f.Release)
	}
	if s.Error != "" {
		because("the servers do not answer: %s", s.Error)
	}
	return x
}
