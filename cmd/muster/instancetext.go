package main

import (
	"strconv"
	"strings"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

const instanceHeading = "ENDPOINT CLUSTER WEIGHT STATE WITNESS METADATA"

func instanceRow(i api.Instance) []string {
	return []string{client.Endpoint(i.Address, i.Port), i.Cluster, weight(i), state(i), orDash(i.Witness), pairs(i.Metadata)}
}

// instanceDetails are the lines about an instance.
func instanceDetails(n client.Name, i api.Instance) [][]string {
	health := state(i)
	switch {
	case i.Silent:
		health += ": its beats stay away"
	case i.Failing:
		health += ": its check fails"
		if i.Failure != "" {
			health += " (" + i.Failure + ")"
		}
	}
	lines := [][]string{
		{"service", n.String()}, {"endpoint", client.Endpoint(i.Address, i.Port)}, {"cluster", i.Cluster}, {"weight", weight(i)},
		{"state", health}, {"kind", kind(i.Ephemeral)}, {"witness", orDash(i.Witness)}, {"metadata", orDash(pairs(i.Metadata))}, {"dns", orDash(i.DNSName)},
	}
	if d := i.Declared; d != nil {
		lines = append(lines, []string{"declared", words(&d.Weight, &d.Enabled, &d.Healthy, d.Metadata)})
	}
	if o := i.Override; o != nil {
		text := words(o.Weight, o.Enabled, o.Healthy, o.Metadata)
		if o.Pinned {
			text += " pinned"
		}
		lines = append(lines, []string{"operator", strings.TrimSpace(text)})
	}
	return append(lines, []string{"revision", strconv.FormatInt(i.Revision, 10)})
}

// words tells what is said of an instance.
func words(weight *float64, enabled, healthy *bool, metadata map[string]string) string {
	var said []string
	if weight != nil {
		said = append(said, "weight "+strconv.FormatFloat(*weight, 'g', -1, 64))
	}
	for _, flag := range []struct {
		is      *bool
		yes, no string
	}{{enabled, "enabled", "disabled"}, {healthy, "healthy", "unhealthy"}} {
		switch {
		case flag.is != nil && *flag.is:
			said = append(said, flag.yes)
		case flag.is != nil:
			said = append(said, flag.no)
		}
	}
	if len(metadata) > 0 {
		said = append(said, pairs(metadata))
	}
	return strings.Join(said, " ")
}

func describe(i api.Instance) string {
	return strings.TrimSpace(strings.Join([]string{client.Endpoint(i.Address, i.Port), "weight", weight(i), "cluster", i.Cluster, state(i), pairs(i.Metadata)}, " "))
}

func weight(i api.Instance) string {
	if i.Weight == nil {
		return "1"
	}
	return strconv.FormatFloat(*i.Weight, 'g', -1, 64)
}

func state(i api.Instance) string {
	switch {
	case i.Enabled != nil && !*i.Enabled:
		return "disabled"
	case i.Healthy != nil && !*i.Healthy:
		return "unhealthy"
	}
	return "healthy"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
