package config_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

// release publishes a gray release of the document of drafts.
func release(t *testing.T, c *config.Center, name, content string, priority int, rule config.Rule) *config.Release {
	t.Helper()
	r, _, err := c.Release(t.Context(), config.ReleaseDraft{Draft: draft(content), Name: name, Rule: rule, Priority: priority})
	if err != nil {
		t.Fatalf("Release(%s) = %v", name, err)
	}
	return r
}

// got is what a client reads of the document of drafts, and of which release.
func got(t *testing.T, c *config.Center, client config.Client) string {
	t.Helper()
	choice, content, err := c.GetFor(t.Context(), key("app.properties"), client)
	if errors.Is(err, config.ErrNotFound) {
		return "nothing"
	}
	if err != nil {
		t.Fatal(err)
	}
	if (choice.Why == "") != (choice.Release == "") {
		t.Errorf("release %q is chosen for %q", choice.Release, choice.Why)
	}
	if md5, _ := config.Sum(content); md5 != c.Snapshot().MD5(key("app.properties"), client) {
		t.Errorf("Snapshot.MD5 is not of what %+v gets", client)
	}
	return strings.TrimPrefix(choice.Release+" "+string(content), " ")
}

func TestWhoGetsWhichRelease(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	release(t, c, "beta", "for some", config.BetaPriority, config.Rule{IPs: []string{"192.0.2.1", "10.1.0.0/16", "2001:db8::/32"}})
	for _, test := range []struct {
		name   string
		client config.Client
		before string // there is a document
		after  string
	}{
		{"a listed address", config.Client{IP: "192.0.2.1"}, "beta for some", "beta for some"},
		{"one in a listed prefix", config.Client{IP: "10.1.255.7"}, "beta for some", "beta for some"},
		{"a listed one mapped into IPv6", config.Client{IP: "::ffff:192.0.2.1"}, "beta for some", "beta for some"},
		{"one in an IPv6 prefix", config.Client{IP: "2001:db8:1::1"}, "beta for some", "beta for some"},
		{"another address", config.Client{IP: "192.0.2.11"}, "nothing", "for all"},
		{"no address", config.Client{}, "nothing", "for all"},
		{"what is none", config.Client{IP: "beta"}, "nothing", "for all"},
	} {
		if got := got(t, c, test.client); got != test.before {
			t.Errorf("%s reads %q without a document, want %q", test.name, got, test.before)
		}
	}
	publish(t, c, draft("for all"))
	release(t, c, "tag_blue", "for blue", config.TagPriority, config.Rule{Tag: "blue"})
	release(t, c, "zone", "for bj", 3, config.Rule{Labels: map[string]string{"zone": "bj", "tier": "1"}})
	for _, test := range []struct {
		name   string
		client config.Client
		want   string
	}{
		{"the tag", config.Client{IP: "192.0.2.9", Tag: "blue"}, "tag_blue for blue"},
		{"another tag", config.Client{IP: "192.0.2.9", Tag: "Blue"}, "for all"},
		{"the tag and a listed address", config.Client{IP: "192.0.2.1", Tag: "blue"}, "beta for some"},
		{"all labels", config.Client{Labels: map[string]string{"zone": "bj", "tier": "1", "more": "x"}}, "zone for bj"},
		{"one of the labels", config.Client{Labels: map[string]string{"zone": "bj"}}, "for all"},
		{"labels and the tag", config.Client{Tag: "blue", Labels: map[string]string{"zone": "bj", "tier": "1"}}, "tag_blue for blue"},
	} {
		if got := got(t, c, test.client); got != test.want {
			t.Errorf("%s reads %q, want %q", test.name, got, test.want)
		}
	}
}

// Who is in at a percentage stays in as it grows, and each release has others
// first.
func TestPercentOfClients(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	publish(t, c, draft("old"))
	const clients = 5000
	in := func(name string, percent float64) map[int]bool {
		release(t, c, name, "new", 1, config.Rule{Percent: percent})
		who := map[int]bool{}
		for i := range clients {
			if got(t, c, config.Client{ID: fmt.Sprint("host-", i)}) != "old" {
				who[i] = true
			}
		}
		if share := 100 * float64(len(who)) / clients; math.Abs(share-percent) > 2.5 {
			t.Errorf("%v %% of the clients are in at %v %%", share, percent)
		}
		return who
	}
	ten, half := in("canary", 10), in("canary", 50)
	for i := range ten {
		if !half[i] {
			t.Fatalf("client %d is in at 10 %% and not at 50 %%", i)
		}
	}
	if n := len(in("canary", 100)); n != clients {
		t.Errorf("%d of %d clients are in at 100 %%", n, clients)
	}
	if _, _, err := c.Withdraw(t.Context(), key("app.properties"), "canary", config.Author{}); err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := range in("other", 10) {
		if ten[i] {
			same++
		}
	}
	if same > len(ten)/3 {
		t.Errorf("%d of the %d clients that went first with one release do with another", same, len(ten))
	}
}

