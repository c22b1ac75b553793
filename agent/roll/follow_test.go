package roll_test

import (
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/probe"
)

func key(address string) roll.Key {
	return roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "a", Address: address, Port: 80}
}

func at(address string, after *roll.Key, checks ...probe.Check) map[roll.Key]roll.Member {
	k := key(address)
	return map[roll.Key]roll.Member{k: {After: after, Checks: checks, Instance: api.AgentInstance{
		Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: address, Port: 80}}}
}

// addresses returns those in the set, and its version.
func addresses(r *roll.Roll) (all string, version uint64) {
	set, version := r.Set()
	for _, m := range set {
		all += m.Address + "=" + m.Health + " "
	}
	return all, version
}

// The instance at the old address goes when a server has the new one.
func TestAddressIsFollowed(t *testing.T) {
	r := roll.New(slog.New(slog.DiscardHandler))
	r.Declare(at("10.0.0.1", nil))
	old := key("10.0.0.1")
	r.Declare(at("10.0.0.2", &old))
	both, version := addresses(r)
	if both != "10.0.0.1=passing 10.0.0.2=passing " {
		t.Fatalf("set = %s, want both", both)
	}
	r.Taken(version - 1)
	r.Declare(at("10.0.0.2", &old))
	if all, _ := addresses(r); all != both {
		t.Errorf("set = %s before a server has it, want both", all)
	}
	r.Taken(version)
	if all, _ := addresses(r); all != "10.0.0.2=passing " {
		t.Errorf("set = %s, want the new address alone", all)
	}
	r.Declare(at("10.0.0.3", nil))
	if all, _ := addresses(r); all != "10.0.0.3=passing " {
		t.Errorf("set = %s, want what follows nothing alone", all)
	}
}

// While the new one does not pass its checks the old one stays, but not for ever.
func TestAddressIsFollowedWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roll.New(slog.New(slog.DiscardHandler))
		r.Declare(at("10.0.0.1", nil))
		old := key("10.0.0.1")
		unknown := probe.Check{TCP: net.JoinHostPort("127.0.0.1", "1")} // nobody runs it
		r.Declare(at("10.0.0.2", &old, unknown))
		both, version := addresses(r)
		r.Taken(version)
		time.Sleep(29 * time.Second)
		r.Declare(at("10.0.0.2", &old, unknown))
		if all, _ := addresses(r); all != both || both != "10.0.0.1=passing 10.0.0.2=unknown " {
			t.Errorf("set = %s, want both still", all)
		}
		time.Sleep(time.Second)
		r.Declare(at("10.0.0.2", nil, unknown))
		if all, _ := addresses(r); all != "10.0.0.2=unknown " {
			t.Errorf("set = %s, want the new one alone", all)
		}
	})
}
