package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func doc(id string) client.Name { return client.Name{Name: id} }

// publish publishes a content and returns the head.
func publish(t *testing.T, c *client.Client, n client.Name, content string, w client.ConfigWrite) api.ConfigWritten {
	t.Helper()
	head, err := c.PutConfig(t.Context(), n, []byte(content), w)
	if err != nil {
		t.Fatalf("PutConfig(%s) = %v", n, err)
	}
	return head
}

// status returns the status of a failed call, 0 when it did not fail.
func status(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

func TestConditions(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	head := publish(t, c, doc("a"), "1", client.ConfigWrite{Type: "yaml", Desc: "first", Tags: []string{"x", "y"}})
	for name, w := range map[string]client.ConfigWrite{
		"another MD5":      {IfMatch: client.Digest([]byte("2"))},
		"another revision": {IfRevision: head.Revision - 1},
		"create":           {CreateOnly: true},
	} {
		_, err := c.PutConfig(t.Context(), doc("a"), []byte("2"), w)
		e, ok := errors.AsType[*client.Error](err)
		if !ok || e.Status != http.StatusPreconditionFailed || len(e.Fields) != 2 ||
			e.Fields[0].Location != "revision" || e.Fields[1].Value != head.MD5 {
			t.Errorf("PutConfig with %s = %v, want 412 with the revision and MD5 that stand", name, err)
		}
	}
	_, err := c.PutConfig(t.Context(), doc("missing"), []byte("2"), client.ConfigWrite{IfMatch: head.MD5})
	if status(err) != http.StatusPreconditionFailed {
		t.Errorf("PutConfig over a document that is not there = %v, want 412", err)
	}
	next := publish(t, c, doc("a"), "2", client.ConfigWrite{IfMatch: head.MD5, IfRevision: head.Revision})
	if next.Type != "yaml" || next.Desc != "first" || !cmp.Equal(next.Tags, []string{"x", "y"}) || next.Version != 2 || !next.Created.Equal(head.Created) {
		t.Errorf("after a publish that says nothing of it, the document is %+v", next)
	}
	at := base(s) + "/v1/configs/public/DEFAULT_GROUP/a"
	for header, want := range map[string]int{`"a", "b"`: 400, `*`: 200, `W/"` + next.MD5 + `"`: 200, `x*`: 400} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, at, strings.NewReader("2"))
		req.Header.Set("If-Match", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("PUT with If-Match: %s = %d, want %d", header, resp.StatusCode, want)
		}
	}
}

