package definition_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/probe"
)

const orderAPI = `# the order service
services:
  - name: order-api
    address: '{{ GetPrivateIP }}'
    port: 8080
    weight: 3
    cluster: bj
    metadata: {version: v1, protocol: http, build: 7, canary: true}
    checks:
      - http: http://127.0.0.1:8080/healthz
        interval: 5s
        fall: 1
`

func TestDecode(t *testing.T) {
	want := []definition.Service{{
		Name: "order-api", Address: "{{ GetPrivateIP }}", Port: 8080, Weight: new(3.0), Cluster: "bj",
		Metadata: map[string]string{"version": "v1", "protocol": "http", "build": "7", "canary": "true"},
		Checks:   []probe.Check{{HTTP: "http://127.0.0.1:8080/healthz", Interval: probe.Duration(5 * time.Second), Fall: 1}},
	}}
	for name, content := range map[string]string{
		"a.yaml": orderAPI,
		"a.yml":  strings.ReplaceAll(orderAPI, "\n", "\r\n"),
		"a.json": "{\n\t\"services\": [{\"name\": \"order\\u002dapi\", \"address\": \"{{ GetPrivateIP }}\", \"port\": 8080, \"weight\": 3, \"cluster\": \"bj\",\n" +
			"\t\"metadata\": {\"version\": \"v1\", \"protocol\": \"http\", \"build\": \"7\", \"canary\": \"true\"},\n" +
			"\t\"checks\": [{\"http\": \"http:\\/\\/127.0.0.1:8080/healthz\", \"interval\": \"5s\", \"fall\": 1}]}]}",
	} {
		got, err := definition.Decode(name, []byte(content))
		if err != nil {
			t.Errorf("Decode(%s) = %v, want nil", name, err)
		}
		want[0].Line = 3
		if name == "a.json" {
			want[0].Line = 2
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Decode(%s) (-want +got):\n%s", name, diff)
		}
	}
	if got, err := definition.Decode("none.yaml", []byte("services: []\n")); err != nil || len(got) != 0 {
		t.Errorf("Decode of no services = %v, %v, want none", got, err)
	}
}

