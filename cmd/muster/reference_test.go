package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

const references = "../../docs/reference"

// TestReferenceOfServer holds docs/reference/server.yaml to what the server
// takes: every key, each with its default.
func TestReferenceOfServer(t *testing.T) {
	path := filepath.Join(references, "server.yaml")
	var got server.Config
	if err := readSettings(path, &got); err != nil {
		t.Fatal(err)
	}
	sameKeys(t, path, textOf(t, path), server.Config{})
	got, err := got.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	want, err := server.Config{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(server.Config{}, "Logger")); diff != "" {
		t.Errorf("%s holds other values than the defaults (-want +got):\n%s", path, diff)
	}
}

// TestReferenceOfAgent does so for docs/reference/agent.yaml. Its example of a
// file is a comment, as there is none by default.
func TestReferenceOfAgent(t *testing.T) {
	path := filepath.Join(references, "agent.yaml")
	var got agent.Config
	if err := readSettings(path, &got); err != nil {
		t.Fatal(err)
	}
	want := agent.Config{DataDir: agent.DefaultDataDir, Servers: []string{client.DefaultServer}, ServicesDir: agent.DefaultServicesDir,
		HTTP: agent.DefaultHTTP, SocketMode: "0660", DNS: agent.DefaultDNS, Zones: []string{"muster.internal"}, Namespace: "public", Rescan: agent.DefaultRescan}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s holds other values than the defaults (-want +got):\n%s", path, diff)
	}

	content := regexp.MustCompile(`(?m)^#(  )`).ReplaceAllString(textOf(t, path), "$1")
	content = strings.NewReplacer("files: []", "files:", "bundles: []", "bundles:", "mirrors: []", "mirrors:").Replace(content)
	sameKeys(t, path, content, agent.Config{})
	if err := checkFile("agent", fileWith(t, content), []byte(content)); err != nil {
		t.Errorf("%s with its example of a file: %v", path, err)
	}
}

// TestReferenceOfDefinitions does so for docs/reference/order-api.yaml.
func TestReferenceOfDefinitions(t *testing.T) {
	path := filepath.Join(references, "order-api.yaml")
	content := textOf(t, path)
	services, err := definition.Decode(path, []byte(content))
	if err != nil || len(services) != 1 || services[0].Name != "order-api" || len(services[0].Checks) != 10 {
		t.Errorf("Decode(%s) = %+v, %v, want order-api with ten checks", path, services, err)
	}
	sameKeys(t, path, content, definition.File{})
}

// sameKeys fails the test unless content has every key of a settings type, and
// no other. The keys of free maps, metadata and headers, are nobody's.
func sameKeys(t *testing.T, path, content string, of any) {
	t.Helper()
	var got any
	if err := yaml.Unmarshal([]byte(content), &got); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	want := map[string]bool{}
	for _, k := range keysOf(reflect.TypeOf(of)) {
		want[k] = true
	}
	found := map[string]bool{}
	collectKeys(got, found)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("%s has other keys than its type (-want +got):\n%s", path, diff)
	}
}

func collectKeys(v any, keys map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collectKeys(e, keys)
		}
	case map[string]any:
		for k, e := range v {
			keys[k] = true
			if k != "metadata" && k != "headers" {
				collectKeys(e, keys)
			}
		}
	}
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fileWith returns the path of a new file with content.
func fileWith(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUnits holds the systemd units to commands, flags and variables that exist.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob("../../deploy/*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("units = %v, %v, want some", units, err)
	}
	setting := regexp.MustCompile(`(?m)^(ExecStart|Environment)=(.*)$`)
	for _, unit := range units {
		var c *cli.Command
		var variables []string
		for _, m := range setting.FindAllStringSubmatch(textOf(t, unit), -1) {
			if m[1] == "Environment" {
				name, _, _ := strings.Cut(m[2], "=")
				variables = append(variables, name)
				continue
			}
			words := strings.Fields(m[2])
			if len(words) != 2 || filepath.Base(words[0]) != "muster" {
				t.Fatalf("%s: ExecStart = %q, want muster and a command", unit, m[2])
			}
			c = find(newApp().Commands, words[1])
		}
		if c == nil {
			t.Fatalf("%s starts no command that there is", unit)
		}
		known := map[string]bool{}
		for _, f := range c.Flags {
			for _, v := range f.(cli.DocGenerationFlag).GetEnvVars() {
				known[v] = true
			}
		}
		for _, v := range variables {
			if !known[v] {
				t.Errorf("%s sets %s, which muster %s does not know", unit, v, c.Name)
			}
		}
	}
}
