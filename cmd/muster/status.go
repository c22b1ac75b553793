package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

func statusCommand() *cli.Command {
	return &cli.Command{Name: "status", Usage: "say how a server is", Flags: remoteFlags(), Action: func(c *cli.Context) error {
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
		ready := "yes"
		if !s.Ready {
			ready = "no: " + s.NotReady
		}
		return show(c, s, "", [][]string{
			{"server", remote.Server()}, {"version", s.Version}, {"started", s.Started.Format(time.RFC3339)},
			{"ready", ready}, {"judge", strconv.FormatBool(s.Judge)}, {"etcd", s.Etcd},
			{"http", s.HTTP}, {"dns", s.DNS}, {"zones", strings.Join(s.Zones, " ")},
			{"revision", strconv.FormatInt(s.Revision, 10)}, {"services", strconv.Itoa(s.Services)},
			{"instances", strconv.Itoa(s.Instances)}, {"agents", strconv.Itoa(s.Agents)}, {"configs", strconv.Itoa(s.Configs)},
		})
	}}
}
