package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

// What a beat is answered with is kept, and follows whatever changes.
func TestBeatsFollowChanges(t *testing.T) {
	c := dial(t, running(t))
	set := func(n int) (all []api.AgentInstance) {
		for i := range n {
			all = append(all, api.AgentInstance{Service: fmt.Sprint("app-", i), Address: "10.0.0.1", Port: uint16(8000 + i), Health: api.HealthPassing})
		}
		return all
	}
	declare := func(of []api.AgentInstance) {
		t.Helper()
		if _, err := c.PutAgent(t.Context(), "web-1", api.AgentSet{Incarnation: "1", Host: "web-1", Instances: of}); err != nil {
			t.Fatal(err)
		}
	}
	beat := func(of []api.AgentInstance) api.AgentAnswer {
		t.Helper()
		digest, health := api.Digest(of)
		var last api.AgentAnswer
		for range 3 { // the first one finds out, the others are told what is kept
			answer, err := c.BeatAgent(t.Context(), "web-1", api.AgentBeat{Incarnation: "1", Sequence: 1, Digest: digest, Health: health})
			if err != nil {
				t.Fatal(err)
			}
			if last.Interval != 0 && answer.Resync != last.Resync {
				t.Errorf("resync = %v and then %v, with nothing between", last.Resync, answer.Resync)
			}
			last = answer
		}
		return last
	}
	agrees := func(when string, of []api.AgentInstance, want bool) {
		t.Helper()
		if got := beat(of); got.Resync == want {
			t.Errorf("%s: resync = %v, want %v", when, got.Resync, !want)
		}
	}
	declare(set(20))
	agrees("declared", set(20), true)
	agrees("the agent believes in less", set(19), false)
	if _, err := c.Register(t.Context(), client.Name{Name: "app-0"}, api.Instance{Address: "10.0.0.2", Port: 80, Ephemeral: true}); err != nil {
		t.Fatal(err)
	}
	agrees("another instance beside one of it", set(20), true)
	zero := 0.0
	if _, err := c.UpdateInstance(t.Context(), client.Name{Name: "app-1"}, "10.0.0.1:8001", client.InstancePatch{Weight: &zero}); err != nil {
		t.Fatal(err)
	}
	agrees("what an operator says of one", set(20), true)
	if err := c.Deregister(t.Context(), client.Name{Name: "app-2"}, "10.0.0.1:8002"); err != nil {
		t.Fatal(err)
	}
	agrees("one removed behind its back", set(20), false)
	declare(set(20))
	agrees("declared again", set(20), true)
	quick := set(20)
	quick[3].Metadata = map[string]string{"preserved.heart.beat.interval": "1000"}
	declare(quick)
	agrees("one that beats more often", quick, true)
	if got := beat(quick).Interval; got != 1000 {
		t.Errorf("interval = %d ms, want 1000", got)
	}
	declare(set(3))
	agrees("most of it gone", set(3), true)
	if got := beat(set(3)).Interval; got != 5000 {
		t.Errorf("interval = %d ms, want 5000", got)
	}
}

