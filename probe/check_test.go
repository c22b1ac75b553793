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
		{"no kind", probe.Check{}, "none of tcp, http, mysql, redis, grpc"},
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
		{"another method", probe.Check{HTTP: "http://192.0.2.1/", Method: "DELETE"}, `method "DELETE"`},
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
	} {
		if got := check.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
