package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

// member runs `muster member` at a server.
func (s *serverProcess) member(args ...string) (code int, out string) {
	s.t.Helper()
	return command(s.t, slices.Concat([]string{"member"}, args, []string{"--server", s.url()})...)
}

// roles returns what `muster member list` says each member is, by name.
func (s *serverProcess) roles() map[string]string {
	s.t.Helper()
	code, out := s.member("list", "-o", "json")
	var list api.MemberList
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitDone {
		s.t.Fatalf("muster member list = %d %q, %v", code, out, err)
	}
	all := map[string]string{}
	for _, m := range list.Members {
		all[m.Name] = role(m)
	}
	return all
}

// memberErrors asks for changes that cannot be made.
func (c *cluster) memberErrors(t *testing.T) {
	t.Helper()
	before := c.servers[0].roles()
	_, peer, _ := strings.Cut(strings.Split(c.initial, ",")[0], "=")
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"remove one that is not there", []string{"remove", "nobody"}, exitNotFound, `no member has the name, id or address "nobody"`},
		{"add one without a port", []string{"add", "d", "192.0.2.1"}, exitUsage, `"192.0.2.1" is not HOST:PORT`},
		{"add one with a bad name", []string{"add", "d=e", "192.0.2.1:2380"}, exitUsage, `"d=e" is no name`},
		{"add one at all addresses", []string{"add", "d", "0.0.0.0:2380"}, exitUsage, "others need one of them"},
		{"add one of a name that is taken", []string{"add", "a", "192.0.2.1:2380"}, exitConflict, "there is one of that name"},
		{"add one at an address that is taken", []string{"add", "d", peer}, exitConflict, "there is one of that name or address"},
	} {
		code, out := c.servers[0].member(test.args...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: %d %q, want %d and %q", test.name, code, out, test.code, test.says)
		}
	}
	if after := c.servers[0].roles(); len(after) != len(before) {
		t.Errorf("members after bad changes = %v, want %v as before", after, before)
	}
}

// memberIsReplaced kills the last server for good and puts another one in its place.
func (c *cluster) memberIsReplaced(t *testing.T) {
	t.Helper()
	dead, first := c.servers[2], c.servers[0]
	dead.kill()
	c.servers = c.without(dead)
	steady := stays(t, c.servers[1], c.servers, "kept", "10.0.0.5")
	defer steady()
	peer := freePeer(t)
	eventually(t, time.Minute, "the dead member is listed as not reachable", func() bool { return first.roles()["c"] == "not reachable" })
	code, out := first.member("add", "d", peer)
	if code != exitConflict || !strings.Contains(out, "not reachable are: c") {
		t.Errorf("muster member add while one is dead = %d %q, want %d and why", code, out, exitConflict)
	}
	code, out = first.member("remove", "b")
	if code != exitConflict || !strings.Contains(out, "not reachable") {
		t.Errorf("muster member remove of one of two that are left = %d %q, want %d and which is not reachable", code, out, exitConflict)
	}
	began := time.Now()
	if code, out = first.member("remove", "c"); code != exitDone || out != "removed c\n" {
		t.Fatalf("muster member remove c = %d %q", code, out)
	}
	t.Logf("removed after %v", time.Since(began))
	code, out = first.member("add", "d", peer, "-o", "json")
	var added api.MemberAdded
	if err := json.Unmarshal([]byte(out), &added); err != nil || code != exitDone || !strings.Contains(added.InitialCluster, "d="+peer) {
		t.Fatalf("muster member add = %d %q, %v", code, out, err)
	}
	t.Logf("added after %v", time.Since(began))
	if got := first.roles()[""]; got != "not started" {
		t.Errorf("role of the new member = %q, want not started", got)
	}
	joined := c.newMember("d", peer, added.InitialCluster, "--join")
	joined.start()
	t.Cleanup(joined.stop)
	t.Logf("ready after %v", time.Since(began))
	c.servers = append(c.servers, joined)
	if at, err := located(joined.dns, "order-api"); err != nil || len(at) != 1 {
		t.Errorf("SRV at the new member = %q, %v, want what the others have", at, err)
	}
	joined.persist("written-at-new", "10.0.0.6")
	agree(t, c.servers)
	eventually(t, time.Minute, "the new member votes", func() bool { return first.roles()["d"] == "follower" })

	// The dead one must not come back.
	dead.process.start()
	select {
	case <-dead.done:
	case <-time.After(time.Minute):
		t.Fatalf("a removed member goes on:\n%s", dead.log)
	}
	if code := dead.cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(dead.log.String(), "removed from the etcd cluster") {
		t.Errorf("a removed member ended with %d, want %d and why:\n%s", code, exitFailed, dead.log)
	}
}
