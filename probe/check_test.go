package probe_test

import (
	"encoding/json"
	"errors"
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
		{"no kind", probe.Check{}, "neither tcp nor http"},
		{"two kinds", probe.Check{TCP: "192.0.2.1:80", HTTP: "http://192.0.2.1/"}, "both tcp and http"},
		{"tcp without a port", probe.Check{TCP: "192.0.2.1"}, "not host:port"},
		{"tcp port 0", probe.Check{TCP: "192.0.2.1:0"}, `port "0"`},
		{"tcp port too high", probe.Check{TCP: "192.0.2.1:65536"}, `port "65536"`},
		{"tcp with http settings", probe.Check{TCP: "192.0.2.1:80", Expect: []int{200}}, "belong to http"},
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

func TestCheckString(t *testing.T) {
	for check, want := range map[*probe.Check]string{
		{TCP: "192.0.2.1:80"}:       "tcp 192.0.2.1:80",
		{HTTP: "http://192.0.2.1/"}: "http http://192.0.2.1/",
	} {
		if got := check.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
