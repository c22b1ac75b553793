package definition_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/agent/definition"
)

const inTOML = `# of the shop
[[services]]
name = "order-api"
address = '{{ GetPrivateIP }}'
port = 8_080
weight = 3.5
enabled = true
metadata.version = "v1" # dotted
metadata."a.b" = """
two
lines"""

[[services.checks]]
http = "http://127.0.0.1:8080/healthz"
interval = "5s"
headers = { Host = "shop", "X-A" = "]" }
expect = [
  200, # fine
  204,
]

[[services.checks]]
tcp = "127.0.0.1:8080"

[[services]]
name = "pay"
port = 81
[services.metadata]
protocol = "http"
`

const inYAML = `
services:
  - name: order-api
    address: '{{ GetPrivateIP }}'
    port: 8080
    weight: 3.5
    enabled: true
    metadata: {version: v1, a.b: "two\nlines"}
    checks:
      - http: http://127.0.0.1:8080/healthz
        interval: 5s
        headers: {Host: shop, X-A: "]"}
        expect: [200, 204]
      - tcp: 127.0.0.1:8080
  - name: pay
    port: 81
    metadata: {protocol: http}
`

func TestTOMLSaysTheSame(t *testing.T) {
	want, err := definition.Decode("a.yaml", []byte(inYAML))
	if err != nil {
		t.Fatal(err)
	}
	got, err := definition.Decode("a.toml", []byte(inTOML))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(definition.Service{}, "Line")); diff != "" {
		t.Errorf("TOML and YAML (-yaml +toml):\n%s", diff)
	}
	if lines := [4]int{want[0].Line, want[1].Line, got[0].Line, got[1].Line}; lines != [4]int{3, 15, 2, 25} {
		t.Errorf("lines = %v, want where each begins", lines)
	}
}

func TestTOMLErrors(t *testing.T) {
	for _, c := range []struct {
		name, content string
		line          int
		want          string
	}{
		{"an unknown key", "[[services]]\nname = 'a'\n\nprot = 80\n", 4, `unknown key "prot", did you mean "port"`},
		{"one behind a text of many lines", "[[services]]\nname = 'a'\nport = 80\nmetadata.x = '''\nprot = 1\n[[services]]\n'''\nwieght = 1\n", 8, `"wieght", did you mean "weight"`},
		{"one in a list of tables", "services = [\n  {name = 'a', port = 1},\n  {name = 'b',\n prot = 2},\n]\n", 4, `unknown key "prot"`},
		{"a number that is text", "[[services]]\nname = 'a'\nport = '80'\n", 3, "is not a number"},
		{"no whole number", "[[services]]\nname = 'a'\nport = 80.0\n", 3, "not a whole number"},
		{"text that is a number", "[[services]]\nname = 'a'\nport = 80\nmetadata.version = 1.10\n", 4, "in quotes"},
		{"a date", "[[services]]\nname = 'a'\nport = 80\n[services.metadata]\nsince = 2026-01-02\n", 5, "as text it stands in quotes"},
		{"a number that is none", "[[services]]\nname = 'a'\nport = 80\nweight = nan\n", 4, "no number"},
		{"a port out of range", "[[services]]\nname = 'a'\nport = 80\n[[services]]\nname = 'b'\nport = 99999\n", 6, "not within 1 to 65535"},
		{"a check of the second", "[[services]]\nname = 'a'\nport = 80\n[[services.checks]]\ntcp = 'x:1'\n[[services.checks]]\ntcp = 'x:1'\ninterval = 'soon'\n", 8, "soon"},
		{"a key that comes twice", "[[services]]\nname = 'a'\nname = 'b'\n", 3, "is not TOML"},
		{"what is not TOML", "[[services]]\nname = \n", 2, "is not TOML"},
		{"no services", "x = 1\n", 1, `unknown key "x"`},
		{"the same twice", "[[services]]\nname = 'a'\nport = 80\n[[services]]\nport = 80\nname = 'a'\n", 4, "is the same instance as services[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := definition.Decode("a.toml", []byte(c.content))
			e, ok := errors.AsType[*definition.Error](err)
			if !ok || e.Line != c.line || !strings.Contains(e.Message, c.want) || e.File != "a.toml" {
				t.Errorf("Decode = %v, want line %d and %q", err, c.line, c.want)
			}
		})
	}
}

func FuzzTOML(f *testing.F) {
	f.Add([]byte(inTOML))
	f.Add([]byte("a.'b'.\"c\" = [{x=1,},[2,'''']''']] # \n[a.b]\n[[x]]\r\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		services, err := definition.Decode("a.toml", content)
		if e, ok := errors.AsType[*definition.Error](err); err != nil && !ok {
			t.Fatalf("error %v of type %T", err, err)
		} else if ok && (e.Line < 0 || e.Line > 1+strings.Count(string(content), "\n")) {
			t.Errorf("line %d of %d: %v", e.Line, 1+strings.Count(string(content), "\n"), e)
		}
		for _, s := range services {
			if s.Name == "" || s.Line == 0 {
				t.Errorf("service %+v of %q", s, content)
			}
		}
	})
}
