package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/api"
)

// clusterText says in words what is said of a cluster.
func clusterText(s api.ServiceCluster) string {
	said := []string{"checked as each instance asks for"}
	if s.Check != nil {
		said = checkWords(*s.Check)
	}
	if len(s.Metadata) > 0 {
		said = append(said, "metadata "+pairs(s.Metadata))
	}
	return strings.Join(said, ", ")
}

func checkWords(h api.HealthCheck) []string {
	if h.Kind == "none" {
		return []string{"not checked"}
	}
	said := []string{strings.TrimSpace("by " + h.Kind + " " + h.Path + h.Command + h.Service)}
	add := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	add(h.TLS, "over TLS")
	add(h.Port != 0, "at port %d", h.Port)
	add(len(h.Headers) > 0, "with %s", strings.Join(slices.Sorted(maps.Keys(h.Headers)), " "))
	add(len(h.Expect) > 0, "expecting %s", strings.Trim(fmt.Sprint(h.Expect), "[]"))
	add(h.User != "", "as %s", h.User)
	add(h.PasswordSet, "with a password")
	add(h.Interval != 0, "every %v", time.Duration(h.Interval)*time.Millisecond)
	add(h.Timeout != 0, "within %v", time.Duration(h.Timeout)*time.Millisecond)
	add(h.Rise != 0, "rise %d", h.Rise)
	add(h.Fall != 0, "fall %d", h.Fall)
	return said
}