// What is known of an agent does not hide that it fell silent, that another incarnation
// beats, or that what it stands by for is to be had.
func TestBeatsOfWhoCameBack(t *testing.T) {
	c := dial(t, running(t))
	set := []api.AgentInstance{{Service: "app", Address: "10.0.0.1", Port: 80, Health: api.HealthPassing, Metadata: map[string]string{
		"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "1000", "preserved.ip.delete.timeout": "600000"}}}
	put := func(id string) (rejected []api.Rejected) {
		t.Helper()
		answer, err := c.PutAgent(t.Context(), id, api.AgentSet{Incarnation: "1", Host: id, Instances: set})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Rejected
	}
	beat := func(id, incarnation string, of []api.AgentInstance) api.AgentAnswer {
		t.Helper()
		digest, health := api.Digest(of)
		answer, err := c.BeatAgent(t.Context(), id, api.AgentBeat{Incarnation: incarnation, Sequence: 1, Digest: digest, Health: health})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	silent := func() bool {
		all, err := c.Agents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all.Agents, func(a api.Agent) bool { return a.ID == "web-1" && a.Silent })
	}
	put("web-1")
	for range 2 {
		if answer := beat("web-1", "1", set); answer.Resync {
			t.Error("resync = true with nothing between")
		}
	}
	eventually(t, "web-1 is silent", silent)
	eventually(t, "web-1 is back", func() bool { // it falls silent again soon
		if answer := beat("web-1", "1", set); answer.Resync {
			t.Error("resync = true, want false: what fell silent is there still")
		}
		return !silent()
	})
	set[0].Metadata = nil
	put("web-1")

	if answer := beat("web-1", "2", set); !answer.Resync {
		t.Error("another incarnation: resync = false, want true")
	}

	if rejected := put("web-2"); len(rejected) != 1 || !rejected[0].Standby {
		t.Fatalf("rejected = %v, want one that web-2 stands by for", rejected)
	}
	for range 2 {
		if answer := beat("web-2", "1", nil); answer.Resync {
			t.Error("who stands by: resync = true with nothing between")
		}
	}
	if err := c.DeleteAgent(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "web-2 has the instance, or is asked for it", func() bool { return beat("web-2", "1", nil).Resync })
}

// What is known of agents is what would be worked out, whatever changes, and is kept of
// those that have none of it.
func TestBeatsKnown(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	const agents, services = 6, 4
	id := func(n int) string { return fmt.Sprint("web-", n) }
	member := func(n, of int) api.AgentInstance {
		return api.AgentInstance{Service: fmt.Sprint("app-", of), Address: fmt.Sprint("10.0.0.", n+1), Port: 80, Health: api.HealthPassing}
	}
	declareAs := func(incarnation string, n int, of ...api.AgentInstance) {
		t.Helper()
		if _, err := c.PutAgent(t.Context(), id(n), api.AgentSet{Incarnation: incarnation, Host: id(n), Instances: of}); err != nil {
			t.Fatal(err)
		}
	}
	declare := func(n int, of ...api.AgentInstance) { t.Helper(); declareAs("1", n, of...) }
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range agents { // all of them share app-0
		declare(n, member(n, 0), member(n, n%services))
	}
	name := func(of int) client.Name { return client.Name{Name: fmt.Sprint("app-", of)} }
	at := func(n int) string { return fmt.Sprint("10.0.0.", n+1, ":80") }
	weighty := member(1, 0)
	weighty.Weight = new(3.0)
	for _, change := range []struct {
		name    string
		do      func()
		forgets []int
	}{
		{"nothing", func() {}, nil},
		{"another's instance of a shared service", func() {
			must(c.Register(t.Context(), name(0), api.Instance{Address: "10.1.0.1", Port: 80, Ephemeral: true}))
		}, nil},
		{"a service of nobody", func() {
			must(c.Register(t.Context(), name(9), api.Instance{Address: "10.1.0.1", Port: 80, Ephemeral: true}))
		}, nil},
		{"what an operator says of one", func() {
			must(c.UpdateInstance(t.Context(), name(0), at(2), client.InstancePatch{Enabled: new(false)}))
		}, []int{2}},
		{"one removed behind the back of its agent", func() { must(nil, c.Deregister(t.Context(), name(0), at(3))) }, []int{3}},
		{"another weight", func() { declare(1, weighty, member(1, 1)) }, nil}, // what is answered to it is worked out at once,
		{"another incarnation with the same set", func() { declareAs("2", 2, member(2, 0), member(2, 2)) }, nil},
		{"a shorter set", func() { declare(4, member(4, 0)) }, nil},
		{"how long answers of a service are kept", func() {
			must(c.PutService(t.Context(), name(1), api.ServiceSpec{DNS: &api.ServiceDNS{TTL: new(uint32(77))}}))
		}, []int{1, 5}},
		{"an agent that leaves", func() { must(nil, c.DeleteAgent(t.Context(), id(5))) }, []int{5}},
		{"an empty set", func() { declare(4, []api.AgentInstance{}...) }, nil},
		{"the agent of an empty set leaves", func() { must(nil, c.DeleteAgent(t.Context(), id(4))) }, []int{4}},
	} {
		if wrong := server.Misknown(s); len(wrong) > 0 { // and all are known
			t.Fatalf("before %s: something else is known of %v", change.name, wrong)
		}
		before := server.Known(s)
		change.do()
		want := slices.DeleteFunc(slices.Clone(before), func(known string) bool {
			return slices.ContainsFunc(change.forgets, func(n int) bool { return id(n) == known })
		})
		if got := server.Known(s); !slices.Equal(got, want) {
			t.Errorf("%s: known are %v, want %v of %v", change.name, got, want, before)
		}
	}
	if got, want := beatOf(t, c, id(1), weighty, member(1, 1)).Hold, int64(77000); got != want {
		t.Errorf("hold = %d ms, want %d", got, want)
	}
	if wrong := server.Misknown(s); len(wrong) > 0 {
		t.Errorf("in the end something else is known of %v", wrong)
	}
}

// beatOf beats for an agent that has a set.
func beatOf(t *testing.T, c *client.Client, id string, set ...api.AgentInstance) api.AgentAnswer {
	t.Helper()
	digest, health := api.Digest(set)
	answer, err := c.BeatAgent(t.Context(), id, api.AgentBeat{Incarnation: "1", Sequence: 1, Digest: digest, Health: health})
	if err != nil || answer.Resync {
		t.Fatalf("a beat of %s = %+v, %v, want one that agrees", id, answer, err)
	}
	return answer
}
