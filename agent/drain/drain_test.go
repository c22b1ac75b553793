package drain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/drain"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
)

// host is a roll with a Drainer, and a server that may be away.
type host struct {
	t    *testing.T
	roll *roll.Roll
	*drain.Drainer
	has chan struct{} // closed once the server has the weights
}

func newHost(t *testing.T, path string) *host {
	t.Helper()
	h := &host{t: t, roll: roll.New(slog.New(slog.DiscardHandler)), has: make(chan struct{})}
	h.Drainer = drain.New(drain.Config{
		Path: path, Roll: h.roll, Wait: func() time.Duration { return 5 * time.Second },
		Problem: func() string { return "it is away" },
		Await: func(ctx context.Context, _ uint64) bool {
			select {
			case <-h.has:
			case <-ctx.Done():
			}
			select {
			case <-h.has:
				return true
			default:
				return false
			}
		},
	})
	h.Load()
	declared := make(map[roll.Key]roll.Member)
	for i, origin := range []string{"file a.yaml", "file a.yaml", "app pay-1"} {
		k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: []string{"pay", "order", "pay"}[i], Address: "192.0.2.1", Port: uint16(80 + i)}
		declared[k] = roll.Member{Origin: origin, Instance: api.AgentInstance{
			Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port, Weight: new(3.0)}}
	}
	h.roll.Declare(declared)
	return h
}

// weights returns the weight of each instance by its port.
func (h *host) weights() map[uint16]float64 {
	all := make(map[uint16]float64)
	set, _ := h.roll.Set()
	for _, m := range set {
		all[m.Port] = *m.Weight
	}
	return all
}

func (h *host) want(what string, want map[uint16]float64) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.weights()); diff != "" {
		h.t.Errorf("weights %s (-want +got):\n%s", what, diff)
	}
}

var (
	full  = map[uint16]float64{80: 3, 81: 3, 82: 3}
	empty = map[uint16]float64{80: 0, 81: 0, 82: 0}
)

func TestDrainWaitsAndEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drain.json")
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, path)
		defer h.Close()
		is := func(state string, left time.Duration, problem string) {
			t.Helper()
			synctest.Wait()
			// With a problem, no server has the weights.
			if s := h.Status(); s.State != state || s.LeftMs != left.Milliseconds() || s.Problem != problem || s.Untold != (problem != "") || s.Instances != 3 {
				t.Errorf("status = %+v, want %s with %v left and the problem %q", s, state, left, problem)
			}
		}
		is(drain.None, 0, "")
		if _, err := h.Begin(-1); err != nil {
			t.Fatal(err)
		}
		h.want("at once", empty)
		time.Sleep(time.Minute)
		is(drain.Draining, 5*time.Second, "it is away")
		h.Skip()
		is(drain.Drained, 0, "it is away")
		if _, err := h.End(); err != nil {
			t.Fatal(err)
		}
		is(drain.None, 0, "")
		if _, err := h.Begin(-1); err != nil {
			t.Fatal(err)
		}
		close(h.has)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		is(drain.Draining, 3*time.Second, "")
		if _, err := h.Begin(time.Hour); err != nil {
			t.Fatal(err)
		}
		is(drain.Draining, 3*time.Second, "")
		time.Sleep(3 * time.Second)
		is(drain.Drained, 0, "")
		if _, err := h.End(); err != nil {
			t.Fatal(err)
		}
		is(drain.None, 0, "")
		h.want("after the end", full)
		if _, err := h.Begin(time.Hour); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.Skip()
		is(drain.Drained, 0, "")
	})
}

func TestLeave(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		name   string
		before func(h *host)
		want   time.Duration
		told   bool // a server has the weights
	}{
		{"at once with the server", func(h *host) { close(h.has) }, 5 * time.Second, true},
		{"without the server", func(*host) {}, 1500 * time.Millisecond, false},
		{"skipped before", func(h *host) { h.Skip() }, 0, false},
		{"while it drains", func(h *host) {
			close(h.has)
			if _, err := h.Begin(3 * time.Second); err != nil {
				h.t.Error(err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}, 2 * time.Second, true},
		{"drained already", func(h *host) {
			close(h.has)
			if _, err := h.Begin(0); err != nil {
				h.t.Error(err)
			}
			synctest.Wait()
		}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, filepath.Join(dir, fmt.Sprint(i)))
				defer h.Close()
				c.before(h)
				began := time.Now()
				if n := h.Leave(5 * time.Second); n != 3 {
					t.Errorf("Leave = %d, want 3 instances", n)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("Leave took %v, want %v", took, c.want)
				}
				h.want("while it leaves", empty)
				if s := h.Status(); s.Untold != !c.told {
					t.Errorf("status after Leave = %+v, want told %v", s, c.told)
				}
				h.Undone(errors.New("it is away"))
				if s := h.Status(); !s.Untold || s.Problem != "not deregistered: it is away" {
					t.Errorf("status = %+v, want that it is not deregistered", s)
				}
				if _, err := h.End(); !errors.Is(err, drain.ErrLeaving) {
					t.Errorf("End = %v, want ErrLeaving", err)
				}
			})
		})
	}
}

func TestLeaveIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, filepath.Join(t.TempDir(), "drain.json"))
		defer h.Close()
		close(h.has)
		h.AskLeave(time.Second)
		h.AskLeave(time.Hour)
		<-h.Left()
		began := time.Now()
		h.Leave(time.Hour)
		if took := time.Since(began); took != time.Second {
			t.Errorf("Leave took %v, want what was asked for first", took)
		}
	})
}

// What operators said holds over a restart, from the first set on.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drain.json")
	h := newHost(t, path)
	if _, err := h.Maintain(drain.Target{Name: "order"}, true, "disk"); err != nil {
		t.Fatal(err)
	}
	resting := map[uint16]float64{80: 3, 81: 0, 82: 3}
	h.want("in maintenance", resting)
	h = newHost(t, path)
	h.want("in maintenance, restarted", resting)
	if s := h.roll.Status(); s[0].Maintenance == nil || s[0].Maintenance.Reason != "disk" || s[1].Maintenance != nil {
		t.Errorf("status = %+v, want the reason at order alone", s)
	}
	if _, err := h.Begin(0); err != nil {
		t.Fatal(err)
	}
	h.Close()
	h = newHost(t, path)
	h.want("drained, restarted", empty)
	if s := h.Status(); s.State != drain.Drained || s.Since.IsZero() {
		t.Errorf("status = %+v, want it drained", s)
	}
	if _, err := h.End(); err != nil {
		t.Fatal(err)
	}
	h.want("after the drain", resting)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	newHost(t, path).want("with a record that is broken", full)
}

func TestMaintain(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "drain.json"))
	for _, step := range []struct {
		name   string
		target drain.Target
		on     bool
		about  int
		want   map[uint16]float64
	}{
		{"a service", drain.Target{Name: "pay"}, true, 2, map[uint16]float64{80: 0, 81: 3, 82: 0}},
		{"again", drain.Target{Name: "pay", Namespace: "public", Group: "DEFAULT_GROUP"}, true, 2, map[uint16]float64{80: 0, 81: 3, 82: 0}},
		{"its end", drain.Target{Name: "pay"}, false, 2, full},
		{"a registration", drain.Target{Name: "pay-1"}, true, 1, map[uint16]float64{80: 3, 81: 3, 82: 0}},
		{"its end", drain.Target{Name: "pay-1"}, false, 1, full},
		{"an instance", drain.Target{Name: "pay", Address: "192.0.2.1", Port: 80}, true, 1, map[uint16]float64{80: 0, 81: 3, 82: 3}},
		{"the end of all of the service", drain.Target{Name: "pay"}, false, 2, full},
		{"the end of what is not on", drain.Target{Name: "order"}, false, 1, full},
	} {
		about, err := h.Maintain(step.target, step.on, "because")
		if err != nil || len(about) != step.about {
			t.Fatalf("%s: Maintain = %v, %v, want %d instances", step.name, about, err, step.about)
		}
		h.want(step.name, step.want)
	}
	for _, unknown := range []drain.Target{{}, {Name: "nosuch"}, {Name: "pay", Namespace: "dev"}, {Name: "pay", Address: "192.0.2.1", Port: 99}} {
		if _, err := h.Maintain(unknown, true, ""); !errors.Is(err, drain.ErrUnknown) {
			t.Errorf("Maintain(%+v) = %v, want ErrUnknown", unknown, err)
		}
	}
	h.want("after what is unknown", full)
}

// Where the disk takes nothing, what was said holds for now, and says so.
func TestNotKept(t *testing.T) {
	h := newHost(t, filepath.Join(t.TempDir(), "nosuch", "drain.json"))
	defer h.Close()
	if _, err := h.Maintain(drain.Target{Name: "order"}, true, ""); !errors.Is(err, drain.ErrNotKept) {
		t.Errorf("Maintain = %v, want ErrNotKept", err)
	}
	h.want("in maintenance", map[uint16]float64{80: 3, 81: 0, 82: 3})
	if _, err := h.Begin(0); !errors.Is(err, drain.ErrNotKept) {
		t.Errorf("Begin = %v, want ErrNotKept", err)
	}
	h.want("drained", empty)
}
