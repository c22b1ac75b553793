package dnsd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster/dnsd"
)

// full uses what a real Corefile may, with addresses that cannot be bound.
const full = `
(common) {
	errors
	log
	bind 192.0.2.1
	prometheus 192.0.2.1:9153
}
example.org:53 {
	import common
	root /
	metadata
	cancel 2s
	timeouts {
		read 2s
	}
	bufsize 1232
	debug
	ready 192.0.2.1:8181
	health 192.0.2.1:8080
	pprof 192.0.2.1:6053
	local
	any
	chaos muster
	tsig {
		secret key. c2VjcmV0IHNlY3JldA==
	}
	rewrite name old.example.org new.example.org
	acl {
		allow net 192.0.2.0/24
		block
	}
	cache 30
	header {
		response set ra
	}
	minimal
	template ANY ANY never.example.org {
		rcode NXDOMAIN
	}
	transfer {
		to 192.0.2.2
	}
	muster
	hosts {
		192.0.2.3 www.example.org
		fallthrough
	}
	loop
	forward . 192.0.2.53
	whoami
}
example.org:53 {
	import common
	view inside {
		expr incidr(client_ip(), '192.0.2.0/24')
	}
	whoami
}
`

func TestValidate(t *testing.T) {
	leavesNothing(t)
	for _, tc := range []struct {
		name, corefile, want string // want is empty for a good one
	}{
		{"every directive", full, ""},
		{"unknown directive", ".:53 {\n kubernetes\n}", "f:2 - Error during parsing: Unknown directive 'kubernetes'"},
		{"bad argument", ".:53 {\n hosts {\n 192.0.2.1 a\n ttl x\n }\n}", "plugin/hosts"},
		{"failing after hosts was set up", ".:53 {\n hosts {\n 192.0.2.1 a\n }\n forward .\n}", "plugin/forward"},
		{"zone twice", "a:53 {\n whoami\n}\na:53 {\n whoami\n}", "already defined"},
		{"TLS without a certificate", "tls://a:853 {\n whoami\n}", "has no plugin tls"},
		{"TLS without a certificate, for two zones", "tls://a:853 tls://b:853 {\n whoami\n}", "has no plugin tls"},
		{"QUIC without a certificate", "quic://a:853 {\n whoami\n}", "has no plugin tls"},
		{"nothing", "# only a comment\n", "no server block"},
		{"panicking setup", ".:53 {\n muster panic\n}", "a plugin panicked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := dnsd.Validate([]byte(tc.corefile), "f", nil)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Validate() = %v, want nil", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Validate() = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestValidateGivesStorage(t *testing.T) {
	stored := map[any]any{textKey{}: "text"}
	if err := dnsd.Validate([]byte(".:53 {\n muster\n}"), "f", stored); err != nil {
		t.Errorf("Validate() = %v", err)
	}
	if len(stored) != 1 {
		t.Errorf("storage = %v, want it untouched", stored)
	}
}

func TestValidateDisturbsNoServer(t *testing.T) {
	ready := "127.0.0.1:" + freePort(t)
	corefile := ".:PORT {\n bind 127.0.0.1\n ready " + ready + "\n whoami\n}"
	s, _ := open(t, corefile, dnsd.Config{})
	if err := dnsd.Validate([]byte(full), "f", nil); err != nil {
		t.Fatal(err)
	}
	if code, err := get(t, "http://"+ready+"/ready"); err != nil || code != http.StatusOK {
		t.Errorf("readiness page = %d, %v, want 200", code, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, "http://"+ready+"/ready"); err == nil {
		t.Error("the readiness page outlived its server")
	}
}
