package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/configtest"
)

func edit(dataID, content string) config.Edit {
	return config.Edit{Draft: config.Draft{Key: key(dataID), Content: []byte(content)}}
}

func TestEditIsAllOrNothing(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	heads, receipt, err := c.Edit(t.Context(), []config.Edit{edit("a", "same"), edit("b", "same"), edit("c", "3")})
	if err != nil || len(heads) != 3 {
		t.Fatalf("Edit = %v, %v", heads, err)
	}
	for _, h := range heads {
		if h.Revision != receipt.Revision || c.Snapshot().Head(h.Key).Revision != receipt.Revision {
			t.Errorf("%s is of revision %d, want all of %d", h.Key, h.Revision, receipt.Revision)
		}
	}
	gone := edit("b", "")
	gone.Delete = true
	never := edit("never", "")
	never.Delete = true
	heads, _, err = c.Edit(t.Context(), []config.Edit{gone, never, edit("a", "1")})
	if err != nil || heads[0] != nil || heads[1] != nil || heads[2].Seq != 2 || c.Snapshot().Len() != 2 {
		t.Errorf("Edit with deletes = %v, %v, want the second one gone", heads, err)
	}

	was := c.Snapshot().Revision()
	stale := edit("c", "x")
	stale.If.Revision = 1
	absent := edit("a", "x")
	absent.If.Absent = true
	unsure := edit("nobody", "x")
	unsure.If.Exists = true
	var many []config.Edit
	for i := range config.MaxEdits + 1 {
		many = append(many, edit(fmt.Sprint("m", i), "x"))
	}
	for name, test := range map[string]struct {
		edits []config.Edit
		is    error
		says  string
	}{
		"another revision":       {[]config.Edit{edit("a", "2"), stale}, config.ErrConflict, key("c").String()},
		"one that is there":      {[]config.Edit{edit("c", "2"), absent}, config.ErrConflict, key("a").String()},
		"one that is not there":  {[]config.Edit{edit("c", "2"), unsure}, config.ErrConflict, key("nobody").String()},
		"a blank content":        {[]config.Edit{edit("c", "2"), edit("d", " ")}, config.ErrInvalid, key("d").String()},
		"a document twice":       {[]config.Edit{edit("c", "2"), edit("c", "3")}, config.ErrInvalid, "twice"},
		"no edits":               {nil, config.ErrInvalid, "1 to 200"},
		"more than are possible": {many, config.ErrInvalid, "1 to 200"},
	} {
		_, _, err := c.Edit(t.Context(), test.edits)
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: Edit = %v, want %v that says %q", name, err, test.is, test.says)
		}
	}
	if c.Snapshot().Revision() != was {
		t.Error("an edit that was refused wrote")
	}
	if conflict, ok := errors.AsType[*config.ConflictError](errOf(c.Edit(t.Context(), []config.Edit{stale}))); !ok || conflict.MD5 != c.Snapshot().Head(key("c")).MD5 {
		t.Errorf("conflict = %+v, want the MD5 that stands", conflict)
	}
}

func errOf(_ []*config.Document, _ config.Receipt, err error) error { return err }

func TestKeepLeavesWhatIsNotSaid(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	d := draft("a: 1")
	d.Type, d.Desc, d.App, d.Tags, d.Use, d.Effect, d.Schema, d.DataKey = "yaml", "about", "app", []string{"x"}, "use", "effect", "{}", "key"
	publish(t, c, d)
	again := draft("a: 2")
	again.Keep, again.Desc = true, "other"
	got := publish(t, c, again)
	if got.Type != "yaml" || got.Desc != "other" || got.App != "app" || len(got.Tags) != 1 || got.Use != "use" || got.Effect != "effect" || got.Schema != "{}" {
		t.Errorf("kept = %+v, want all but the description as it stood", got)
	}
	if got.DataKey != "" {
		t.Error("the key of one content was kept with another")
	}
	again = draft("a: 3")
	again.KeepApp, again.KeepTags = true, true
	if got := publish(t, c, again); got.App != "app" || len(got.Tags) != 1 || got.Desc != "" {
		t.Errorf("kept = %+v, want application and tags alone", got)
	}
	if got := publish(t, c, draft("a: 4")); got.Type != "text" || got.Desc != "" || len(got.Tags) != 0 {
		t.Errorf("published anew = %+v, want nothing of what stood", got)
	}
}

// judge finds fault with contents and schemas that say bad.
type judge struct{ asked int }

func (j *judge) Check(kind string, content []byte, schema string) error {
	j.asked++
	if strings.Contains(string(content), "bad") {
		return fmt.Errorf("line 1 is not %s", kind)
	}
	return nil
}

func (j *judge) CheckSchema(schema string) error {
	if strings.Contains(schema, "bad") {
		return errors.New("line 1 is no schema")
	}
	return nil
}

