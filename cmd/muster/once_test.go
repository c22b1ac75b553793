package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const onceSettings = `files:
  - data_id: app.properties
    path: %[1]s/app.properties
bundles:
  - path: %[1]s/current
    files:
      - {name: a.conf, data_id: app.properties}
      - {name: b.conf, template: {text: '<{{ config "app.properties" | properties | get "a" }}>'}}
`

// One run brings everything in step, a dry one says what it would do.
func TestOnceAndDryRun(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	t.Cleanup(s.stop)
	dir, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
	settings := fileWith(t, strings.ReplaceAll(onceSettings, "%[1]s", dir))
	run := func(want int, mode string) string {
		t.Helper()
		code, out := command(t, "agent", "--config", settings, "--data-dir", data, "--server", s.url(), mode)
		if code != want {
			t.Errorf("muster agent %s = %d, want %d\n%s", mode, code, want, out)
		}
		return out
	}
	for _, mode := range []string{"--dry-run", "--once"} {
		if out := run(exitFailed, mode); !strings.Contains(out, "config public/DEFAULT_GROUP/app.properties does not exist") {
			t.Errorf("muster agent %s says %q, want what is missing", mode, out)
		}
	}
	s.publish("app.properties", "a=1\n")
	run(exitDone, "--once")
	s.publish("app.properties", "a=2\n")
	out := run(exitDone, "--dry-run")
	for _, want := range []string{"-a=1\n+a=2\n", "/current/b.conf: would change, from template\n", "-<1>", "+<2>"} {
		if !strings.Contains(out, want) {
			t.Errorf("muster agent --dry-run says %q, want %q", out, want)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if got := read("current/b.conf"); got != "<1>" {
		t.Errorf("b.conf after a dry run = %q, want it as it was", got)
	}
	if out := run(exitDone, "--once"); strings.Contains(out, "a=2") {
		t.Errorf("muster agent --once says %q, want no content in it", out)
	}
	if got := read("current/b.conf") + read("current/a.conf") + read("app.properties"); got != "<2>a=2\na=2\n" {
		t.Errorf("files = %q, want the second version", got)
	}
	if out := run(exitDone, "--dry-run"); strings.Count(out, ": in step\n") != 3 {
		t.Errorf("muster agent --dry-run says %q, want all in step", out)
	}
	s.stop()
	run(exitUnreachable, "--once")
	run(exitUnreachable, "--dry-run")
}
