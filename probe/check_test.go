package probe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/probe"
)

func TestCheckValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		check probe.Check
		want  string // part of the error; empty: valid
	}{
		{"tcp", probe.Check{TCP: "192.0.2.1:80"}, ""},
		{"tcp on IPv6", probe.Check{TCP: "[2001:db8::1]:80"}, ""},
		{"tcp on the own host", probe.Check{TCP: ":80"}, ""},
		{"http", probe.Check{HTTP: "http://192.0.2.1/healthz"}, ""},
		{"http with everything", probe.Check{
			HTTP: "https://192.0.2.1/healthz", Method: "HEAD", Headers: map[string]string{"X-A": "b"}, Expect: []int{200, 302},
			TLSSkipVerify: true, Interval: probe.Duration(time.Second), Timeout: probe.Duration(time.Second), Rise: 2, Fall: 3,
		}, ""},
		{"no kind", probe.Check{}, "none of tcp, udp, http, mysql, redis, grpc, exec, ttl, process, systemd"},
		{"two kinds", probe.Check{TCP: "192.0.2.1:80", HTTP: "http://192.0.2.1/"}, "both tcp and http"},
		{"tcp without a port", probe.Check{TCP: "192.0.2.1"}, "not host:port"},
		{"tcp port 0", probe.Check{TCP: "192.0.2.1:0"}, `port "0"`},
		{"tcp port too high", probe.Check{TCP: "192.0.2.1:65536"}, `port "65536"`},
		{"tcp with http settings", probe.Check{TCP: "192.0.2.1:80", Expect: []int{200}}, "expect does not go with tcp"},
		{"mysql", probe.Check{MySQL: "192.0.2.1:3306", User: "u", Password: "p", Command: "select 2"}, ""},
		{"mysql without anything", probe.Check{MySQL: ":3306"}, ""},
		{"mysql without a port", probe.Check{MySQL: "192.0.2.1"}, "not host:port"},
		{"mysql with a command too long", probe.Check{MySQL: ":3306", Command: strings.Repeat("a", 1025)}, "longer than 1024"},
		{"mysql over TLS", probe.Check{MySQL: ":3306", TLS: true}, "tls does not go with mysql"},
		{"redis", probe.Check{Redis: "192.0.2.1:6379", User: "u", Password: "p", TLS: true, TLSSkipVerify: true}, ""},
		{"redis port 0", probe.Check{Redis: ":0"}, `port "0"`},
		{"redis with a user alone", probe.Check{Redis: ":6379", User: "u"}, "user without a password"},
		{"redis with a command", probe.Check{Redis: ":6379", Command: "flushall"}, "command does not go with redis"},
		{"redis with any certificate of none", probe.Check{Redis: ":6379", TLSSkipVerify: true}, "without tls"},
		{"grpc", probe.Check{GRPC: "192.0.2.1:50051", GRPCService: "order.v1.Orders", TLS: true}, ""},
		{"grpc with a URL", probe.Check{GRPC: "https://192.0.2.1"}, "grpc: "},
		{"grpc with a password", probe.Check{GRPC: ":50051", Password: "p"}, "password does not go with grpc"},
		{"grpc with any certificate of none", probe.Check{GRPC: ":50051", TLSSkipVerify: true}, "without tls"},
		{"http with tls", probe.Check{HTTP: "http://192.0.2.1/", TLS: true}, "tls does not go with http"},
		{"http on a name beyond ASCII", probe.Check{HTTP: "http://bücher.example/"}, ""},
		{"http on a name with an underscore", probe.Check{HTTP: "http://order_api.example/"}, ""},
		{"http port too high", probe.Check{HTTP: "http://192.0.2.1:65536/"}, `port "65536"`},
		{"another scheme", probe.Check{HTTP: "ftp://192.0.2.1/"}, "not an http"},
		{"no host", probe.Check{HTTP: "http:///healthz"}, "not an http"},
		{"not a URL", probe.Check{HTTP: "http://a b/"}, "not an http"},
		{"another method", probe.Check{HTTP: "http://192.0.2.1/", Method: "PROPFIND"}, ""},
		{"a method that is none", probe.Check{HTTP: "http://192.0.2.1/", Method: "get"}, `method "get"`},
		{"a method that splits the request", probe.Check{HTTP: "http://192.0.2.1/", Method: "GET / HTTP/1.1\r\n"}, "method"},
		{"a tunnel", probe.Check{HTTP: "http://192.0.2.1/", Method: "CONNECT"}, `method "CONNECT"`},
		{"http with a body that is looked for", probe.Check{HTTP: "http://192.0.2.1/", Payload: "a", Contains: "b", Matches: "^c+$"}, ""},
		{"a regular expression that is none", probe.Check{HTTP: "http://192.0.2.1/", Matches: "("}, "matches is no regular expression"},
		{"a regular expression too large", probe.Check{HTTP: "http://192.0.2.1/", Matches: "((a{100}){100}){100}"}, "matches is no regular expression"},
		{"a text too long to look for", probe.Check{HTTP: "http://192.0.2.1/", Contains: strings.Repeat("a", 1025)}, "longer than 1024"},
		{"a body of HEAD", probe.Check{HTTP: "http://192.0.2.1/", Method: "HEAD", Contains: "a"}, "HEAD has no body"},
		{"a payload too long", probe.Check{HTTP: "http://192.0.2.1/", Payload: strings.Repeat("a", 16<<10+1)}, "longer than 16384"},
		{"files of an http URL", probe.Check{HTTP: "http://192.0.2.1/", TLSCAFile: "/ca.pem"}, "tls_ca_file without tls"},
		{"files of an https URL", probe.Check{HTTP: "https://192.0.2.1/", TLSCAFile: "/ca.pem", TLSCertFile: "/c", TLSKeyFile: "/k", TLSServerName: "a"}, ""},
		{"a certificate without a key", probe.Check{HTTP: "https://192.0.2.1/", TLSCertFile: "/c"}, "go together"},
		{"authorities that do not matter", probe.Check{HTTP: "https://192.0.2.1/", TLSSkipVerify: true, TLSCAFile: "/ca.pem"}, "contradict"},
		{"tcp with TLS", probe.Check{TCP: ":443", TLS: true, TLSServerName: "a.example.org"}, ""},
		{"a name of none", probe.Check{TCP: ":443", TLSServerName: "a.example.org"}, "tls_server_name without tls"},
		{"udp", probe.Check{UDP: ":53", PayloadHex: "00fF", ExpectAnswer: true, Matches: "a"}, ""},
		{"udp without a port", probe.Check{UDP: "192.0.2.1"}, "not host:port"},
		{"udp with digits that are none", probe.Check{UDP: ":53", PayloadHex: "0g"}, "payload_hex"},
		{"udp with two payloads", probe.Check{UDP: ":53", PayloadHex: "00", Payload: "a"}, "both payload and payload_hex"},
		{"udp with TLS", probe.Check{UDP: ":53", TLS: true}, "tls does not go with udp"},
		{"exec", probe.Check{Exec: []string{"/bin/true", "a"}, Interval: probe.Duration(time.Minute)}, ""},
		{"exec of nothing", probe.Check{Exec: []string{}}, "exec names no program"},
		{"exec of a name that is empty", probe.Check{Exec: []string{""}}, "exec names no program"},
		{"exec of nothing beside another kind", probe.Check{TCP: ":80", Exec: []string{""}}, "exec does not go with tcp"},
		{"exec with a zero byte", probe.Check{Exec: []string{"a", "b\x00"}}, "zero byte"},
		{"exec with too many words", probe.Check{Exec: strings.Split(strings.Repeat("a ", 65), " ")}, "more than 64 words"},
		{"ttl", probe.Check{TTL: probe.Duration(time.Second), Name: "a", Rise: 2}, ""},
		{"ttl too short", probe.Check{TTL: 1}, "ttl: 1ns is below"},
		{"a negative ttl", probe.Check{TTL: -1}, "ttl -1ns is negative"},
		{"ttl with an interval", probe.Check{TTL: probe.Duration(time.Second), Interval: probe.Duration(time.Second)}, "interval does not go with ttl"},
		{"process", probe.Check{Process: "nginx"}, ""},
		{"process of a path and a file", probe.Check{Process: "/usr/sbin/nginx", PIDFile: "/run/nginx.pid"}, ""},
		{"process of a file alone", probe.Check{PIDFile: "/run/nginx.pid"}, ""},
		{"process of half a path", probe.Check{Process: "sbin/nginx"}, "neither the name of a program"},
		{"process of half a path of a file", probe.Check{PIDFile: "nginx.pid"}, "is not absolute"},
		{"a file beside another kind", probe.Check{TCP: ":80", PIDFile: "/run/nginx.pid"}, "both tcp and process"},
		{"systemd", probe.Check{Systemd: `system-getty\x2da@tty1.service`}, ""},
		{"systemd with an option", probe.Check{Systemd: "--host=a"}, "no name of a unit"},
		{"systemd with a path", probe.Check{Systemd: "../a.service"}, "no name of a unit"},
		{"a name", probe.Check{TCP: ":80", Name: "port 80"}, ""},
		{"a name that is none", probe.Check{TCP: ":80", Name: "a\nb"}, "name "},
		{"a negative deregister_after", probe.Check{TCP: ":80", DeregisterAfter: -1}, "deregister_after -1ns is negative"},
		{"a status that does not exist", probe.Check{HTTP: "http://192.0.2.1/", Expect: []int{99}}, "status 99"},
		{"a header name that splits the request", probe.Check{HTTP: "http://192.0.2.1/", Headers: map[string]string{"A\r\nB": "c"}}, "header"},
		{"a header value that splits the request", probe.Check{HTTP: "http://192.0.2.1/", Headers: map[string]string{"A": "b\r\nC: d"}}, "header"},
		{"an interval too small", probe.Check{TCP: ":80", Interval: 1}, "interval 1ns"},
		{"a negative interval", probe.Check{TCP: ":80", Interval: -1}, "interval"},
		{"a negative timeout", probe.Check{TCP: ":80", Timeout: -1}, "timeout"},
		{"a negative rise", probe.Check{TCP: ":80", Rise: -1}, "rise -1"},
		{"a fall too high", probe.Check{TCP: ":80", Fall: 1001}, "fall 1001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.check.Validate()
			if c.want == "" {
				if err != nil {
					t.Fatalf("Validate(%v) = %v, want nil", c.check, err)
				}
				return
			}
			if !errors.Is(err, probe.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Validate(%v) = %v, want ErrInvalid with %q", c.check, err, c.want)
			}
		})
	}
}

