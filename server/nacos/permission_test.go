package nacos_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/server/nacos"
)

func TestPermissionsAreRules(t *testing.T) {
	for _, tc := range []struct {
		resource, action string
		want             string // rules, or what the error says
	}{
		{"dev:*:*", "rw", "allow rw naming dev/*, allow rw config dev/*"},
		{"dev:*:*/*", "r", "allow r naming dev/*, allow r config dev/*"},
		{"*:*:*", "r", "allow r naming */*, allow r config */*"},
		{":*:*", "r", "allow r naming public/*, allow r config public/*"},
		{"dev::config/*", "w", "allow w config dev/*"},
		{"dev:g1:config/*", "r", "allow r config dev/g1"},
		{"dev:g:1:naming/*", "r", "allow r naming dev/g:1"},
		{"team-*:app*:naming/*", "rw", "allow rw naming team-*/app*"},
		{"dev:a.b:config/*", "r", "allow r config dev/a.b"},
		{"dev:*:*", "x", "action 'x'"},
		{"dev:*:*", "wr", "action 'wr'"},
		{"dev:*:*", "", "action ''"},
		{"dev:*:config/app.yml", "r", "rights are of whole groups"},
		{"dev:*:config/", "r", "rights are of whole groups"},
		{"dev:*:lock/*", "r", "rights are of whole groups"},
		{"*", "r", "not of the form"},
		{"dev:*", "r", "not of the form"},
		{"console/users", "r", "not of the form"},
		{"d*v:*:*", "r", "'d*v' is neither"},
		{"dev|prod:*:*", "r", "'dev|prod' is neither"},
		{"dev:(a|b):*", "r", "'(a|b)' is neither"},
		{"dev:a+:*", "r", "'a+' is neither"},
		{"dev:**:*", "r", "'**' is neither"},
		{"dev:.*:*", "r", "'.*' is neither"},
		{"dev:org.example.*:naming/*", "r", "allow r naming dev/org.example.*"},
	} {
		rules, err := nacos.RulesOf(tc.resource, tc.action)
		got := strings.Join(rules, ", ")
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tc.want || err != nil && !strings.Contains(got, tc.want) {
			t.Errorf("rules of %s %s = %q, want %q", tc.action, tc.resource, got, tc.want)
		}
	}
}

func TestRulesAsPermissions(t *testing.T) {
	rule := func(kind access.Kind, namespace, verbs string) access.Rule {
		return access.Rule{Kind: kind, Namespace: namespace, Group: "*", Verbs: verbs}
	}
	denied := rule("*", "prod", "rw")
	denied.Deny = true
	got := nacos.PermissionsOf([]access.Rule{
		rule(access.Config, "both", "r"), rule("*", "every", "rw"), rule(access.Naming, "both", "r"), rule(access.Config, "both", "w"),
		rule(access.Naming, "one", "r"), rule(access.DNS, "zone", "r"), rule(access.Admin, "*", "r"), denied,
	})
	want := []string{"every:*:* rw", "both:*:* r", "both:*:config/* w", "one:*:naming/* r"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
}

// FuzzPermission reads resources: what is taken is a rule that a policy takes, and is
// listed as what was given.
func FuzzPermission(f *testing.F) {
	for _, resource := range []string{"dev:*:*", ":g:config/*", "a:b:c:naming/*", "*", "::", "x:y*:*/*"} {
		f.Add(resource, "rw")
	}
	f.Fuzz(func(t *testing.T, resource, action string) {
		rules, again, err := nacos.Again(resource, action)
		if err != nil {
			return
		}
		if diff := cmp.Diff(rules, again); diff != "" {
			t.Errorf("%s %s is listed as another one:\n%s", action, resource, diff)
		}
		if _, err := access.NewPolicy(map[string][]access.Rule{"r": rules}); err != nil {
			t.Errorf("%s %s: %v", action, resource, err)
		}
	})
}
