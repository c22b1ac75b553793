package roll_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/probe"
)

// declare runs a roll until the test ends, with one instance that has these
// checks.
func declare(t *testing.T, checks ...probe.Check) (*roll.Roll, roll.Key) {
	t.Helper()
	r := roll.New(slog.New(slog.DiscardHandler))
	go func() {
		if err := r.Run(t.Context()); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}()
	k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "a", Address: "192.0.2.1", Port: 80}
	r.Declare(member(k, checks...))
	return r, k
}

func member(k roll.Key, checks ...probe.Check) map[roll.Key]roll.Member {
	return map[roll.Key]roll.Member{k: {
		Instance: api.AgentInstance{Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port},
		Checks:   checks, Origin: "file a.yaml",
	}}
}

// shown is what a server is told of the only instance, and what the status says.
func shown(r *roll.Roll) string {
	set, _ := r.Set()
	told := "none"
	if len(set) == 1 {
		told = set[0].Health
	}
	s := r.Status()[0]
	return fmt.Sprintf("%s, status %s, withdrawn %v", told, s.Health, s.Withdrawn)
}

func wants(t *testing.T, r *roll.Roll, want string) {
	t.Helper()
	synctest.Wait()
	if got := shown(r); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

func ttl(name string) probe.Check {
	return probe.Check{TTL: probe.Duration(10 * time.Second), Name: name, DeregisterAfter: probe.Duration(time.Minute)}
}

func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := declare(t, ttl("work"), ttl("sleep"), ttl(""), probe.Check{Process: "a-program-that-is-not-there", Name: "other", Interval: probe.Duration(time.Hour)})
		other := k
		other.Port++
		for _, c := range []struct {
			key  roll.Key
			name string
			err  error
		}{
			{k, "work", nil}, {k, "sleep", nil}, {k, "2", nil}, {k, "0", nil},
			{k, "", roll.ErrNoCheck}, {k, "other", roll.ErrNoCheck}, {k, "3", roll.ErrNoCheck}, {k, "4", roll.ErrNoCheck}, {k, "-1", roll.ErrNoCheck},
			{other, "work", roll.ErrNoInstance},
		} {
			if err := r.Tell(c.key, c.name, true, "fine"); !errors.Is(err, c.err) {
				t.Errorf("Tell of %s %q = %v, want %v", c.key, c.name, err, c.err)
			}
		}
		var states []string
		synctest.Wait()
		for _, c := range r.Status()[0].Checks {
			states = append(states, fmt.Sprintf("%s %s %s", c.Name, c.State, c.Note))
		}
		if got, want := strings.Join(states, ", "), "work passing fine, sleep passing fine,  passing fine, other critical "; got != want {
			t.Errorf("checks = %q, want %q", got, want)
		}
	})
}

func TestWithdrawnForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := declare(t, ttl(""))
		tell := func(passes bool) {
			t.Helper()
			if err := r.Tell(k, "", passes, ""); err != nil {
				t.Fatal(err)
			}
		}
		wants(t, r, "unknown, status unknown, withdrawn false")
		tell(true)
		wants(t, r, "passing, status passing, withdrawn false")
		time.Sleep(10*time.Second + time.Millisecond)
		wants(t, r, "critical, status critical, withdrawn false")
		time.Sleep(time.Minute - 2*time.Millisecond)
		wants(t, r, "critical, status critical, withdrawn false")
		before, news := r.Version()
		time.Sleep(2 * time.Millisecond)
		wants(t, r, "none, status critical, withdrawn true")
		select {
		case <-news:
		default:
			t.Errorf("the version is still %d", before)
		}
		tell(false)
		wants(t, r, "none, status critical, withdrawn true")
		tell(true)
		wants(t, r, "passing, status passing, withdrawn false")

		// The definition is changed while it is withdrawn: what is declared counts.
		tell(false)
		time.Sleep(2 * time.Minute)
		wants(t, r, "none, status critical, withdrawn true")
		r.Declare(member(k, ttl("")))
		wants(t, r, "none, status critical, withdrawn true")
		r.Declare(member(k))
		wants(t, r, "passing, status passing, withdrawn false")
	})
}