func TestDecodeChecks(t *testing.T) {
	got, err := definition.Decode("d.yaml", []byte(`
services:
  - name: a
    port: 80
    checks:
      - {mysql: 127.0.0.1:3306, user: probe, password: "0815", command: show global variables where variable_name='read_only'}
      - {redis: 127.0.0.1:6379, user: probe, password: hunter2, tls: true, tls_skip_verify: true}
      - {grpc: 127.0.0.1:50051, grpc_service: order.v1.Orders, rise: 2}
      - {exec: [/bin/check, --port, 80], name: deep, no_damping: true, deregister_after: 10m}
      - {ttl: 30s, name: word}
      - {udp: ":53", payload_hex: 00ff, contains: ok, expect_answer: true}
      - {process: nginx, pid_file: /run/nginx.pid}
      - {systemd: nginx.service}
      - {tcp: ":443", tls: true, tls_ca_file: /ca.pem, tls_server_name: a.example.org}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []probe.Check{
		{MySQL: "127.0.0.1:3306", User: "probe", Password: "0815", Command: "show global variables where variable_name='read_only'"},
		{Redis: "127.0.0.1:6379", User: "probe", Password: "hunter2", TLS: true, TLSSkipVerify: true},
		{GRPC: "127.0.0.1:50051", GRPCService: "order.v1.Orders", Rise: 2},
		{Exec: []string{"/bin/check", "--port", "80"}, Name: "deep", NoDamping: true, DeregisterAfter: probe.Duration(10 * time.Minute)},
		{TTL: probe.Duration(30 * time.Second), Name: "word"},
		{UDP: ":53", PayloadHex: "00ff", Contains: "ok", ExpectAnswer: true},
		{Process: "nginx", PIDFile: "/run/nginx.pid"},
		{Systemd: "nginx.service"},
		{TCP: ":443", TLS: true, TLSCAFile: "/ca.pem", TLSServerName: "a.example.org"},
	}
	if diff := cmp.Diff(want, got[0].Checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestWhatComesOverAnAPINamesNoProgramAndNoFile(t *testing.T) {
	for field, check := range map[string]string{
		"exec": `{"exec": ["/bin/true"]}`, "pid_file": `{"process": "sh", "pid_file": "/run/a.pid"}`,
		"tls_ca_file":   `{"tcp": ":443", "tls": true, "tls_ca_file": "/etc/ca.pem"}`,
		"tls_cert_file": `{"tcp": ":443", "tls": true, "tls_cert_file": "/c", "tls_key_file": "/k"}`,
	} {
		content := `{"name": "a", "port": 80, "checks": [{"tcp": ":80"}, ` + check + `]}`
		_, err := definition.DecodeService("a", []byte(content))
		if want := "checks[1]." + field + ": stands in a definition file of the host only"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("DecodeService of %s = %v, want %q", check, err, want)
		}
		if _, err := definition.Decode("d.json", []byte(`{"services": [`+content+`]}`)); err != nil {
			t.Errorf("Decode of %s = %v, want nil", check, err)
		}
	}
}

func TestErrorsDoNotShowPasswords(t *testing.T) {
	for _, password := range []string{"815.0", "+815", "{a: 815}", "[815]", `"815`, "*815", "815\n      bad: 1", "'815' '815'"} {
		content := "services:\n  - name: a\n    port: 80\n    checks:\n    - redis: :6379\n      password: " + password + "\n"
		if _, err := definition.Decode("d.yaml", []byte(content)); err == nil || strings.Contains(err.Error(), "815") {
			t.Errorf("Decode with the password %s = %v, want an error without it", password, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	service := func(lines ...string) string {
		return "services:\n  - name: a\n    port: 80\n" + "    " + strings.Join(lines, "\n    ") + "\n"
	}
	for _, c := range []struct{ name, content, want string }{
		{"an unknown key", service("wieght: 3"), `d.yaml:4: unknown key "wieght", did you mean "weight"`},
		{"a key of a check in a service", service("interval: 5s"), `d.yaml:4: unknown key "interval" here, it belongs elsewhere`},
		{"an unknown key like no other", service("colour: red"), `d.yaml:4: unknown key "colour"`},
		{"an unknown key in a check", service("checks:", "  - tcp: :80", "    intervall: 5s"), `d.yaml:6: unknown key "intervall", did you mean "interval"`},
		{"an unknown key at the top", "services: []\nservice: []\n", `d.yaml:2: unknown key "service", did you mean "services"`},
		{"a key twice", service("port: 81"), "d.yaml:4: "},
		{"an unknown kind of check", service("checks: [{icmp: 192.0.2.1}]"), `d.yaml:4: unknown key "icmp"`},
		{"a program that is text", service("checks:", "  - exec: /bin/true"), "d.yaml:5: "},
		{"a ttl without a unit", service("checks: [{ttl: 30}]"), `d.yaml:4: services[0].checks[0].ttl: "30" is not a duration`},
		{"an argument that is no text", service("checks:", "  - tcp: :80", "  - exec: [/bin/check, 1.10]"), "d.yaml:6: services[0].checks[1].exec[1]: 1.10 is a number here"},
		{"broken YAML", "services:\n  - name: [a\n", "d.yaml:2: "},
		{"a tab", "services:\n\t- name: a\n", "d.yaml:"},
		{"an empty file", " \n", "d.yaml: is empty"},
		{"nothing but a comment", "# nothing\n", "d.yaml: holds"},
		{"two documents", "services: []\n---\nservices: []\n", "d.yaml: holds 2 documents"},
		{"services without a list", "services:\n", "services: is missing"},
		{"no services", "{}", "services: is missing"},
		{"a list", "[]", "d.yaml:1: "},
		{"an empty entry", "services:\n  -\n", "d.yaml:2: services[0].name: is missing"},
		{"no name", "services:\n  - port: 80\n", "d.yaml:2: services[0].name: is missing"},
		{"no port", "services:\n  - name: a\n", "d.yaml:2: services[0].port: is missing or 0"},
		{"port 0", "services:\n  - name: a\n    port: 0\n", "d.yaml:3: services[0].port: is missing or 0"},
		{"a port too high", "services:\n  - name: a\n\n    port: 65536\n", "d.yaml:4: services[0].port: 65536"},
		{"a negative port", "services:\n  - name: a\n    port: -1\n", "d.yaml:3: services[0].port: -1"},
		{"a port that is a word", "services:\n  - name: a\n    port: http\n", `d.yaml:3: services[0].port: "http" is not a number`},
		{"a port that is text", "services:\n  - name: a\n    port: '80'\n", `d.yaml:3: services[0].port: "80" is not a number`},
		{"half a port", "services:\n  - name: a\n    port: 80.5\n", "d.yaml:3: services[0].port: 80.5 is not a whole number"},
		{"a port beyond all bounds", "services:\n  - name: a\n    port: 99999999999999999999\n", "d.yaml:3: "},
		{"a weight too high", service("weight: 10001"), "d.yaml:4: services[0].weight: 10001 is not within"},
		{"a negative weight", service("weight: -0.5"), "d.yaml:4: services[0].weight: -0.5 is not within"},
		{"no number as weight", service("weight: .nan"), "d.yaml:4: services[0].weight: NaN"},
		{"a cluster with a dot", service("cluster: a.b"), `d.yaml:4: services[0].cluster: "a.b"`},
		{"a namespace with a slash", service("namespace: a/b"), `d.yaml:4: services[0].namespace: "a/b"`},
		{"a group with a blank", service("group: a b"), `d.yaml:4: services[0].group: "a b"`},
		{"a name with a blank", "services:\n  - name: a b\n    port: 80\n", `d.yaml:2: services[0].name: "a b"`},
		{"a name with a group in it", "services:\n  - name: g@@a\n    port: 80\n", `services[0].name: "g@@a"`},
		{"a host name as address", service("address: host.example.org"), `d.yaml:4: services[0].address: is "host.example.org", which is not an IP address`},
		{"any address", service("address: 0.0.0.0"), "to which nobody can connect"},
		{"an address with a zone", service("address: fe80::1%eth0"), "zone"},
		{"a broken template", service("address: '{{ GetPrivateIP'"), "d.yaml:4: services[0].address: is no template"},
		{"a template with a loop", service("address: '{{ range 1000000000 }}x{{ end }}'"), "more than pipelines"},
		{"a version that would lose its zero", service("metadata:", "  version: 1.10"), `d.yaml:5: services[0].metadata.version: 1.10 is a number here, as text it is "1.10"`},
		{"a build that would lose its zeros", service("metadata: {build: 007}"), `"007"`},
		{"a bare number as interval", service("checks:", "  - tcp: :80", "    interval: 5"), `d.yaml:6: services[0].checks[0].interval: "5" is not a duration`},
		{"an interval too short", service("checks:", "  - tcp: :80", "    interval: 1ms"), "d.yaml:5: services[0].checks[0]: invalid check: interval 1ms"},
		{"a check of two kinds", service("checks: [{tcp: ':80', http: 'http://a/'}]"), "d.yaml:4: services[0].checks[0]: invalid check: both tcp and http"},
		{"a check of no kind", service("checks: [{}]"), "services[0].checks[0]: invalid check: none of tcp, udp, http"},
		{"a setting of another kind", service("checks:", "  - redis: :6379", "    command: flushall"), "d.yaml:5: services[0].checks[0]: invalid check: command does not go with redis"},
		{"a service in place of a gRPC service", service("checks:", "  - grpc: :50051", "    grpc-service: a"), `did you mean "grpc_service"`},
		{"half an expected status", service("checks: [{http: 'http://a/', expect: [200.5]}]"), "200.5 is not a whole number"},
		{"too many checks", service("checks: [" + strings.Repeat("{tcp: ':80'},", 17) + "]"), "services[0].checks: has 17 entries"},
		{"the same instance twice", service("enabled: true") + "  - name: a\n    port: 80\n", "d.yaml:5: services[1]: is the same instance as services[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := definition.Decode("d.yaml", []byte(c.content))
			if _, ok := errors.AsType[*definition.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode = %v, %v, want an *Error with %q", got, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "Go ") {
				t.Errorf("Decode = %v, want no word of Go", err)
			}
		})
	}
	for _, c := range []struct{ name, content, want string }{
		{"broken JSON", "{\n\"services\": [}", "d.json:2: is not JSON"},
		{"YAML", "services: []", "d.json:1: is not JSON"},
		{"an unknown key", "{\n\t\"services\": [\n\t\t{\"nane\": \"a\"}]}", `d.json:3: unknown key "nane", did you mean "name"`},
	} {
		t.Run(c.name+" in JSON", func(t *testing.T) {
			if _, err := definition.Decode("d.json", []byte(c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode = %v, want %q", err, c.want)
			}
		})
	}
	if _, err := definition.Decode("d.yaml", make([]byte, definition.MaxSize+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("Decode of a huge file = %v, want an error", err)
	}
}

func TestDecodeService(t *testing.T) {
	got, err := definition.DecodeService("order-1", []byte(`{"port": 80, "metadata": {"a": "b"}}`))
	if err != nil || !cmp.Equal(got, definition.Service{Name: "order-1", Port: 80, Metadata: map[string]string{"a": "b"}}) {
		t.Errorf("DecodeService = %+v, %v, want the name of its path", got, err)
	}
	got, err = definition.DecodeService("order-1", []byte(`{"name": "order", "port": 80}`))
	if err != nil || got.Name != "order" {
		t.Errorf("DecodeService = %+v, %v, want the name of its body", got, err)
	}
	for content, want := range map[string]string{
		`{"port": "80"}`:   `port: "80" is not a number`,
		`{"prot": 80}`:     `unknown key "prot", did you mean "port"`,
		`[]`:               "mapping",
		`port: 80`:         "is not JSON",
		`{"port": 80} {}`:  "is not JSON",
		`{"port": 123456}`: "port: 123456",
		``:                 "is empty",
	} {
		if _, err := definition.DecodeService("a", []byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("DecodeService(%s) = %v, want %q", content, err, want)
		}
	}
}

func TestIsFile(t *testing.T) {
	for name, want := range map[string]bool{
		"a.yaml": true, "a.yml": true, "a.json": true, ".a.yaml": false, "a.yaml~": false, "a.yaml.bak": false, "a.toml": true, "a": false, "..data": false,
	} {
		if got := definition.IsFile(name); got != want {
			t.Errorf("IsFile(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestResolveAddress(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":                    "192.0.2.1",
		"2001:DB8:0::1":                "2001:db8::1",
		"::ffff:192.0.2.1":             "192.0.2.1",
		`{{ "192.0.2.7" }}`:            "192.0.2.7",
		` {{ printf "192.0.2.%d" 8 }}`: "192.0.2.8",
	} {
		if got, err := definition.ResolveAddress(text); err != nil || got.String() != want {
			t.Errorf("ResolveAddress(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`{{ GetInterfaceIP "nosuch0" }}`: "yields no address",
		`{{ "" }}`:                       "yields no address",
		`{{ "host" }}`:                   `yields "host", which is not an IP address`,
		`{{ "192.0.2.1 192.0.2.2" }}`:    "which is not an IP address",
		`{{ NoSuch }}`:                   "NoSuch",
		// What little text would make much of.
		`{{ "\\" ` + strings.Repeat("| js ", 60) + `}}`:                  "js in it",
		`{{ (printf "%999999d" 1) }}`:                                    "printf whose format",
		`{{ "%999999d" | printf }}`:                                      "printf whose format",
		`{{ printf "%[1]s%[1]s" "a" }}`:                                  "printf whose format",
		`{{ $x := "192.0.2.7" }}{{ print $x $x }}`:                       "variables in it",
		`{{ print (print ("\\" ` + strings.Repeat("| js ", 60) + `)) }}`: "js in it",
		"": "not an IP address",
	} {
		if got, err := definition.ResolveAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ResolveAddress(%q) = %v, %v, want an error with %q", text, got, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("a.yaml", orderAPI)
	f.Add("a.json", `{"services": [{"name": "a", "port": 80, "checks": [{"tcp": ":80"}]}]}`)
	f.Add("a.yaml", "services: &a\n  - *a\n")
	f.Add("a.yaml", "? {a: b}\n: [")
	f.Fuzz(func(t *testing.T, name, content string) {
		services, err := definition.Decode(name, []byte(content))
		if err != nil {
			if _, ok := errors.AsType[*definition.Error](err); !ok {
				t.Errorf("Decode = %T, want an *Error", err)
			}
			return
		}
		for _, s := range services {
			if s.Name == "" || s.Port < 1 || s.Port > 65535 || s.Weight != nil && !(*s.Weight >= 0) {
				t.Errorf("Decode accepted %+v", s)
			}
		}
		if _, err := definition.DecodeService("a", []byte(content)); err == nil && !strings.Contains(content, "port") && !strings.Contains(content, `\`) {
			t.Errorf("DecodeService accepted %q without a port", content)
		}
	})
}
