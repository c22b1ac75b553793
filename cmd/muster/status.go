package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
)

func statusCommand() *cli.Command {
	return &cli.Command{Name: "status", Usage: "say how the servers are, and the one that is asked in detail", Flags: remoteFlags(), Action: status,
		Subcommands: []*cli.Command{clientsCommand()}}
}

// statusOutput is what `muster status -o json` prints.
type statusOutput struct {
	api.Status

	Servers []api.ServerState `json:"servers"`
}

func status(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	s, err := remote.Status(c.Context)
	if err != nil {
		return err
	}
	all, err := remote.ServerStates(c.Context)
	if err != nil {
		return err
	}
	if c.String("output") != "table" {
		return show(c, statusOutput{s, all.Servers}, "", nil)
	}
	if err := show(c, s, "", details(remote.Server(), s, all.Protection)); err != nil {
		return err
	}
	fmt.Fprintln(c.App.Writer)
	slices.SortFunc(all.Servers, func(a, b api.ServerState) int { return strings.Compare(nameOfServer(a), nameOfServer(b)) })
	return table(c.App.Writer, "SERVER HTTP DNS VERSION JUDGE REVISION AGE DIGEST STATE",
		rows(all.Servers, func(v api.ServerState) []string { return serverRow(v, all.Servers) }))
}

// details are the lines about the server that was asked.
func details(asked string, s api.Status, protection *api.Protection) [][]string {
	ready := "yes"
	switch {
	case !s.Ready:
		ready = "no: " + s.NotReady
	case s.Stale:
		ready = "yes, but etcd does not answer: reads go on, writes fail"
	}
	rows := [][]string{
		{"server", asked}, {"id", s.ID}, {"version", s.Version}, {"started", s.Started.Format(time.RFC3339)},
		{"ready", ready}, {"judge", strconv.FormatBool(s.Judge)}, {"etcd", s.Etcd},
		{"http", s.HTTP}, {"grpc", cmp.Or(s.GRPC, "off")}, {"dns", s.DNS}, {"zones", strings.Join(s.Zones, " ")},
		{"revision", strconv.FormatInt(s.Revision, 10)}, {"serial", strconv.FormatUint(uint64(s.Serial), 10)},
		{"age", age(s.AgeMs)}, {"services", strconv.Itoa(s.Services)},
		{"instances", strconv.Itoa(s.Instances)}, {"agents", strconv.Itoa(s.Agents)}, {"configs", strconv.Itoa(s.Configs)}, {"clients", strconv.Itoa(s.Clients)},
		{"storage", storage(s.Storage)},
	}
	if len(s.Insecure) > 0 {
		rows = append(rows, []string{"insecure", strings.Join(s.Insecure, ", ")})
	}
	if protection != nil {
		rows = append(rows, []string{"protection", protectionText(*protection)})
	}
	return rows
}

// serverRow is one line of the list of servers; its digest is set against those
// of the servers that show the same revision.
func serverRow(v api.ServerState, all []api.ServerState) []string {
	name := nameOfServer(v)
	if v.Self {
		name += "*"
	}
	judge := "-"
	if v.Judge {
		judge = "judge"
	}
	if !v.Reachable {
		return []string{name, v.HTTP, v.DNS, v.Version, judge, "-", "-", "-", "unreachable: " + v.Error}
	}
	state := "ready"
	switch {
	case !v.Ready:
		state = "not ready"
	case v.Stale:
		state = "stale"
	case v.Full != "":
		state = "takes nothing new: " + v.Full
	}
	return []string{name, v.HTTP, v.DNS, v.Version, judge, strconv.FormatInt(v.Revision, 10), age(v.AgeMs), digest(v, all), state}
}

func nameOfServer(v api.ServerState) string { return cmp.Or(v.Name, v.ID) }

// digest returns one word for what a server shows: DIFFERS when another one shows
// something else at the same revision.
func digest(v api.ServerState, all []api.ServerState) string {
	var differ []string
	for _, other := range all {
		if !other.Reachable || other.Revision != v.Revision {
			continue
		}
		for namespace, sum := range v.Digests {
			if other.Digests[namespace] != sum {
				differ = append(differ, strconv.Quote(namespace))
			}
		}
		for namespace := range other.Digests {
			if _, has := v.Digests[namespace]; !has {
				differ = append(differ, strconv.Quote(namespace))
			}
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		return "DIFFERS in " + strings.Join(slices.Compact(differ), " ")
	}
	return "agrees"
}

func age(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func storage(s *api.Storage) string {
	if s == nil {
		return "unknown"
	}
	text := fmt.Sprintf("%d MiB, %d MiB of it in use", s.Size>>20, s.InUse>>20)
	if s.Quota > 0 {
		text += fmt.Sprintf(", of %d MiB", s.Quota>>20)
	}
	if s.Full != "" {
		text += "; " + s.Full
	}
	return text
}
