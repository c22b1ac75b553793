package access_test

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/registry"
)

func policy(t *testing.T) *access.Policy {
	t.Helper()
	p, err := access.NewPolicy(map[string][]access.Rule{
		"dev":     {{Kind: access.Naming, Namespace: "dev", Group: "*", Verbs: "rw"}, {Kind: access.Config, Namespace: "dev", Group: "*", Verbs: "r"}},
		"teams":   {{Kind: "*", Namespace: "team-*", Group: "app*", Verbs: "rw"}},
		"all":     {{Kind: "*", Namespace: "*", Group: "*", Verbs: "rw"}},
		"no-prod": {{Kind: access.Naming, Namespace: "prod*", Group: "*", Verbs: "w", Deny: true}},
		"no-core": {
			{Kind: "*", Namespace: "*", Group: "CORE-*", Verbs: "rw", Deny: true}, {Kind: "*", Namespace: "*", Group: "_key.store_", Verbs: "rw", Deny: true},
			{Kind: "*", Namespace: "*", Group: "_*", Verbs: "rw", Deny: true},
		},
		"no-lab":       {{Kind: "*", Namespace: "lab*", Group: "*", Verbs: "r", Deny: true}},
		"no-lab-names": {{Kind: access.Naming, Namespace: "lab*", Group: "*", Verbs: "rw", Deny: true}},
		"one-zone":     {{Kind: access.DNS, Namespace: "One.Example.org.", Group: "*", Verbs: "r"}},
		"no-zone":      {{Kind: "*", Namespace: "Secret.Example.org.", Group: "*", Verbs: "rw", Deny: true}},
		"auditor":      {{Kind: access.Admin, Namespace: "*", Group: "*", Verbs: "r"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	p := policy(t)
	user := func(roles ...string) access.Subject {
		return access.Subject{Type: access.User, Name: "u", Roles: roles}
	}
	agent := func(roles ...string) access.Subject {
		return access.Subject{Type: access.Agent, Name: "web-1", Roles: roles}
	}
	key := func(roles ...string) access.Subject {
		return access.Subject{Type: access.Key, Name: "registrar", Roles: roles}
	}
	naming := func(namespace, group string) access.Resource {
		return access.Resource{Kind: access.Naming, Namespace: namespace, Group: group}
	}
	for name, c := range map[string]struct {
		who  access.Subject
		verb access.Verb
		on   access.Resource
		want bool
	}{
		"nobody reads":                             {access.Subject{}, access.Read, naming("dev", "g"), false},
		"nobody with a role is nobody":             {access.Subject{Roles: []string{"admin"}}, access.Read, naming("dev", "g"), false},
		"a user without a role":                    {user(), access.Read, naming("dev", "g"), false},
		"a role that is not there":                 {user("gone"), access.Read, naming("dev", "g"), false},
		"its namespace":                            {user("dev"), access.Write, naming("dev", "g"), true},
		"its namespace, all groups":                {user("dev"), access.Write, naming("dev", ""), true},
		"another namespace":                        {user("dev"), access.Read, naming("devil", "g"), false},
		"another case":                             {user("dev"), access.Read, naming("Dev", "g"), false},
		"all namespaces":                           {user("dev"), access.Read, naming("", ""), false},
		"all namespaces of a group":                {user("dev"), access.Read, naming("", "g"), false},
		"reads configs":                            {user("dev"), access.Read, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}, true},
		"may not write configs":                    {user("dev"), access.Write, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}, false},
		"a beginning":                              {user("teams"), access.Write, naming("team-a", "app1"), true},
		"a beginning alone":                        {user("teams"), access.Write, naming("team-", "app"), true},
		"not its beginning":                        {user("teams"), access.Write, naming("tea", "app"), false},
		"not the group":                            {user("teams"), access.Write, naming("team-a", "db"), false},
		"all groups is more than a beginning":      {user("teams"), access.Read, naming("team-a", ""), false},
		"a name with a star is a name":             {user("dev"), access.Read, naming("*", "g"), false},
		"zones":                                    {user("teams"), access.Read, access.Resource{Kind: access.DNS, Namespace: "team-a", Group: "app"}, true},
		"denied beats allowed":                     {user("all", "no-prod"), access.Write, naming("prod-1", "g"), false},
		"denied beats allowed, whatever the order": {user("no-prod", "all"), access.Write, naming("prod", "g"), false},
		"denied in small letters":                  {user("all", "no-core"), access.Write, naming("dev", "core-1"), false},
		"denied in other marks":                    {user("all", "no-core"), access.Write, naming("dev", "-Core._1"), false},
		"denied by its whole name in other marks":  {user("all", "no-core"), access.Write, naming("dev", "KEY-STORE"), false},
		"begins alike and is another":              {user("all", "no-core"), access.Write, naming("dev", "corelight"), true},
		"its namespace in capitals":                {user("all", "no-prod"), access.Write, naming("PROD-1", "g"), false},
		"documents have no names in DNS":           {user("all", "no-core"), access.Write, access.Resource{Kind: access.Config, Namespace: "dev", Group: "core-1"}, true},
		"and are denied as they are called":        {user("all", "no-core"), access.Write, access.Resource{Kind: access.Config, Namespace: "dev", Group: "CORE-1"}, false},
		"the other verb is not denied":             {user("all", "no-prod"), access.Read, naming("prod", "g"), true},
		"another kind is not denied":               {user("all", "no-prod"), access.Write, access.Resource{Kind: access.Config, Namespace: "prod"}, true},
		"a part of all is denied":                  {user("all", "no-prod"), access.Write, naming("", ""), false},
		"a star is no administration":              {user("all"), access.Read, access.Resource{Kind: access.Admin}, false},
		"an auditor":                               {user("auditor"), access.Read, access.Resource{Kind: access.Admin}, true},
		"an auditor does not write":                {user("auditor"), access.Write, access.Resource{Kind: access.Admin}, false},
		"an administrator":                         {user("admin"), access.Write, access.Resource{Kind: access.Admin}, true},
		"an administrator is not denied":           {user("admin", "no-prod"), access.Write, naming("prod", "g"), true},
		"a reader reads":                           {user("reader"), access.Read, naming("", ""), true},
		"a reader reads configs":                   {user("reader"), access.Read, access.Resource{Kind: access.Config}, true},
		"a reader does not write":                  {user("reader"), access.Write, naming("dev", "g"), false},
		"a reader is no administrator":             {user("reader"), access.Read, access.Resource{Kind: access.Admin}, false},
		"no verb":                                  {user("admin"), "", naming("dev", "g"), false},
		"both verbs at once":                       {user("admin"), "rw", naming("dev", "g"), false},
		"an agent writes naming":                   {agent("dev"), access.Write, naming("dev", "g"), true},
		"an agent elsewhere":                       {agent("dev"), access.Write, naming("prod", "g"), false},
		"an agent reads configs":                   {agent("dev"), access.Read, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}, true},
		"an agent never writes configs":            {agent("all"), access.Write, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}, false},
		"an agent is no administrator":             {agent("admin"), access.Read, access.Resource{Kind: access.Admin}, false},
		"an agent with that role":                  {agent("admin"), access.Write, naming("dev", "g"), false},
		"a key writes naming":                      {key("dev"), access.Write, naming("dev", "g"), true},
		"a key elsewhere":                          {key("dev"), access.Write, naming("prod", "g"), false},
		"a key reads a zone":                       {key("reader"), access.Read, access.Resource{Kind: access.DNS, Namespace: "muster.internal"}, true},
		"a zone in capitals, with its dot":         {key("one-zone"), access.Read, access.Resource{Kind: access.DNS, Namespace: "one.example.org"}, true},
		"a zone that is denied so":                 {key("reader", "no-zone"), access.Read, access.Resource{Kind: access.DNS, Namespace: "secret.example.org"}, false},
		"a zone beside that":                       {key("reader", "no-zone"), access.Read, access.Resource{Kind: access.DNS, Namespace: "example.org"}, true},
		"a key without a role":                     {key(), access.Read, access.Resource{Kind: access.DNS, Namespace: "muster.internal"}, false},
		"a key reads no configs":                   {key("all"), access.Read, access.Resource{Kind: access.Config, Namespace: "dev", Group: "g"}, false},
		"a key is no administrator":                {key("admin"), access.Read, access.Resource{Kind: access.Admin}, false},
		"a key with that role":                     {key("admin"), access.Write, naming("dev", "g"), false},
		"a server reads":                           {access.Subject{Type: access.Server}, access.Read, naming("", ""), true},
		"a server does not write":                  {access.Subject{Type: access.Server}, access.Write, naming("dev", "g"), false},
		"a server is no administrator":             {access.Subject{Type: access.Server}, access.Read, access.Resource{Kind: access.Admin}, false},
	} {
		if got := p.Decide(c.who, c.verb, c.on); got.Allowed != c.want || got.Why() == "" {
			t.Errorf("%s: Decide(%v, %s, %v) = %v (%s), want %v", name, c.who, c.verb, c.on, got.Allowed, got.Why(), c.want)
		}
	}
	if (*access.Policy)(nil).Decide(user("admin"), access.Read, naming("dev", "g")).Allowed {
		t.Error("no policy allows something")
	}
	if !access.Everything.Decide(access.Subject{}, access.Write, access.Resource{Kind: access.Admin}).Allowed {
		t.Error("Everything does not allow everything")
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	whole := access.Rule{Kind: access.Naming, Namespace: "a", Group: "b", Verbs: "r"}
	for want, change := range map[string]func(*access.Rule){
		"kind":      func(r *access.Rule) { r.Kind = "all" },
		"verbs":     func(r *access.Rule) { r.Verbs = "wr" },
		"namespace": func(r *access.Rule) { r.Namespace = "" },
		"group":     func(r *access.Rule) { r.Group = "a*b" },
	} {
		r := whole
		change(&r)
		if _, err := access.NewPolicy(map[string][]access.Rule{"x": {whole, r}}); err == nil || !strings.Contains(err.Error(), "role x: rule 2: "+want) {
			t.Errorf("NewPolicy(%v) = %v, want an error of %s", r, err, want)
		}
	}
	for _, name := range []string{"", access.RoleAdmin, access.RoleReader} {
		if _, err := access.NewPolicy(map[string][]access.Rule{name: {whole}}); err == nil {
			t.Errorf("NewPolicy(role %q) = nil, want an error", name)
		}
	}
}

func TestSees(t *testing.T) {
	p := policy(t)
	for _, c := range []struct {
		roles, namespace string
		want             bool
	}{
		{"dev", "dev", true}, {"dev", "prod", false}, {"teams", "team-a", true}, {"teams", "dev", false}, {"reader", "prod", true}, {"admin", "prod", true},
		{"no-prod", "prod", false}, {"reader no-prod", "prod", true}, // it denies to write
		{"reader no-lab", "lab", false}, {"no-lab reader", "lab-1", false}, {"reader no-lab", "dev", true}, {"reader no-core", "dev", true}, // of some groups
		{"reader no-lab-names", "lab", true}, // documents are left
	} {
		if got := p.Sees(access.Subject{Type: access.User, Roles: strings.Fields(c.roles)}, c.namespace); got != c.want {
			t.Errorf("Sees(%s, %s) = %v, want %v", c.roles, c.namespace, got, c.want)
		}
	}
}

func TestWhoIsNotInTheContextMayNothing(t *testing.T) {
	c := access.From(t.Context())
	if err := c.Check(access.Read, access.Resource{Kind: access.Naming}); err == nil || c.Denied == nil || c.Admitted() {
		t.Errorf("Check() = %v, want a refusal", err)
	}
	in := new(access.Caller)
	in.Admit(access.Subject{}, access.Everything)
	if got := access.From(access.With(t.Context(), in)); got != in || got.Check(access.Write, access.Resource{Kind: access.Admin}) != nil {
		t.Error("the caller of the context is not found")
	}
}

// TestDecideTakesNoMemory keeps the gate cheap: every beat passes it.
func TestDecideTakesNoMemory(t *testing.T) {
	p := policy(t)
	c := new(access.Caller)
	c.Admit(access.Subject{Type: access.Agent, Name: "web-1", Roles: []string{"no-prod", "dev"}}, p)
	on := access.Resource{Kind: access.Naming, Namespace: "dev", Group: "g"}
	if n := testing.AllocsPerRun(100, func() {
		if c.Check(access.Write, on) != nil || c.CheckAgent(access.Write, "web-1") != nil {
			t.Error("it is denied")
		}
	}); n > 0 {
		t.Errorf("a decision allocates %v times, want none", n)
	}
}

// FuzzDecide holds that denying takes away alone, that who may all may each, and that
// nobody gets the name in DNS of what is denied.
func FuzzDecide(f *testing.F) {
	f.Add("dev", "g", "dev*", "*", true)
	f.Add("", "", "*", "*", false)
	f.Add("dev", "_prod.1", "Dev", "PROD-1", true)
	f.Fuzz(func(t *testing.T, namespace, group, ofNamespace, ofGroup string, deny bool) {
		rule := access.Rule{Kind: access.Naming, Namespace: ofNamespace, Group: ofGroup, Verbs: "r", Deny: deny}
		p, err := access.NewPolicy(map[string][]access.Rule{"x": {rule}, "all": {{Kind: "*", Namespace: "*", Group: "*", Verbs: "r"}}})
		if err != nil {
			return
		}
		reads := func(namespace, group string, roles ...string) bool {
			return p.Decide(access.Subject{Type: access.User, Roles: roles}, access.Read, access.Resource{Kind: access.Naming, Namespace: namespace, Group: group}).Allowed
		}
		if deny && reads(namespace, group, "x") {
			t.Error("a denial allows")
		}
		if deny && !strings.Contains(ofNamespace+ofGroup, "*") && reads(namespace, group, "all", "x") {
			name, ok := registry.ServiceKey{Namespace: namespace, Group: group, Name: "s"}.Folded()
			of, found := registry.ServiceKey{Namespace: ofNamespace, Group: ofGroup, Name: "s"}.Folded()
			if ok && found && name == of && namespace != "" && group != "" {
				t.Errorf("%q/%q is allowed and has the name of %q/%q: %s", namespace, group, ofNamespace, ofGroup, name)
			}
		}
		for _, roles := range [][]string{{"x"}, {"x", "all"}, {"all", "x"}} {
			if reads("", "", roles...) && !reads(namespace, group, roles...) {
				t.Errorf("%v may read all and not %q/%q", roles, namespace, group)
			}
			if namespace != "" && reads(namespace, "", roles...) && !reads(namespace, group, roles...) {
				t.Errorf("%v may read all of %q and not %q in it", roles, namespace, group)
			}
		}
	})
}
