package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

func agentExplain(c *cli.Context) error {
	a, args, err := dialAgent(c, "INSTANCE|FILE")
	if err != nil {
		return err
	}
	defer a.Close()
	e, err := a.Explain(c.Context, args[0], c.Bool("dns"))
	if err != nil {
		return err
	}
	var rows [][]string
	add := func(cells ...string) { rows = append(rows, cells) }
	for _, i := range e.Instances {
		origin := i.Origin
		if i.Line > 0 {
			origin += ":" + strconv.Itoa(i.Line)
		}
		add("instance", i.Instance)
		add("declared by", origin)
		add("health", i.Health)
		add("weight", strconv.FormatFloat(i.Weight, 'g', -1, 64))
		for _, because := range i.Because {
			add("because", because)
		}
		for _, k := range i.Checks {
			add("check", strings.TrimSpace(strings.Join([]string{k.Check, k.State, k.Error, k.Note}, " ")))
		}
		if i.Server != nil {
			add("servers", describe(*i.Server))
		} else {
			add("servers", i.ServerError)
		}
		if i.DNS != nil {
			for _, line := range dnsRows(*i.DNS) {
				add("dns", line)
			}
		} else if i.DNSError != "" {
			add("dns", i.DNSError)
		}
	}
	for _, f := range e.Files {
		add("file", strings.TrimSpace(f.Path+" "+f.Config))
		add("state", f.State)
		for _, because := range f.Because {
			add("because", because)
		}
	}
	return show(c, e, "", rows)
}

// maxAnswers bounds the instances of an answer that are told of.
const maxAnswers = 20

// dnsRows says what DNS answers to a name, and why not more.
func dnsRows(e api.Explanation) []string {
	name := e.Name
	if e.Zone != "" {
		name += "." + strings.TrimSuffix(e.Zone, ".")
	}
	answered := 0
	for _, i := range e.Instances {
		if i.Answered {
			answered++
		}
	}
	all := []string{fmt.Sprintf("%s %s: %s, %d of %d instances answered", name, e.Type, outcome(e), answered, len(e.Instances))}
	for n, i := range e.Instances {
		if n == maxAnswers {
			return append(all, "and more")
		}
		at := client.Endpoint(i.Address, i.Port)
		if i.Answered {
			all = append(all, fmt.Sprintf("%s answered, share %.1f%%", at, 100*i.Share))
		} else {
			all = append(all, at+" not answered: "+i.Why)
		}
	}
	return all
}
