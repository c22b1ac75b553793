package main

import (
	"strings"
	"testing"
)

// An empty name is an error of the command line, which is told by its placeholder and sent
// nowhere.
func TestEmptyNames(t *testing.T) {
	for _, c := range []struct{ line, name string }{
		{"instance register _ 192.0.2.1:80", "service"},
		{"service set _", "service"},
		{"member remove _", "member"},
		{"auth tsig set _", "key"},
		{"auth token add _", "agent"},
		{"auth certificate revoke _", "certificate"},
		{"auth login _", "user"},
		{"config put _", "dataid"},
		{"config put a _", "file"},
		{"backup _", "file"},
		{"backup _ --verify", "file"},
	} {
		args := strings.Fields(c.line)
		for i, arg := range args {
			if arg == "_" {
				args[i] = ""
			}
		}
		out, code := said(t, args...)
		if code != exitUsage || !strings.HasPrefix(out, c.name+" is empty: muster ") {
			t.Errorf("muster %s = %d %q, want %d and that %s is empty", c.line, code, out, exitUsage, c.name)
		}
	}
}