func TestPromoteAndWithdraw(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	k, by := key("app.properties"), config.Author{User: "bob", IP: "192.0.2.8"}
	first := publish(t, c, draft("old"))
	release(t, c, "canary", "new", 1, config.Rule{Percent: 1})
	release(t, c, "canary", "newer", 1, config.Rule{Percent: 5})
	release(t, c, "other", "else", 0, config.Rule{Tag: "x"})
	if _, _, err := c.Promote(t.Context(), k, "nobody", config.Condition{}, by); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("Promote of a release that is not there = %v, want ErrNotFound", err)
	}
	if _, _, err := c.Promote(t.Context(), k, "canary", config.Condition{MD5: "another"}, by); !errors.Is(err, config.ErrConflict) {
		t.Errorf("Promote over another content = %v, want ErrConflict", err)
	}
	head, receipt, err := c.Promote(t.Context(), k, "canary", config.Condition{MD5: first.MD5}, by)
	if err != nil || head.Seq != 5 || head.Revision != receipt.Revision || !head.Created.Equal(first.Created) {
		t.Fatalf("Promote = %+v, %+v, %v, want version 5 of the document", head, receipt, err)
	}
	if got := got(t, c, config.Client{ID: "anybody"}); got != "newer" {
		t.Errorf("after the promotion all read %q, want newer", got)
	}
	if c.Snapshot().Release(k, "canary") != nil || c.Snapshot().Release(k, "other") == nil {
		t.Error("a promotion ends the release, and no other")
	}
	if existed, _, err := c.Withdraw(t.Context(), k, "other", by); !existed || err != nil {
		t.Errorf("Withdraw = %v, %v, want true", existed, err)
	}
	if existed, _, err := c.Withdraw(t.Context(), k, "other", by); existed || err != nil {
		t.Errorf("Withdraw again = %v, %v, want false", existed, err)
	}
	if h := history(t, store)[2]; h.Rule == nil || h.Rule.Percent != 5 || h.Priority != 1 {
		t.Errorf("record of a release = %+v, want its rule and priority", h)
	}
	var told []string
	for _, h := range history(t, store) {
		told = append(told, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", h.Seq, h.Op, h.User, h.Release)))
	}
	want := "1 I ann, 2 I ann canary, 3 U ann canary, 4 I ann other, 5 U bob, 6 D bob canary, 7 D bob other"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("history = %s, want %s", got, want)
	}
}

func TestReleasesThatNobodyMayMake(t *testing.T) {
	store := configtest.NewStore()
	c := config.New(store, config.Config{})
	many := make([]string, 1001)
	for name, test := range map[string]struct {
		release string
		rule    config.Rule
		field   string
	}{
		"a rule that names nobody":      {"r", config.Rule{}, "rule"},
		"zero percent":                  {"r", config.Rule{Percent: 0}, "rule"},
		"more than all":                 {"r", config.Rule{Percent: 100.5}, "rule.percent"},
		"less than none":                {"r", config.Rule{Percent: -1}, "rule.percent"},
		"no number":                     {"r", config.Rule{Percent: math.NaN()}, "rule.percent"},
		"an address that is none":       {"r", config.Rule{IPs: []string{"192.0.2.1", "192.0.2"}}, "rule.ips"},
		"an empty address":              {"r", config.Rule{IPs: []string{""}}, "rule.ips"},
		"too many addresses":            {"r", config.Rule{IPs: many}, "rule.ips"},
		"a tag with a space":            {"r", config.Rule{Tag: "x y"}, "rule.tag"},
		"a long tag":                    {"r", config.Rule{Tag: strings.Repeat("x", 17)}, "rule.tag"},
		"a label without a name":        {"r", config.Rule{Labels: map[string]string{"": "x"}}, "rule.labels"},
		"no name":                       {"", config.Rule{Tag: "x"}, "release"},
		"a name with a slash":           {"a/b", config.Rule{Tag: "x"}, "release"},
		"a name that is longer than 64": {strings.Repeat("r", 65), config.Rule{Tag: "x"}, "release"},
	} {
		_, _, err := c.Release(t.Context(), config.ReleaseDraft{Draft: draft("x"), Name: test.release, Rule: test.rule})
		bad, ok := errors.AsType[*config.InvalidError](err)
		if !ok || bad.Field != test.field {
			t.Errorf("%s: Release = %v, want an *InvalidError that names %s", name, err, test.field)
		}
	}
	for i := range 10 {
		release(t, c, fmt.Sprint("r", i), "x", 0, config.Rule{Tag: "x"})
	}
	if _, _, err := c.Release(t.Context(), config.ReleaseDraft{Draft: draft("x"), Name: "r10", Rule: config.Rule{Tag: "x"}}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Release of an eleventh = %v, want ErrInvalid", err)
	}
	if n := len(history(t, store)); n != 10 {
		t.Errorf("%d records, want 10: what was refused left some", n)
	}
}

// Who removes a document is told of the clients that go on with another content.
func TestDeleteTellsOfReleases(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	publish(t, c, draft("old"))
	release(t, c, "canary", "new", 1, config.Rule{Percent: 100})
	_, receipt, err := c.Delete(t.Context(), key("app.properties"), config.Condition{}, config.Author{})
	if err != nil || len(receipt.Warnings) != 1 || !strings.Contains(receipt.Warnings[0], "canary") {
		t.Errorf("Delete = %+v, %v, want a warning that names the release", receipt, err)
	}
	if got := got(t, c, config.Client{ID: "x"}); got != "canary new" {
		t.Errorf("a client of the release reads %q, want it still", got)
	}
}
