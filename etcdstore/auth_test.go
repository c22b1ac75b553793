package etcdstore_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/etcdstore"
)

// losing leaves out what it is given while on is set, and counts it.
type losing struct {
	on   atomic.Bool
	lost atomic.Int64
}

func (l *losing) spoil(events []*clientv3.Event) (left []*clientv3.Event) {
	for _, e := range events {
		if l.on.Load() && strings.HasPrefix(string(e.Kv.Key), "/muster/1/auth/") {
			l.lost.Add(1)
			continue
		}
		left = append(left, e)
	}
	return left
}

func commitAuth(t *testing.T, a *etcdstore.Auth, w auth.Write) int64 {
	t.Helper()
	revision, err := a.Commit(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// What etcd does not tell of users and keys is found by reading all of them again: a
// revocation that nobody heard of would be none.
func TestLostRevocationIsFound(t *testing.T) {
	client := startEtcd(t)
	var l losing
	s := runWith(t, client, etcdstore.Config{ReconcileEvery: 50 * time.Millisecond}, func(s *etcdstore.Store) { etcdstore.Spoil(s, l.spoil) })
	a := s.Auth()
	eventually(t, time.Minute, "users are read", func() bool { return a.View().Snapshot() != nil })
	ann, token := &auth.User{Name: "ann", Epoch: "one", Roles: []string{"dev"}}, &auth.Token{ID: "t", Subject: "web-1", Digest: make([]byte, 32)}
	role := &auth.Role{Name: "dev", Rules: []access.Rule{{Kind: access.Naming, Namespace: "dev", Group: "*", Verbs: "r"}}}
	commitAuth(t, a, auth.Write{Puts: []auth.Record{ann, token, role}})
	shown := func(what func(s *auth.Snapshot) bool) func() bool {
		return func() bool { return what(a.View().Snapshot()) }
	}
	eventually(t, time.Minute, "all are shown", shown(func(s *auth.Snapshot) bool {
		return s.User("ann") != nil && s.Token("t") != nil && s.Role("dev") != nil
	}))

	// A watch may bring an event after the list that shows it already, and none at all
	// while all is listed anew: each step goes on until one was lost.
	l.on.Store(true)
	for _, c := range []struct {
		name string
		w    auth.Write
		ok   func(s *auth.Snapshot) bool
	}{
		{"another epoch", auth.Write{Puts: []auth.Record{&auth.User{Name: "ann", Epoch: "two", Roles: []string{"dev"}}}}, func(s *auth.Snapshot) bool { return s.User("ann").Epoch == "two" }},
		{"the end of a token", auth.Write{Deletes: []auth.Key{token.RecordKey()}}, func(s *auth.Snapshot) bool { return s.Token("t") == nil }},
		{"another role", auth.Write{Puts: []auth.Record{&auth.Role{Name: "dev", Rules: []access.Rule{}}}}, func(s *auth.Snapshot) bool {
			return !s.Policy().Decide(access.Subject{Type: access.User, Roles: []string{"dev"}}, access.Read, access.Resource{Kind: access.Naming, Namespace: "dev"}).Allowed
		}},
		{"the end of a user", auth.Write{Deletes: []auth.Key{ann.RecordKey()}}, func(s *auth.Snapshot) bool { return s.User("ann") == nil }},
	} {
		revision := commitAuth(t, a, c.w)
		eventually(t, time.Minute, c.name, shown(c.ok))
		if _, err := client.Compact(t.Context(), revision); err != nil { // what was lost cannot be told any more
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "an event is lost", func() bool {
		commitAuth(t, a, auth.Write{Puts: []auth.Record{&auth.Start{At: time.Unix(1, 0)}}})
		return l.lost.Load() > 0
	})
}

// A record that cannot be read is as one that is not there, and a role as one that denies
// all: somebody is refused, and nobody let in.
func TestRecordsThatCannotBeRead(t *testing.T) {
	client := startEtcd(t)
	s := runStore(t, client)
	a := s.Auth()
	eventually(t, time.Minute, "users are read", func() bool { return a.View().Snapshot() != nil })
	good := commitAuth(t, a, auth.Write{Puts: []auth.Record{&auth.User{Name: "ann", Epoch: "one", Roles: []string{access.RoleAdmin}}, &auth.Role{Name: "dev", Rules: []access.Rule{}}}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !a.View().Wait(ctx, good) || a.View().Snapshot().User("ann") == nil {
		t.Fatal("the user is not shown")
	}
	for key, value := range map[string]string{
		"user/ann": "{", "role/dev": `{"rules":[{"kind":"*","namespace":"*","group":"*","verbs":"everything"}]}`, "user/b%6fb": `{"epoch":"x"}`, "user/bob/x": `{}`,
		"role/admin": `{"rules":[]}`, "sudoer/eve": `{"roles":["admin"]}`, "user/": `{"roles":["admin"]}`,
	} {
		resp, err := client.Put(t.Context(), "/muster/1/auth/"+key, value)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the snapshot goes on over "+key, func() bool { return a.View().Snapshot().Revision() >= resp.Header.Revision })
	}
	snap := a.View().Snapshot()
	if snap.User("ann") != nil || snap.User("bob") != nil || snap.User("eve") != nil {
		t.Errorf("what cannot be read is shown: %+v", snap.User("ann"))
	}
	on := access.Resource{Kind: access.Naming, Namespace: "dev", Group: "g"}
	for _, c := range []struct {
		roles []string
		want  bool
	}{{[]string{access.RoleReader}, true}, {[]string{access.RoleReader, "dev"}, false}, {[]string{access.RoleAdmin}, true}} {
		if got := snap.Policy().Decide(access.Subject{Type: access.User, Roles: c.roles}, access.Read, on); got.Allowed != c.want {
			t.Errorf("with the roles %v somebody may read: %t (%s), want %t", c.roles, got.Allowed, got.Why(), c.want)
		}
	}
}
