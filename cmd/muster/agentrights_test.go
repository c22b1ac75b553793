package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// What an agent's role allows no longer is refused within seconds: what it may still
// write it keeps, the rest leaves, and comes back with the right.
func TestAgentLosesRights(t *testing.T) {
	t.Parallel()
	s := newRealm(t, nil)
	const both, one, none = "rw naming dev/*", "rw naming public/*", "r naming public/*"
	s.role(t, "web", one, both)
	token := s.agentToken(t, "web-1", "web")
	a := newAgent(t, t.TempDir(), s.url(), "--id", "web-1", "--token-file", token)
	const soon = `{preserved.heart.beat.interval: "500", preserved.heart.beat.timeout: "2000", preserved.ip.delete.timeout: "4000"}`
	a.define("pay.yaml", fmt.Sprintf("services:\n  - {name: pay, address: 192.0.2.1, port: 80, metadata: %[1]s}\n  - {name: pay, namespace: dev, address: 192.0.2.1, port: 80, metadata: %[1]s}\n", soon))
	a.start()
	t.Cleanup(a.stop)

	secret, err := os.ReadFile(s.session)
	if err != nil {
		t.Fatal(err)
	}
	admin := bearer(t, s.serverProcess, strings.TrimSpace(string(secret)))
	healthy := func(namespace string) bool {
		list, err := admin.Instances(t.Context(), client.Name{Namespace: namespace, Group: "DEFAULT_GROUP", Name: "pay"}, client.InstanceQuery{})
		return err == nil && len(list.Instances) == 1 && *list.Instances[0].Healthy
	}
	gone := func(namespace string) bool {
		list, err := admin.Instances(t.Context(), client.Name{Namespace: namespace, Group: "DEFAULT_GROUP", Name: "pay"}, client.InstanceQuery{})
		return errors.Is(err, client.ErrNotFound) || err == nil && len(list.Instances) == 0
	}
	status := func() agent.Status {
		t.Helper()
		st, err := askAgent(t.Context(), a.http)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	// beat is what a program does that has the token and asks nobody what it may.
	beat := func() error {
		raw, err := os.ReadFile(token)
		if err != nil {
			t.Fatal(err)
		}
		_, err = bearer(t, s.serverProcess, strings.TrimSpace(string(raw))).BeatAgent(t.Context(), "web-1", api.AgentBeat{Incarnation: status().Incarnation, Sequence: 1 << 20})
		return err
	}
	eventually(t, time.Minute, "both instances are there", func() bool { return healthy("public") && healthy("dev") })
	if err := beat(); err != nil {
		t.Fatalf("a beat by hand = %v, want nil", err)
	}

	t.Log("a part")
	s.role(t, "web", one)
	eventually(t, promptly(revoked), "what is not allowed is gone", func() bool { return gone("dev") })
	eventually(t, time.Minute, "the status says why", func() bool {
		for _, i := range status().Instances {
			if i.Namespace == "dev" {
				return i.Rejected == "agent web-1 may not write naming dev/DEFAULT_GROUP: no rule allows it"
			}
		}
		return false
	})
	if poll(5*time.Second, func() bool { return !healthy("public") }, nil) { // longer than the judge waits
		t.Error("what is allowed went, too")
	}
	if st := status(); st.Server.Error != "" {
		t.Errorf("the agent finds that %q, though the server takes what is allowed", st.Server.Error)
	}

	t.Log("all of it")
	s.role(t, "web", none)
	refused := func() bool {
		e, ok := errors.AsType[*client.Error](beat())
		return ok && e.Status == 403 && strings.Contains(e.Error(), "agent web-1 may not write naming public/DEFAULT_GROUP")
	}
	eventually(t, promptly(revoked), "beats are refused", refused)
	eventually(t, time.Minute, "the status says why", func() bool {
		return strings.Contains(status().Server.Error, "agent web-1 may not write naming dev/DEFAULT_GROUP: no rule allows it")
	})
	eventually(t, time.Minute, "the judge removes what is silent", func() bool { return gone("public") })
	if log := a.log.String(); !strings.Contains(log, "servers do not let this agent register") || !strings.Contains(log, "server refuses an instance") {
		t.Errorf("the log does not say why:\n%s", log)
	}

	t.Log("and back")
	s.role(t, "web", one, both)
	eventually(t, time.Minute, "both instances are back", func() bool { return healthy("public") && healthy("dev") })
}