func TestCheckReadsTheSameFromJSONAndYAML(t *testing.T) {
	for _, text := range []string{
		`{"mysql":"192.0.2.1:3306","user":"u","password":"p","command":"select 2"}`,
		`{"redis":"192.0.2.1:6379","user":"u","password":"p","tls":true}`,
		`{"grpc":"192.0.2.1:50051","grpc_service":"a","tls":true,"tls_skip_verify":true}`,
	} {
		var fromJSON, fromYAML probe.Check
		if err := errors.Join(json.Unmarshal([]byte(text), &fromJSON), yaml.UnmarshalWithOptions([]byte(text), &fromYAML, yaml.Strict())); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(fromYAML)
		if err != nil || string(b) != text || !cmp.Equal(fromJSON, fromYAML) {
			t.Errorf("%s became %s, %v", text, b, err)
		}
	}
	want := probe.Check{HTTP: "http://192.0.2.1/", Headers: map[string]string{"A": "b"}, Interval: probe.Duration(250 * time.Millisecond), Fall: 3}
	var fromJSON, fromYAML probe.Check
	if err := json.Unmarshal([]byte(`{"http": "http://192.0.2.1/", "headers": {"A": "b"}, "interval": "250ms", "fall": 3}`), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("http: http://192.0.2.1/\nheaders: {A: b}\ninterval: 250ms\nfall: 3\n"), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromJSON); diff != "" {
		t.Errorf("from JSON (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, fromYAML); diff != "" {
		t.Errorf("from YAML (-want +got):\n%s", diff)
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"http":"http://192.0.2.1/","headers":{"A":"b"},"interval":"250ms","fall":3}`; got != want {
		t.Errorf("Marshal = %s, want %s", got, want)
	}
}

func TestDurationRefusesBareNumbers(t *testing.T) {
	var d probe.Duration
	for _, text := range []string{"5", "", "5x", "soon"} {
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", text, d)
		}
	}
}

func TestSecretsAreKeptAndNotShown(t *testing.T) {
	const secret = "hunter2"
	checks := []probe.Check{
		{MySQL: "192.0.2.1:3306", User: "u", Password: secret},
		{HTTP: "http://u:" + secret + "@192.0.2.1/", Headers: map[string]string{"Authorization": secret}},
		{HTTP: "ftp://u:" + secret + "@192.0.2.1/"},
		{HTTP: "http://u:" + secret + "@192.0.2.1:bad/"},
		{Exec: []string{"/bin/a", "--password", secret}},
		{UDP: "192.0.2.1:53", Payload: secret},
	}
	for _, c := range checks {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("check", "check", c, "password", c.Password)
		for _, shown := range []string{
			c.String(), log.String(), fmt.Sprint(c.Validate()), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c),
			fmt.Sprintf("%v %+v %#v %s %q", c.Password, c.Password, c.Password, c.Password, c.Password),
		} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows the password", shown)
			}
		}
		kept, err := json.Marshal(c)
		if err != nil || !strings.Contains(string(kept), secret) {
			t.Errorf("Marshal = %s, %v, want it to keep the password", kept, err)
		}
	}
}

func TestCheckString(t *testing.T) {
	for check, want := range map[*probe.Check]string{
		{TCP: "192.0.2.1:80"}:                               "tcp 192.0.2.1:80",
		{HTTP: "http://192.0.2.1/"}:                         "http http://192.0.2.1/",
		{HTTP: "http://u@192.0.2.1/"}:                       "http http://u@192.0.2.1/",
		{MySQL: "192.0.2.1:3306", User: "u", Password: "p"}: "mysql 192.0.2.1:3306",
		{Redis: ":6379"}:                                    "redis :6379",
		{GRPC: "[2001:db8::1]:50051", GRPCService: "a"}:     "grpc [2001:db8::1]:50051",
		{Exec: []string{"/bin/a", "--password=b"}}:          "exec /bin/a",
		{TTL: probe.Duration(time.Minute)}:                  "ttl 1m0s",
		{Process: "/bin/a", PIDFile: "/run/a"}:              "process /bin/a",
		{PIDFile: "/run/a"}:                                 "process /run/a",
	} {
		if got := check.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestChecksOfOthersAreOfTheNetwork(t *testing.T) {
	for field, c := range map[string]probe.Check{
		"exec": {Exec: []string{"/bin/true"}}, "ttl": {TTL: probe.Duration(time.Second)}, "process": {Process: "sh"}, "systemd": {Systemd: "a.service"},
		"pid_file": {PIDFile: "/run/a.pid"}, "tls_ca_file": {TCP: "192.0.2.1:443", TLS: true, TLSCAFile: "/ca.pem"},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("Validate of %v = %v, want nil", c, err)
		}
		for _, g := range []*probe.Guard{nil, {}} {
			if p, err := c.Guarded(g); p != nil || !errors.Is(err, probe.ErrInvalid) || !strings.Contains(err.Error(), "invalid check: "+field+": ") {
				t.Errorf("Guarded of %v = %v, %v, want an error that names %s", c, p, err, field)
			}
		}
	}
}
