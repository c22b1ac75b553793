package main

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/server"
)

// What is of another type than its key takes is told by line and key, in words that need
// no knowledge of Go.
func TestSettingsOfAnotherType(t *testing.T) {
	for content, want := range map[string]string{
		"http: 127.0.0.1:0\ndata_dir: [a]":                  `:2: data_dir: want a text, not a list`,
		"limits: {address_rate: abc}":                       `:1: limits.address_rate: want a whole number, not "abc"`,
		"limits:\n  namespace_rate: abc":                    `:2: limits.namespace_rate: want a whole number, not "abc"`,
		"limits:\n  namespaces:\n    dev: {services: many}": `:3: limits.namespaces.dev.services: want a whole number, not "many"`,
		"limits: {namespaces: {dev: 5}}":                    `:1: limits.namespaces.dev: want keys with values, not a number`,
		"checks: {in_flight: 99999999999999999999}":         `:1: checks.in_flight: want a whole number, not "99999999999999999999"`,
		"ns: foo":                                          `:1: ns: want a list, not a text`,
		"zones: [a.org, [b.org]]":                          `:1: zones[1]: want a text, not a list`,
		"insecure: maybe":                                  `:1: insecure: want true or false, not "maybe"`,
		"tls: 5":                                           `:1: tls: want keys with values, not a number`,
		"nacos_login_life: 5":                              `:1: nacos_login_life: want a duration such as 30s, not "5"`,
		"nacos_login_life: [5s]":                           `:1: nacos_login_life: want a duration such as 30s, not a list`,
		"labels: {headers: Bearer of a secret}":            `:1: labels.headers: want keys with values, not a text`,
		"oidc: {roles: {office: reader}}":                  `:1: oidc.roles.office: want a list, not a text`,
		"- http: 127.0.0.1:0":                              `:1: want keys with values, not a list`,
		"limits: {namespace_rat: 5}":                       `:1: unknown key "namespace_rat", did you mean "namespace_rate"`,
		"limits: {address_rate: &x abc, caller_rate: *x }": `:1: limits.address_rate: want a whole number, not "abc"`,
		"http: &x abc\nlimits: {address_rate: *x }":        `:1: a value is of another type than its key takes`,
	} {
		path := fileWith(t, content)
		err := readSettings(path, new(server.Config))
		if err == nil || !strings.HasPrefix(err.Error(), path+want) {
			t.Errorf("readSettings(%q) = %v, want %s", content, err, want)
		}
	}
	for content, want := range map[string]string{
		"files:\n  - {path: [a]}": `:2: files[0].path: want a text, not a list`,
		"files: x":                `:1: files: want a list, not a text`,
		"drain_wait: x":           `:1: drain_wait: want a duration such as 30s, not "x"`,
		"tls: {cert_file: [a]}":   `:1: tls.cert_file: want a text, not a list`,
	} {
		path := fileWith(t, content)
		err := readSettings(path, new(agent.Config))
		if err == nil || !strings.HasPrefix(err.Error(), path+want) {
			t.Errorf("readSettings(%q) = %v, want %s", content, err, want)
		}
	}
}
