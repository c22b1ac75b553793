package server_test

import (
	"fmt"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
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
