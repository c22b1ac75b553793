package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
)

// lagging is a store as a server sees it whose watch is slow: what others commit
// shows once it commits by itself, or asks for the newest revision; never unless
// it is eager.
type lagging struct {
	*registrytest.Store

	view  registry.View
	eager bool
	asked int
}

func (l *lagging) View() *registry.View { return &l.view }

func (l *lagging) catchUp() { l.view.Publish(l.Store.View().Snapshot()) }

func (l *lagging) Commit(ctx context.Context, w registry.Write) (int64, error) {
	if l.eager {
		defer l.catchUp()
	}
	return l.Store.Commit(ctx, w)
}

func (l *lagging) Newest(ctx context.Context) (int64, error) {
	l.asked++
	if l.eager {
		defer l.catchUp()
	}
	return l.Store.Newest(ctx)
}

// twoServers returns a registry that shows what is committed, and one that shows
// what was before.
func twoServers(t *testing.T, before func(*registry.Registry)) (quick, slow *registry.Registry, store *lagging) {
	t.Helper()
	store = &lagging{Store: registrytest.NewStore(), eager: true}
	quick = registry.New(store.Store, &registrytest.Roll{})
	before(quick)
	store.catchUp()
	return quick, registry.New(store, &registrytest.Roll{}), store
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a server does not show yet must not lead it to acknowledge what it did not
// do.
func TestNothingIsDecidedOnOldNews(t *testing.T) {
	reg := registry.Registration{Key: endpoint("order-api", "192.0.2.1", 80), Weight: 1, Enabled: true, Healthy: true}
	beating := reg
	beating.Witness = registry.WitnessHTTP
	register := func(r registry.Registration) func(*registry.Registry) {
		return func(s *registry.Registry) {
			if _, err := s.Register(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	stands := func(store *lagging) bool { return store.Load().Instance(reg.Key) != nil }

	t.Run("an identical registration after a deregistration elsewhere", func(t *testing.T) {
		quick, slow, store := twoServers(t, register(reg))
		_, err := quick.Deregister(t.Context(), reg.Key, false)
		must(t, err)
		receipt, err := slow.Register(t.Context(), reg)
		must(t, err)
		if !receipt.Wrote || !stands(store) {
			t.Errorf("Register() = %+v, and the instance stands: %t; want it written and there", receipt, stands(store))
		}
	})
	t.Run("a deregistration after a registration elsewhere", func(t *testing.T) {
		quick, slow, store := twoServers(t, func(*registry.Registry) {})
		register(beating)(quick)
		_, err := slow.Deregister(t.Context(), reg.Key, true)
		must(t, err)
		if stands(store) {
			t.Error("the instance stands after an acknowledged deregistration")
		}
	})
	t.Run("a withdrawal after a registration elsewhere", func(t *testing.T) {
		quick, slow, store := twoServers(t, func(*registry.Registry) {})
		register(reg)(quick)
		_, err := slow.Withdraw(t.Context(), reg.Key)
		must(t, err)
		if stands(store) {
			t.Error("the instance stands after an acknowledged withdrawal")
		}
		if _, err := slow.Withdraw(t.Context(), reg.Key); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("Withdraw() of what is gone = %v, want ErrNotFound", err)
		}
	})
	t.Run("an override after a registration elsewhere", func(t *testing.T) {
		quick, slow, store := twoServers(t, func(*registry.Registry) {})
		register(reg)(quick)
		_, err := slow.Override(t.Context(), reg.Key, registry.Edit{Weight: new(7.0)})
		must(t, err)
		if i := store.Load().Instance(reg.Key); i == nil || i.Weight != 7 {
			t.Errorf("instance = %+v, want weight 7", i)
		}
	})
	t.Run("a dry run after an override elsewhere", func(t *testing.T) {
		quick, slow, _ := twoServers(t, register(reg))
		at := slow.Snapshot().Instance(reg.Key).Version()
		_, err := quick.Override(t.Context(), reg.Key, registry.Edit{Weight: new(7.0)})
		must(t, err)
		dry := slow.Under(registry.Terms{DryRun: true, If: &registry.Seen{Key: reg.RecordKey(), Revision: at}})
		if _, err := dry.Withdraw(t.Context(), reg.Key); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("Withdraw() of the instance as it was seen = %v, want ErrConflict as a write would meet it", err)
		}
	})
	t.Run("a set that another server has changed", func(t *testing.T) {
		agent := registry.AgentRecord{ID: "web-1", Incarnation: "a"}
		set := []registry.Declaration{{Registration: reg}}
		quick, slow, store := twoServers(t, func(s *registry.Registry) {
			_, _, err := s.DeclareAgent(t.Context(), agent, set)
			must(t, err)
		})
		_, err := quick.DropAgent(t.Context(), agent.ID)
		must(t, err)
		receipt, _, err := slow.DeclareAgent(t.Context(), agent, set)
		must(t, err)
		if !receipt.Wrote || !stands(store) {
			t.Errorf("DeclareAgent() = %+v, and the instance stands: %t; want it written and there", receipt, stands(store))
		}
	})
}

func TestCurrentSnapshotIsAskedForOnce(t *testing.T) {
	reg := registry.Registration{Key: endpoint("order-api", "192.0.2.1", 80), Weight: 1, Enabled: true}
	_, slow, store := twoServers(t, func(s *registry.Registry) {
		_, err := s.Register(t.Context(), reg)
		must(t, err)
	})
	if receipt, err := slow.Register(t.Context(), reg); err != nil || receipt.Wrote {
		t.Errorf("Register() of what stands = %+v, %v, want nothing written", receipt, err)
	}
	if store.asked != 1 {
		t.Errorf("the store was asked %d times for its newest revision, want once", store.asked)
	}
}

func TestServerThatStaysBehindRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := registry.Registration{Key: endpoint("order-api", "192.0.2.1", 80), Weight: 1, Enabled: true}
		quick, slow, store := twoServers(t, func(s *registry.Registry) {
			_, err := s.Register(t.Context(), reg)
			must(t, err)
		})
		store.eager = false
		_, err := quick.Deregister(t.Context(), reg.Key, false)
		must(t, err)
		_, err = slow.Register(t.Context(), reg)
		if !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "does not show yet") {
			t.Errorf("Register() at a server that stays behind = %v, want ErrUnavailable that says why", err)
		}
	})
}