func TestContentsAreJudged(t *testing.T) {
	for _, test := range []struct {
		policy   config.Validation
		content  string
		schema   string
		warns    bool
		refused  bool
		dataKey  string
		unjudged bool
	}{
		{config.ValidateOff, "bad", "", false, false, "", true},
		{"", "bad", "", true, false, "", false},
		{"", "good", "", false, false, "", false},
		{"", strings.Repeat("bad", 1<<20), "", false, false, "", true},
		{config.ValidateWarn, "bad", "", true, false, "", false},
		{config.ValidateRefuse, "bad", "", false, true, "", false},
		{config.ValidateRefuse, strings.Repeat("bad", 1<<20), "", false, true, "", false},
		{config.ValidateRefuse, "bad", "", false, false, "the client has encrypted it", true},
		{config.ValidateRefuse, "good", "bad", false, true, "", true},
		{config.ValidateRefuse, "good", "good", false, false, "", false},
	} {
		j := &judge{}
		c := config.New(configtest.NewStore(), config.Config{Judge: j})
		if test.policy != "" {
			if _, err := c.SetPolicy(t.Context(), config.Policy{Namespace: "public", Validate: test.policy}, -1); err != nil {
				t.Fatal(err)
			}
		}
		d := draft(test.content)
		d.Type, d.Schema, d.DataKey = "yaml", test.schema, test.dataKey
		name := fmt.Sprintf("policy %q, content %.4q, schema %q, key %q", test.policy, test.content, test.schema, test.dataKey)
		_, receipt, err := c.Publish(t.Context(), d)
		if refused := errors.Is(err, config.ErrInvalid); refused != test.refused || err != nil && !refused {
			t.Errorf("%s: Publish = %v, want refused: %v", name, err, test.refused)
		}
		if (len(receipt.Warnings) > 0) != test.warns {
			t.Errorf("%s: warnings = %v", name, receipt.Warnings)
		}
		if (j.asked == 0) != test.unjudged {
			t.Errorf("%s: judged %d times", name, j.asked)
		}
		if stands := c.Snapshot().Head(d.Key) != nil; stands == test.refused {
			t.Errorf("%s: it stands: %v", name, stands)
		}
	}
}

func TestSearch(t *testing.T) {
	c := config.New(configtest.NewStore(), config.Config{})
	for i, k := range []config.Key{
		{Namespace: "a", Group: "g", DataID: "app.yaml"}, {Namespace: "a", Group: "g", DataID: "app.properties"},
		{Namespace: "a", Group: "h", DataID: "web.yaml"}, {Namespace: "ab", Group: "g", DataID: "app.yaml"},
	} {
		d := config.Draft{Key: k, Content: []byte(fmt.Sprint("port: ", i)), Type: strings.TrimPrefix(k.DataID[3:], "."), App: fmt.Sprint("app", i%2), Tags: []string{fmt.Sprint("t", i), "all"}}
		publish(t, c, d)
	}
	for name, test := range map[string]struct {
		query config.Query
		want  string
	}{
		"all":                     {config.Query{}, "a/g/app.properties a/g/app.yaml a/h/web.yaml ab/g/app.yaml"},
		"a namespace":             {config.Query{Namespace: "a"}, "a/g/app.properties a/g/app.yaml a/h/web.yaml"},
		"one that is not there":   {config.Query{Namespace: "b"}, ""},
		"an exact name":           {config.Query{Namespace: "a", DataID: "app.yaml"}, "a/g/app.yaml"},
		"part of a name, exactly": {config.Query{Namespace: "a", DataID: "app"}, ""},
		"a pattern":               {config.Query{Namespace: "a", DataID: "*p*.yaml", Match: config.Like}, "a/g/app.yaml"},
		"two pieces in order":     {config.Query{DataID: "*yaml*app*", Match: config.Like}, ""},
		"a pattern of groups":     {config.Query{Group: "*h*", Match: config.Like}, "a/h/web.yaml"},
		"a contained text":        {config.Query{DataID: "eb", Match: config.Contains}, "a/h/web.yaml"},
		"a contained group":       {config.Query{DataID: "eb", Group: "", Match: config.Contains}, "a/h/web.yaml"},
		"a type":                  {config.Query{Types: []string{"properties", "xml"}}, "a/g/app.properties"},
		"an app":                  {config.Query{Namespace: "a", App: "app0"}, "a/g/app.yaml a/h/web.yaml"},
		"tags":                    {config.Query{Tags: []string{"t0", "t3"}}, "a/g/app.yaml ab/g/app.yaml"},
		"a content":               {config.Query{Namespace: "a", Content: "port: 1"}, "a/g/app.properties"},
		"a content of nobody":     {config.Query{Namespace: "a", Content: "port: 9"}, ""},
	} {
		found, err := c.Search(t.Context(), test.query)
		var got []string
		for _, d := range found {
			got = append(got, d.Key.String())
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: Search = %v, %v, want %s", name, got, err, test.want)
		}
	}
}

// Whoever takes a name for encrypted is told when it is not.
func TestWhatIsNotEncryptedIsTold(t *testing.T) {
	for _, test := range []struct {
		sealing bool
		dataKey string
		warned  bool
	}{{false, "", true}, {false, "key", false}, {true, "", false}} {
		c := config.New(configtest.NewStore(), config.Config{Sealing: test.sealing})
		d := draft("x")
		d.Key.DataID, d.DataKey = "cipher-x", test.dataKey
		head, receipt, err := c.Publish(t.Context(), d)
		if err != nil || (len(receipt.Warnings) > 0) != test.warned || head.Encrypted() != test.sealing {
			t.Errorf("%+v: Publish = %+v, warnings %v, %v", test, head, receipt.Warnings, err)
		}
	}
}
