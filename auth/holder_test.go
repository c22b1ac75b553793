package auth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/auth"
)

func TestHolders(t *testing.T) {
	now := time.Now()
	soon, past := now.Add(time.Hour), now.Add(-time.Second)
	writes := func(kind access.Kind, deny bool) []access.Rule {
		return []access.Rule{{Kind: kind, Namespace: "dev", Group: "*", Verbs: "w", Deny: deny}}
	}
	var all []auth.Change
	for _, rec := range []auth.Record{
		&auth.Role{Name: "dev", Rules: writes("*", false)}, &auth.Role{Name: "not-dev", Rules: writes("*", true)},
		&auth.Role{Name: auth.AgentRole, Rules: writes(access.Naming, false)},
		&auth.User{Name: "ann", Roles: []string{"dev"}}, &auth.User{Name: "bob", Roles: []string{"dev", "not-dev"}},
		&auth.User{Name: "eve"}, &auth.User{Name: "admin", Roles: []string{access.RoleAdmin}},
		&auth.Token{ID: "b", Subject: "web-1", Roles: []string{"dev"}, Expires: &soon}, &auth.Token{ID: "a", Subject: "web-1", Roles: []string{"dev"}},
		&auth.Token{ID: "c", Subject: "web-1", Roles: []string{"dev"}, Expires: &past}, &auth.Token{ID: "d", Subject: "web-2", Roles: []string{access.RoleReader}},
		&auth.TSIG{Name: "registrar", Roles: []string{"dev"}}, &auth.TSIG{Name: "xfr", Roles: []string{access.RoleReader}},
	} {
		all = append(all, auth.Change{Key: rec.RecordKey(), Record: rec, Revision: 1})
	}
	s := (*auth.Snapshot)(nil).Apply(1, slices.Values(all))
	for kind, want := range map[access.Kind][]string{
		access.Naming: {"user admin", "user ann", "key registrar", "agent * ", "agent web-1 a", "agent web-1 b"},
		access.Config: {"user admin", "user ann"}, // agents write naming alone
		access.Admin:  {"user admin"},
	} {
		var got []string
		for _, h := range s.Holders(access.Write, access.Resource{Kind: kind, Namespace: "dev", Group: "g"}, now) {
			name := h.Who.String()
			if h.Who.Type == access.Agent {
				name += " " + h.Token
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Holders of %s (-want +got):\n%s", kind, diff)
		}
	}
}