func TestSearchConfigs(t *testing.T) {
	c := dial(t, running(t))
	publish(t, c, doc("app.yaml"), "port: 80\n", client.ConfigWrite{Type: "yaml", App: "shop", Tags: []string{"web"}})
	publish(t, c, doc("app.json"), `{"port": 81}`, client.ConfigWrite{Type: "json", Tags: []string{"web", "edge"}})
	publish(t, c, client.Name{Group: "g", Name: "other"}, "port of none", client.ConfigWrite{})
	for name, tc := range map[string]struct {
		q    client.ConfigQuery
		want string
	}{
		"all":            {client.ConfigQuery{}, "app.json app.yaml other"},
		"pattern":        {client.ConfigQuery{DataID: "app.*"}, "app.json app.yaml"},
		"content":        {client.ConfigQuery{Content: "port: 8"}, "app.yaml"},
		"tags":           {client.ConfigQuery{Tags: []string{"edge", "none"}}, "app.json"},
		"types":          {client.ConfigQuery{Types: []string{"yaml", "text"}}, "app.yaml other"},
		"app":            {client.ConfigQuery{App: "shop"}, "app.yaml"},
		"search":         {client.ConfigQuery{Query: client.Query{Search: "APP"}}, "app.json app.yaml"},
		"group":          {client.ConfigQuery{Query: client.Query{Group: "g"}}, "other"},
		"text on a page": {client.ConfigQuery{Content: "port", Query: client.Query{Size: 1, Page: 2}}, "app.yaml"},
		"nothing":        {client.ConfigQuery{Query: client.Query{Namespace: "none"}}, ""},
	} {
		list, err := c.FindConfigs(t.Context(), tc.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list.Configs {
			got = append(got, d.DataID)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("configs by %s = %v, want %s", name, got, tc.want)
		}
		if name == "text on a page" && list.Total != 3 {
			t.Errorf("total = %d, want 3", list.Total)
		}
	}
}

func TestPast(t *testing.T) {
	c := dial(t, running(t))
	n := doc("app.yaml")
	first := publish(t, c, n, "port: 80\nname: a\n", client.ConfigWrite{Type: "yaml"})
	second := publish(t, c, n, "port: 81\nname: a\n", client.ConfigWrite{})
	if err := c.DeleteConfig(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	page, err := c.ConfigHistory(t.Context(), n, 0, 2)
	if err != nil || page.Total != 3 || page.Next != 2 || page.Records[0].Op != api.OpDelete || page.Records[0].IP != "127.0.0.1" {
		t.Fatalf("history = %+v, %v, want a delete first, of 3", page, err)
	}
	if page, err = c.ConfigHistory(t.Context(), n, page.Next, 2); err != nil || len(page.Records) != 1 || page.Next != 0 {
		t.Errorf("last page = %+v, %v, want one record", page, err)
	}
	record, err := c.ConfigRecord(t.Context(), n, 3, true)
	if err != nil || record.Content == nil || *record.Content != "port: 81\nname: a\n" {
		t.Errorf("record of the delete = %+v, %v, want what was removed", record, err)
	}
	for name, tc := range map[string]struct {
		at   client.At
		want string // begin of the content, or a status
	}{
		"version":          {client.At{Version: 1}, "port: 80"},
		"revision":         {client.At{AsOf: itoa(second.Revision - 1)}, "port: 80"},
		"time":             {client.At{AsOf: time.Now().Add(time.Hour).Format(time.RFC3339)}, "404"},
		"now":              {client.At{}, "404"},
		"delete":           {client.At{Version: 3}, "404"},
		"before the first": {client.At{AsOf: itoa(first.Revision - 1)}, "404"},
		"no time":          {client.At{AsOf: "yesterday"}, "400"},
		"two at once":      {client.At{Version: 1, Formal: true}, "400"},
	} {
		d, err := c.ConfigAt(t.Context(), n, tc.at)
		if got := string(d.Content) + strings.TrimPrefix(itoa(int64(status(err))), "0"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("ConfigAt %s = %q, %v, want %s", name, got, err, tc.want)
		}
	}
	text, err := c.DiffConfig(t.Context(), n, "1", "2")
	if want := "--- DEFAULT_GROUP/app.yaml@1\n+++ DEFAULT_GROUP/app.yaml@2\n@@ -1,2 +1,2 @@\n-port: 80\n+port: 81\n name: a\n"; err != nil || text != want {
		t.Errorf("diff = %q, %v, want %q", text, err, want)
	}
	if text, err = c.DiffConfig(t.Context(), n, "", "3"); err != nil || !strings.Contains(text, "+++ /dev/null") {
		t.Errorf("diff of a delete = %q, %v, want everything gone", text, err)
	}
	if _, err = c.DiffConfig(t.Context(), n, "1", ""); status(err) != http.StatusNotFound {
		t.Errorf("diff with what stands, where nothing does = %v, want 404", err)
	}
	back, err := c.RevertConfig(t.Context(), n, 1, client.ConfigTerms{})
	if err != nil || back.MD5 != first.MD5 || back.Version != 4 || back.Type != "yaml" {
		t.Errorf("revert = %+v, %v, want the first content as version 4", back, err)
	}
	if _, err = c.RevertConfig(t.Context(), n, 3, client.ConfigTerms{}); status(err) != http.StatusBadRequest {
		t.Errorf("revert to a delete = %v, want 400", err)
	}
	if _, err = c.RevertConfig(t.Context(), n, 1, client.ConfigTerms{IfRevision: 1}); status(err) != http.StatusPreconditionFailed {
		t.Errorf("revert under a condition that does not hold = %v, want 412", err)
	}
}

func itoa(n int64) string { return fmt.Sprint(n) }

func TestReleases(t *testing.T) {
	s := running(t)
	c := dial(t, s)
	n := doc("app.yaml")
	publish(t, c, n, "v: 1", client.ConfigWrite{Type: "yaml"})
	blue, err := client.New([]string{base(s)}, client.Config{Identity: client.Identity{ID: "h1", Tag: "blue", Labels: map[string]string{"zone": "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	put := func(rule api.Rule, w client.ReleaseWrite) error {
		w.Rule = rule
		_, err := c.PutRelease(t.Context(), n, "canary", []byte("v: 2"), w)
		return err
	}
	for name, rule := range map[string]api.Rule{"nobody": {}, "no address": {IPs: []string{"x"}}, "a long tag": {Tag: strings.Repeat("a", 17)}} {
		if err := put(rule, client.ReleaseWrite{}); status(err) != http.StatusBadRequest {
			t.Errorf("release for %s = %v, want 400", name, err)
		}
	}
	if err := put(api.Rule{Tag: "blue", Labels: map[string]string{"zone": "b"}}, client.ReleaseWrite{Priority: 3}); err != nil {
		t.Fatal(err)
	}
	if d, err := blue.Config(t.Context(), n); err != nil || string(d.Content) != "v: 2" || d.Release != "canary" || d.Why != "tag is blue, label zone is b" {
		t.Errorf("blue reads %+v, %v, want the release", d, err)
	}
	if d, err := blue.ConfigAt(t.Context(), n, client.At{Formal: true}); err != nil || string(d.Content) != "v: 1" || d.Release != "" {
		t.Errorf("blue reads %+v, %v, want the document itself when it says so", d, err)
	}
	if d, err := c.ConfigAt(t.Context(), n, client.At{Release: "canary"}); err != nil || string(d.Content) != "v: 2" {
		t.Errorf("the release by name = %+v, %v", d, err)
	}
	if d, err := c.Config(t.Context(), n); err != nil || string(d.Content) != "v: 1" {
		t.Errorf("somebody else reads %+v, %v, want the document", d, err)
	}
	changed, err := blue.WatchConfigs(t.Context(), []api.ConfigRef{{DataID: "app.yaml", MD5: client.Digest([]byte("v: 1"))}}, 0)
	if err != nil || len(changed) != 1 || changed[0].MD5 != client.Digest([]byte("v: 2")) {
		t.Errorf("blue is told %+v, %v, want the digest of the release", changed, err)
	}
	edited, err := c.EditRelease(t.Context(), n, "canary", api.ReleaseEdit{Rule: &api.Rule{Percent: 100}}, client.ConfigTerms{})
	if err != nil || edited.Priority != 3 || edited.Config.MD5 != client.Digest([]byte("v: 2")) {
		t.Errorf("with another rule it is %+v, %v, want content and priority as they were", edited, err)
	}
	if d, err := c.Config(t.Context(), n); err != nil || d.Release != "canary" {
		t.Errorf("at 100 %% somebody reads %+v, %v, want the release", d, err)
	}
	list, err := c.Configs(t.Context(), client.Query{})
	if err != nil || len(list.Configs) != 1 || !cmp.Equal(list.Configs[0].Releases, []string{"canary"}) {
		t.Errorf("the list = %+v, %v, want the release named", list, err)
	}
	if _, err := c.PromoteRelease(t.Context(), n, "canary", client.ConfigTerms{IfMatch: client.Digest([]byte("x"))}); status(err) != http.StatusPreconditionFailed {
		t.Errorf("promotion under a condition that does not hold = %v, want 412", err)
	}
	head, err := c.PromoteRelease(t.Context(), n, "canary", client.ConfigTerms{})
	if err != nil || head.MD5 != client.Digest([]byte("v: 2")) || len(head.Releases) != 0 {
		t.Errorf("promoted = %+v, %v, want the content of the release and no release", head, err)
	}
	if err := c.WithdrawRelease(t.Context(), n, "canary"); status(err) != http.StatusNotFound {
		t.Errorf("withdrawing it then = %v, want 404", err)
	}
}

func TestParts(t *testing.T) {
	c := dial(t, running(t))
	n := doc("routes")
	for _, id := range []string{"web-2", "web-1"} {
		if _, err := c.PutPart(t.Context(), n, id, []byte(id+" up"), "", "shop"); err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.Config(t.Context(), n)
	if err != nil || string(d.Content) != "web-1 up\r\nweb-2 up" {
		t.Errorf("the aggregate = %q, %v", d.Content, err)
	}
	if part, err := c.Part(t.Context(), n, "web-2"); err != nil || string(part) != "web-2 up" {
		t.Errorf("the part = %q, %v", part, err)
	}
	if _, err := c.PutConfig(t.Context(), n, []byte("x"), client.ConfigWrite{}); status(err) != http.StatusConflict {
		t.Errorf("publishing over an aggregate = %v, want 409", err)
	}
	for _, id := range []string{"web-2", "web-1"} {
		if err := c.DeletePart(t.Context(), n, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Config(t.Context(), n); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("without parts = %v, want not found", err)
	}
}

func TestConfigSet(t *testing.T) {
	c := dial(t, running(t))
	head := publish(t, c, doc("a"), "1", client.ConfigWrite{})
	_, err := c.SetConfigs(t.Context(), []api.ConfigEdit{
		{DataID: "b", Content: "2"}, {DataID: "a", Content: "2", IfRevision: head.Revision - 1}})
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Status != http.StatusPreconditionFailed || e.Fields[0].Location != "body.edits[1].revision" || !strings.Contains(e.Detail, "edit 1") {
		t.Errorf("a set with a condition that does not hold = %+v, want 412 about its second edit", err)
	}
	_, err = c.SetConfigs(t.Context(), []api.ConfigEdit{{DataID: "b", Content: "2"}, {DataID: "c d", Content: "2"}})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusBadRequest || e.Fields[0].Location != "body.edits[1].dataId" {
		t.Errorf("a set with a bad name = %+v, want 400 about its second edit", err)
	}
	if _, err := c.Config(t.Context(), doc("b")); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a document of a set that was refused = %v, want none", err)
	}
	done, err := c.SetConfigs(t.Context(), []api.ConfigEdit{
		{DataID: "b", Content: "2", IfAbsent: true}, {DataID: "c", Content: "3"}, {DataID: "a", Delete: true, IfMD5: head.MD5}})
	if err != nil || len(done.Configs) != 2 || done.Removed != 1 {
		t.Fatalf("a set = %+v, %v, want two documents and a removal", done, err)
	}
	for _, d := range done.Configs {
		if d.Revision != done.Revision {
			t.Errorf("%s is at revision %d, want %d", d.DataID, d.Revision, done.Revision)
		}
	}
}

func TestPolicies(t *testing.T) {
	c := dial(t, running(t))
	hard := api.PolicySpec{GroupPolicySpec: api.GroupPolicySpec{Hard: api.Quota{Count: 2, Size: 10}, Soft: api.Quota{Total: 5}}, HistoryDays: 7}
	set, err := c.SetPolicy(t.Context(), "dev", hard, client.Terms{CreateOnly: true})
	if err != nil || set.Revision == 0 {
		t.Fatalf("SetPolicy = %+v, %v", set, err)
	}
	if _, err := c.SetPolicy(t.Context(), "dev", hard, client.Terms{IfMatch: "1"}); status(err) != http.StatusPreconditionFailed {
		t.Errorf("SetPolicy over another revision = %v, want 412", err)
	}
	in := func(id string) client.Name { return client.Name{Namespace: "dev", Name: id} }
	if head := publish(t, c, in("a"), "123456", client.ConfigWrite{}); len(head.Warnings) != 1 || !strings.Contains(head.Warnings[0], "soft quota of dev: total would be 6") {
		t.Errorf("over a soft quota the warnings are %q", head.Warnings)
	}
	publish(t, c, in("b"), "1", client.ConfigWrite{})
	for id, what := range map[string]string{"c": "quota.count", "b": "quota.size"} {
		_, err := c.PutConfig(t.Context(), in(id), []byte("12345678901"), client.ConfigWrite{})
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusForbidden || e.Fields[0].Location != what {
			t.Errorf("over the hard %s = %+v, want 403", what, err)
		}
	}
	p, tag, err := c.Policy(t.Context(), "dev", "")
	if err != nil || p.Usage != (api.ConfigUsage{Count: 2, Total: 7}) || tag != itoa(p.Revision) {
		t.Errorf("Policy = %+v, %q, %v, want what is used", p, tag, err)
	}
	if _, err := c.SetGroupPolicy(t.Context(), "dev", "g", api.GroupPolicySpec{Hard: api.Quota{Count: 1}}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Policies(t.Context()); err != nil || len(list.Policies) != 2 || list.Policies[1].Group != "g" {
		t.Errorf("Policies = %+v, %v", list, err)
	}
	if err := c.DeletePolicy(t.Context(), "dev", "", client.Terms{IfMatch: tag}); err != nil {
		t.Fatal(err)
	}
	publish(t, c, in("c"), "12345678901", client.ConfigWrite{})
}

// A watch of a group tells which documents it has, once these are others.
func TestWatchOfAGroup(t *testing.T) {
	c := dial(t, running(t))
	group := api.ConfigGroup{Group: "conf.d"}
	ask := func(wait time.Duration) (names []string) {
		t.Helper()
		changes, err := c.WatchGroups(t.Context(), nil, []api.ConfigGroup{group}, wait)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes.Groups) == 0 {
			return nil
		}
		got := changes.Groups[0]
		if got.Namespace != "public" || got.Group != "conf.d" || got.Total != len(got.DataIDs) {
			t.Errorf("group = %+v", got)
		}
		group.Names = got.Names
		return got.DataIDs
	}
	if got := ask(0); len(got) != 0 || group.Names == "" {
		t.Errorf("names of a group that is not there = %q, digest %q, want none and a digest", got, group.Names)
	}
	if got := ask(50 * time.Millisecond); got != nil {
		t.Errorf("names while nothing changes = %q, want no answer", got)
	}
	for _, step := range []struct {
		name   string
		change func() error
		want   []string
	}{
		{"a new one", func() error {
			publish(t, c, client.Name{Group: "conf.d", Name: "b"}, "1", client.ConfigWrite{})
			return nil
		}, []string{"b"}},
		{"another one", func() error {
			publish(t, c, client.Name{Group: "conf.d", Name: "a"}, "1", client.ConfigWrite{})
			return nil
		}, []string{"a", "b"}},
		{"one less", func() error { return c.DeleteConfig(t.Context(), client.Name{Group: "conf.d", Name: "b"}) }, []string{"a"}},
	} {
		done := make(chan error, 1)
		go func() { done <- step.change() }()
		got := ask(20 * time.Second)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(got, step.want) {
			t.Errorf("names after %s = %q, want %q", step.name, got, step.want)
		}
	}
	publish(t, c, client.Name{Group: "conf.d", Name: "a"}, "2", client.ConfigWrite{})
	publish(t, c, client.Name{Group: "other", Name: "x"}, "2", client.ConfigWrite{})
	if got := ask(0); got != nil {
		t.Errorf("names after other contents = %q, want no answer", got)
	}
	many := make([]api.ConfigGroup, 100)
	for i := range many {
		many[i].Group = "many"
	}
	for i := range 150 {
		publish(t, c, client.Name{Group: "many", Name: fmt.Sprint(i)}, "1", client.ConfigWrite{})
	}
	changes, err := c.WatchGroups(t.Context(), nil, many, 0)
	if told := len(changes.Groups) * 150; err != nil || told == 0 || told > api.MaxGroupNames {
		t.Errorf("names of a group that is named 100 times = %d, %v; want at most %d", told, err, api.MaxGroupNames)
	}
	group.Group = "*"
	if _, err := c.WatchGroups(t.Context(), nil, []api.ConfigGroup{group}, 0); status(err) != http.StatusBadRequest {
		t.Errorf("WatchGroups of a pattern = %v, want 400", err)
	}
}
