package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/source"
)

// A stop takes leave: nothing is left to be found silent.
func TestStoppedAgentDeregisters(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.pass(t)
	f.agent.stop()
	if hosts := f.hosts("order-api"); len(hosts) != 0 || !isLocated(f.dns, "order-api") {
		t.Errorf("list after the agent's stop = %+v, want none", hosts)
	}
}

// An agent that finds no server keeps trying, and catches up when there is one.
func TestAgentWaitsForServer(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	app := startApp(t)
	app.passing.Store(true)
	k.agent.stop()
	k.publish("app.properties", "published before")
	k.stop()

	k.agent.define("order-api.yaml", fmt.Sprintf(orderAPI, app.addr.Addr(), app.addr.Port()))
	k.agent.start()
	eventually(t, time.Minute, "the agent says that the server is away", func() bool {
		s, err := askAgent(t.Context(), k.agent.http)
		return err == nil && s.Server.Error != "" && s.Configs.Error != ""
	})
	k.start()
	eventually(t, time.Minute, "the app is in DNS", func() bool { return isLocated(k.dns, "order-api", "0 3000 "+app.addr.String()) })
	eventually(t, time.Minute, "the document is in its file", func() bool { return k.holds("app.properties", "published before") })

	// The same for a server that goes away and comes back with all it knew.
	k.kill()
	k.start()
	if !isLocated(k.dns, "order-api", "0 3000 "+app.addr.String()) {
		t.Error("SRV lacks the app after a restart of the server")
	}
	k.publish("app.properties", "published after")
	eventually(t, time.Minute, "the next document is in its file", func() bool { return k.holds("app.properties", "published after") })
}

func TestBrokenDefinitionStopsNothing(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.pass(t)
	status := func(origin string) (found source.DefinitionStatus) {
		s, err := askAgent(t.Context(), f.agent.http)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(s.Definitions, func(d source.DefinitionStatus) bool { return strings.HasSuffix(d.Origin, origin) }); i >= 0 {
			found = s.Definitions[i]
		}
		return found
	}
	broken := strings.Replace(fmt.Sprintf(orderAPI, "127.0.0.1", 70000), "order-api", "other", 1)
	f.agent.define("other.yaml", broken)
	eventually(t, time.Minute, "the agent names file, line and field", func() bool {
		return strings.Contains(status("other.yaml").Error, "other.yaml:4: services[0].port: 70000")
	})
	f.agent.define("template.yaml", "services:\n  - {name: template, address: '{{ GetInterfaceIP \"nope0\" }}', port: 80}\n")
	eventually(t, time.Minute, "the agent says that the template finds no address", func() bool {
		problems := status("template.yaml").Problems
		return len(problems) == 1 && strings.Contains(problems[0], "service template: address: ")
	})
	if !isLocated(f.dns, "order-api", f.want) {
		t.Error("a broken file took the good one's instance away")
	}
	f.agent.define("other.yaml", "services:\n  - {name: other, address: 127.0.0.1, port: 7000}\n")
	eventually(t, time.Minute, "the repaired file is registered", func() bool { return isLocated(f.dns, "other", "0 1000 127.0.0.1:7000") })
}

// askAgent reads the status of the agent at address.
func askAgent(ctx context.Context, address string) (s agent.Status, err error) {
	a, err := calls.New(address, nil)
	if err != nil {
		return s, err
	}
	defer a.Close()
	return s, a.Status(ctx, &s)
}
