package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// An agent gets what gray releases choose for it, in plain files and in templates.
func TestGrayRelease(t *testing.T) {
	server, c := start(t)
	dir := t.TempDir()
	holds := func(name, want string) func() bool {
		return func() bool {
			b, err := os.ReadFile(filepath.Join(dir, name))
			return err == nil && string(b) == want
		}
	}
	app := client.Name{Name: "app"}
	if _, err := c.PutConfig(t.Context(), app, []byte("for all"), client.ConfigWrite{}); err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, server, t.TempDir(), fmt.Sprintf(`tag: blue
labels: {zone: b}
files:
  - {data_id: app, path: %[1]s/plain}
  - {template: {text: '{{ .Tag }}: {{ config "app" }}'}, path: %[1]s/rendered}
`, dir))
	agent.Await("what is for all", holds("plain", "for all"))
	agent.Await("what is for all, rendered", holds("rendered", "blue: for all"))
	for name, rule := range map[string]api.Rule{
		"tag": {Tag: "blue"}, "labels": {Labels: map[string]string{"zone": "b"}}, "percent": {Percent: 100},
	} {
		if _, err := c.PutRelease(t.Context(), app, name, []byte("by "+name), client.ReleaseWrite{Rule: rule}); err != nil {
			t.Fatal(err)
		}
		agent.Await("release by "+name, holds("plain", "by "+name))
		agent.Await("release by "+name+", rendered", holds("rendered", "blue: by "+name))
		if err := c.WithdrawRelease(t.Context(), app, name); err != nil {
			t.Fatal(err)
		}
		agent.Await("the end of it", holds("plain", "for all"))
	}
	if _, err := c.PutRelease(t.Context(), app, "other", []byte("for others"), client.ReleaseWrite{Rule: api.Rule{Tag: "green"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutConfig(t.Context(), app, []byte("for all again"), client.ConfigWrite{}); err != nil {
		t.Fatal(err)
	}
	agent.Await("what is for all again", holds("plain", "for all again"))
}
